"""Of the people who get the favourable decision, how many of each group have the favourable label."""

from __future__ import annotations

from checks.fairness._variants import rate_check

predictive_parity = rate_check("predictive_parity")
