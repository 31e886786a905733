"""Of the people whose label is favourable, how many of each group get the favourable decision."""

from __future__ import annotations

from checks.fairness._variants import rate_check

equal_opportunity = rate_check("equal_opportunity")
