"""Of the people whose label is not favourable, how many of each group get the favourable decision."""

from __future__ import annotations

from checks.fairness._variants import rate_check

false_positive_rate = rate_check("false_positive_rate")
