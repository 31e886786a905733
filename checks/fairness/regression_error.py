"""How far predicted numbers are off in each group, and in which direction."""

from __future__ import annotations

from checks.fairness._number_errors import number_check
from checks.registry import Scope

regression_error = number_check("regression_error", Scope.ATTRIBUTE)
