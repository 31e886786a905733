"""How often the decision equals the label, in each group."""

from __future__ import annotations

from checks.fairness._variants import rate_check

accuracy_by_group = rate_check("accuracy_by_group")
