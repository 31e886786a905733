"""The isolation receipt in words: what was tried against the wall, what was seen, the limits, and what the run used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from model_cards.card import (
    Block,
    Callout,
    Cell,
    Column,
    Entries,
    Entry,
    Paragraph,
    Section,
    Table,
    Tone,
    code,
    line,
    quiet,
    strong,
)
from model_cards.dossier import ReceiptFacts
from model_cards.material import Material


def section(material: Material) -> Section:
    """Make the section on isolation."""
    words, run = material.words, material.assessment.run
    blocks: list[Block] = []
    fault = material.fault()
    if fault is not None:
        blocks.append(Callout(title=words("card.isolation.fault"), lines=(line(fault),), tone=Tone.BEYOND))
    if run is None:
        blocks.append(Paragraph(line=line(words("card.isolation.no_run"))))
    elif run.receipt is None:
        blocks.append(Paragraph(line=line(words("card.isolation.none"))))
    else:
        blocks += _receipt(material, run.receipt)
    parts: tuple[Section, ...] = (_scan(material),) if material.dossier.scan else ()
    if run is not None and run.receipt is not None:
        parts = (_tried(material, run.receipt), *parts)
    return Section(
        id="isolation",
        title=words("card.section.isolation"),
        blocks=tuple(blocks),
        sections=parts,
    )


def _receipt(material: Material, receipt: ReceiptFacts) -> list[Block]:
    words = material.words

    def entry(key: str, said: str, *, name: bool = False) -> Entry:
        return Entry(term=words(f"card.isolation.{key}"), lines=(line(code(said) if name else said),))

    unknown = words("card.isolation.not_known")
    cpu, peak, cpu_each = receipt.cpu_seconds, receipt.peak_bytes, receipt.cpu_seconds_per_1000_predictions
    supplied = words.joined([words(f"card.isolation.suppliers.{who}") for who in receipt.test_data_by])
    committed = (
        words("card.isolation.committed", at=words.time(receipt.test_data_committed))
        if receipt.test_data_committed
        else words("card.isolation.not_committed")
    )
    wall = Entries(
        entries=(
            entry("backend", words.find(f"card.isolation.backends.{receipt.backend}") or receipt.backend),
            entry("runtime", receipt.runtime),
            entry("image", receipt.image, name=True),
            entry("profile", receipt.profile_digest, name=True),
            entry("user", receipt.user),
            entry("memory_by", receipt.memory_limit_by),
            *((entry("test_data", f"{supplied}. {committed}"),) if receipt.test_data_by else ()),
        )
    )
    meters = Entries(
        entries=(
            entry("ending", words.find(f"card.isolation.endings.{receipt.ending}") or receipt.ending),
            entry("seconds", words.number(receipt.seconds, "seconds")),
            entry("cpu_seconds", unknown if cpu is None else words.number(cpu, "seconds")),
            entry("peak", unknown if peak is None else words.bytes(peak)),
            entry("bytes_in", words.bytes(receipt.bytes_in)),
            entry("bytes_out", words.bytes(receipt.bytes_out)),
            entry("rows_asked", words.whole(receipt.rows_asked)),
            *((entry("lent", _lent(material, receipt)),) if receipt.lent else ()),
            entry("cpu_per_thousand", unknown if cpu_each is None else words.number(cpu_each, "seconds")),
            entry("energy_per_thousand", _energy(material, receipt)),
        )
    )
    held = sum(p.held for p in receipt.probes)
    counted = words("card.isolation.held_count", held=held, all=len(receipt.probes))
    blocks: list[Block] = [
        Paragraph(line=line(f"{words('card.isolation.intro')} ", strong(counted))),
        wall,
        meters,
    ]
    blocks += [Paragraph(line=line(quiet(note)), tone=Tone.QUIET) for note in receipt.notes]
    return blocks


def _lent(material: Material, receipt: ReceiptFacts) -> str:
    words = material.words
    walls = {one.worker: one.receipt.probes for one in receipt.lent}
    probes = [probe for tried in walls.values() for probe in tried]
    return words(
        "card.isolation.lent_told",
        rows=words.whole(sum(one.rows_answered for one in receipt.lent)),
        cells=len(receipt.lent),
        workers=len(walls),
        held=sum(probe.held for probe in probes),
        all=len(probes),
    )


def _energy(material: Material, receipt: ReceiptFacts) -> str:
    each = receipt.joules_per_1000_predictions
    if each is None:
        return material.words("card.isolation.energy_not_told")
    return material.words("card.isolation.energy_told", joules=material.words.decimal(each, 3))


def _tried(material: Material, receipt: ReceiptFacts) -> Section:
    """Set out each attempt on the wall, and the limits that held."""
    blocks: list[Block] = [_attempts(material, receipt)]
    if receipt.limits:
        blocks.append(_limits(material, receipt.limits))
    title = material.words("card.isolation.probes")
    return Section(id="isolation-probes", title=title, blocks=tuple(blocks), folded=True)


def _attempts(material: Material, receipt: ReceiptFacts) -> Table:
    words = material.words
    return Table(
        caption=words("card.isolation.probes"),
        columns=(
            Column(title=words("card.isolation.probe"), width=5),
            Column(title=words("card.isolation.expected"), width=4),
            Column(title=words("card.isolation.observed"), width=5),
            Column(title=words("card.isolation.held"), width=2),
        ),
        rows=tuple(
            (
                Cell(line=line(words.find(f"card.isolation.probe_names.{p.probe}") or p.probe.replace("_", " "))),
                Cell(line=line(words.find(f"card.isolation.probe_expected.{p.probe}") or p.expected)),
                Cell(line=line(p.observed)),
                Cell(
                    line=line(words("outcomes.words.yes" if p.held else "outcomes.words.no")),
                    tone=Tone.PLAIN if p.held else Tone.BEYOND,
                ),
            )
            for p in receipt.probes
        ),
    )


def _limits(material: Material, limits: Mapping[str, float]) -> Table:
    words = material.words

    def amount(name: str, value: float) -> str:
        if name.endswith("_bytes"):
            return words.bytes(value)
        return words.number(value, "seconds" if name.endswith("seconds") else "count")

    return Table(
        caption=words("card.isolation.limits"),
        columns=(
            Column(title=words("card.isolation.limit"), width=5),
            Column(title=words("card.isolation.value"), number=True, width=3),
        ),
        rows=tuple(
            (
                Cell(line=line(words.find(f"card.isolation.limit_names.{name}") or name.replace("_", " "))),
                Cell(line=line(amount(name, value))),
            )
            for name, value in limits.items()
        ),
    )


def _scan(material: Material) -> Section:
    words = material.words
    table = Table(
        caption=words("card.isolation.scan_caption"),
        columns=(
            Column(title=words("card.isolation.scan_field"), width=3),
            Column(title=words("card.isolation.value"), width=7),
        ),
        rows=tuple(
            (
                Cell(line=line(words.find(f"card.isolation.scan_fields.{name}") or name.replace("_", " "))),
                Cell(line=line(value)),
            )
            for name, value in _flat(material, material.dossier.scan)
        ),
    )
    return Section(id="isolation-scan", title=words("card.isolation.scan"), blocks=(table,), folded=True)


def _flat(material: Material, scan: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name in sorted(scan):
        value = scan[name]
        if isinstance(value, Mapping):
            yield from _flat(material, value, f"{prefix}{name}: ")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", ", ".join(_plain(material, v) for v in value) or "–"
        else:
            yield f"{prefix}{name}", _plain(material, value)


def _plain(material: Material, value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{n}: {_plain(material, v)}" for n, v in sorted(value.items()))
    if value is None or isinstance(value, str | bool | int | float):
        return material.words.scalar(value)
    return str(value)
