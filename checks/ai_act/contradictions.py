"""Find answers that do not go with something else in the submission; both sides are quoted and left to a person.

Nothing found here changes a class: an answer stands until a person corrects it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from checks import resources
from checks.ai_act.answers import Profile, facts
from checks.ai_act.logic import Facts
from checks.ai_act.risk import Contradiction
from checks.ai_act.rules import load
from checks.declaration import Declaration

_WORD = re.compile(r"[a-zà-ÿ]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MOST_QUOTED = 8


class Observed(BaseModel):
    """What the upload shows, as far as it is compared with answers.

    `columns`: the names of the columns of the data, in order; empty where there are none or only counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[str, ...] = ()


def contradictions(declaration: Declaration, observed: Observed) -> tuple[Contradiction, ...]:
    """Compare answers with column names, the label and the stated purpose.

    Args:
        declaration: answers, purpose and column roles.
        observed: the names of the columns found in the data.

    Returns:
        One entry per answer and kind, in the order of the questions looked at. A word in a name is a hint, not a
        proof: `age` may be that of a machine. An answer that was not given contradicts nothing.
    """
    signals: Mapping[str, Any] = resources.read("ai_act/signals.yaml")
    known = facts(declaration.answers, Profile.of(declaration), load())
    return (
        *_in_columns(signals["columns"], known, declaration, observed),
        *_in_decisions(signals["decisions"], known, declaration),
        *_in_purpose(signals["purposes"], known, declaration),
    )


def _in_columns(
    signals: Iterable[Mapping[str, Any]], known: Facts, declaration: Declaration, observed: Observed
) -> Iterator[Contradiction]:
    data = declaration.data
    named = observed.columns or (tuple(data.columns) if data is not None else ())
    for signal in signals:
        if not _says(known, signal["question"], signal["answer"]):
            continue
        looked_at = [
            c for c in named if not signal.get("features_only") or (data is not None and data.role(c).is_feature)
        ]
        hits = [c for c in looked_at if _names(c, signal["words"])]
        if hits:
            yield _entry(signal["code"], signal["question"], signal["answer"], _quoted(hits))


def _in_decisions(
    signals: Iterable[Mapping[str, Any]], known: Facts, declaration: Declaration
) -> Iterator[Contradiction]:
    data = declaration.data
    if data is None:
        return
    named = [*([data.label] if data.label else []), *data.classes]
    if declaration.predictions is not None and declaration.predictions.decision is not None:
        named.append(declaration.predictions.decision)
    for signal in signals:
        if _says(known, signal["question"], signal["answer"]):
            hits = [n for n in named if _names(n, signal["words"])]
            if hits:
                yield _entry(signal["code"], signal["question"], signal["answer"], _quoted(hits))


def _in_purpose(
    signals: Iterable[Mapping[str, Any]], known: Facts, declaration: Declaration
) -> Iterator[Contradiction]:
    purpose = declaration.system.intended_purpose
    for signal in signals:
        question, option = signal["question"], signal["option"]
        excluded = known.gate(question).truth is not False and known.is_settled(question)
        if not excluded or option in known.chosen(question):
            continue
        sentence = next((s for s in re.split(r"(?<=[.!?])\s+", purpose) if _names(s, signal["words"])), None)
        if sentence is not None:
            yield _entry(signal["code"], question, option, sentence[:300])


def _says(known: Facts, question: str, answer: str) -> bool:
    return known.gate(question).truth is not False and answer in known.chosen(question)


def _names(text: str, words: Iterable[str]) -> bool:
    lowered = " ".join(_WORD.findall(_HUMP.sub(" ", text).lower()))
    for word in words:
        pattern = re.escape(word.removesuffix("*")) + ("" if word.endswith("*") else r"\b")
        if re.search(rf"\b{pattern}", lowered):
            return True
    return False


def _quoted(names: list[str]) -> str:
    more = f" (+{len(names) - _MOST_QUOTED})" if len(names) > _MOST_QUOTED else ""
    return ", ".join(names[:_MOST_QUOTED]) + more


def _entry(code: str, question: str, answer: str, observed: str) -> Contradiction:
    return Contradiction(code=code, question=question, answer=answer, observed=observed)
