"""How far predicted numbers are off by several attributes at once."""

from __future__ import annotations

from checks.fairness._number_errors import number_check
from checks.registry import Scope

regression_intersections = number_check("regression_intersections", Scope.CROSSING)
