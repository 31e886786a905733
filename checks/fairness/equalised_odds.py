"""Both rates at once: how decisions follow favourable and unfavourable labels in each group."""

from __future__ import annotations

from checks.fairness._variants import rate_check

equalised_odds = rate_check("equalised_odds")
