"""How often people get the favourable decision by several attributes at once, as in women of one origin."""

from __future__ import annotations

from checks.fairness._variants import rate_check

intersections = rate_check("intersections")
