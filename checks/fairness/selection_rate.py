"""How often each group gets the favourable decision, whatever the labels say."""

from __future__ import annotations

from checks.fairness._variants import rate_check

selection_rate = rate_check("selection_rate")
