"""Report what the scan of the model file found. Scanned means read without executing it, and nothing more.

Assumes that the scan was made outside this process; its words may come from a hostile file, so their number and
length are bounded here as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checks.declaration import Route
from checks.evidence import Need, View
from checks.finding import Item, Measure, Measured, NotApplicable, NotGathered, Reason
from checks.policy import Terms
from checks.registry import check

MOST_ITEMS = 200
LONGEST_WORD = 200


@check(
    gives=("suspicious_parts",),
    needs=(Need.SCAN,),
    routes=(Route.MODEL,),
    law=("AIA 15(5)", "AIA Annex IV 2(h)"),
)
def model_file(evidence: View, terms: Terms) -> Measured | NotGathered | NotApplicable:  # noqa: ARG001  # one signature for all checks
    """Count the parts of the model file that a model has no known need for.

    Reads:
        The scan report.

    Args:
        evidence: see above.
        terms: not used: the whole file is read, so the count is exact.

    Returns:
        `suspicious_parts` (exact; lower is better): what the scan named suspicious, each as an item `suspicious`;
        the other types in the file as items `type`. A count of 0 says that nothing known was found, no more.

    Law:
        Art 15(5) asks for measures against attempts to alter a system by its weaknesses, data and model poisoning
        among them. A scan of a file is one small such measure.

    References:
        A count of what `sandbox.cell.formats` names suspicious in its scan of the format.
    """
    scan = evidence.scan
    suspicious, types = _words(scan, "suspicious"), _words(scan, "types")
    count = float(len(suspicious))
    items = [Item(id="suspicious", state="suspicious", params={"name": name}) for name in suspicious[:MOST_ITEMS]]
    items += [Item(id="type", state="found", params={"name": n}) for n in types if n not in suspicious][:MOST_ITEMS]
    items += [Item(id="note", state="noted", params={"name": name}) for name in _words(scan, "notes")[:MOST_ITEMS]]
    executes = scan.get("loading") != "data_only"
    if not executes:
        code = "scanned_data_only"
    else:
        assert evidence.declaration.model is not None
        code = "scanned_can_execute" if evidence.declaration.model.allow_code else "scanned_no_consent"
    params: dict[str, Any] = {"format": _word(scan.get("format") or "unknown"), "types": len(types)}
    return Measured(
        measures=(
            Measure(
                name="suspicious_parts",
                value=count,
                low=count,
                high=count,
                rows=0,
                unit="count",
                definition="parts of the file named suspicious by the scan of its format",
                interval="exact",
            ),
        ),
        items=tuple(items),
        reason=Reason(code=code, params=params),
    )


def _words(scan: Mapping[str, Any], key: str) -> list[str]:
    given = scan.get(key) or ()
    listed = [given] if isinstance(given, str) else list(given)
    return sorted({_word(word) for word in listed})


def _word(word: Any) -> str:
    return str(word).encode("utf-8", "replace").decode()[:LONGEST_WORD]
