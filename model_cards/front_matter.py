"""The front matter of a card in Markdown, as a Hugging Face model card carries it: licence, tags, a model index."""

from __future__ import annotations

import re
from typing import Any

import yaml

from checks.declaration import Task
from model_cards.dossier import Assessment
from model_cards.words import Words, visible

LICENCES = frozenset(
    "afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc "  # noqa: SIM905  # ids read best as words
    "cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 "
    "cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 "
    "cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 "
    "gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 "
    "openrail osl-3.0 pddl postgresql unlicense wtfpl zlib".split()
)
"""Licence ids that the hub knows; any other is given as `other` with its name."""

_TASKS = {
    Task.BINARY: "tabular-classification",
    Task.MULTICLASS: "tabular-classification",
    Task.REGRESSION: "tabular-regression",
}


def front_matter(assessment: Assessment, lang: str) -> str:
    """Write the front matter, with its two lines of dashes.

    Args:
        lang: of the card; the model index's names are in it.
    """
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(metadata(assessment, lang), Dumper=dumper, allow_unicode=True, sort_keys=False, width=120)
    return f"---\n{text}---\n"


def metadata(assessment: Assessment, lang: str) -> dict[str, Any]:
    """Give the metadata of the card.

    Returns:
        `language`, `license`, `tags`, `library_name` left out (unknown), and `model-index` with one result per measure
        that has a value; a measure without a value is left out, never a number.
    """
    dossier = assessment.dossier
    system = dossier.declaration.system
    given: dict[str, Any] = {"language": list(system.languages) or [lang]}
    if system.licence:
        known = system.licence.strip().lower()
        if known in LICENCES:
            given["license"] = known
        else:
            given |= {"license": "other", "license_name": visible(system.licence)}
    data = dossier.declaration.data
    tags = ["ai-act", "model-card-report", f"risk-class-{dossier.risk.risk_class.replace('_', '-')}"]
    if data is not None:
        tags.append(_TASKS[data.task])
    given["tags"] = tags
    metrics = _metrics(assessment, Words(lang))
    if data is not None and metrics:
        given["model-index"] = [
            {
                "name": visible(system.name),
                "results": [
                    {
                        "task": {"type": _TASKS[data.task]},
                        "dataset": {"name": visible(_data_name(assessment)), "type": _slug(_data_name(assessment))},
                        "metrics": metrics,
                    }
                ],
            }
        ]
    return given


def _metrics(assessment: Assessment, words: Words) -> list[dict[str, Any]]:
    return [
        {
            "type": f"{finding.check}.{measure.name}" + (f".{_slug(finding.attribute)}" if finding.attribute else ""),
            "name": visible(f"{words.finding_title(finding)}: {words.measure_name(finding.check, measure.name)}"),
            "value": measure.value,
            "args": {
                key: value
                for key, value in (("low", measure.low), ("high", measure.high), ("rows", measure.rows))
                if value is not None
            },
        }
        for finding in assessment.dossier.findings
        for measure in finding.measures
        if measure.value is not None
    ]


def _data_name(assessment: Assessment) -> str:
    declaration = assessment.dossier.declaration
    if declaration.data is not None and declaration.data.file:
        return declaration.data.file
    for given in (declaration.predictions, declaration.counts):
        if given is not None:
            return given.file
    return "evaluation data"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"
