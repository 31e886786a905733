"""Sealed evidence comes back as it was, or not at all."""

from __future__ import annotations

import datetime as dt
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from checks.declaration import Declaration
from checks.evidence import BIN_COLUMNS, Answers, Document, Evidence, TrainingFacts, digest_of
from sandbox.errors import Broken
from sandbox.records import evidence_store
from sandbox.settings import Settings

DAY = dt.date(2026, 3, 1)


def declaration() -> Declaration:
    return Declaration.model_validate(
        {
            "system": {
                "name": "Income ‮ estimate",
                "version": "1.2",
                "provider": {"name": "Voorbeeld BV"},
                "intended_purpose": "Estimate.",
            },
            "model": {
                "file": "model.skops",
                "output": "probability",
                "score_of": ">50K",
                "training": {"date": "2026-08-01"},
            },
            "data": {
                "file": "test.parquet",
                "task": "binary",
                "classes": ["<=50K", ">50K"],
                "columns": {"default": "ignore", "sex": "group", "income": "label"},
            },
            "limits": {"fairness.selection_rate.ratio": {"at_least": 0.8, "reason": "Because."}},
        }
    )


def evidence(rows: int = 3000, seed: int = 7) -> Evidence:
    draw = np.random.default_rng(seed)
    score = draw.random(rows)
    score[0] = -0.0
    names = pa.array(draw.choice(["Female", "Male", "<script>"], rows)).dictionary_encode()
    label = pa.array(draw.integers(0, 2, rows).astype(np.int32), mask=np.arange(rows) % 7 == 0)
    table = pa.table(
        {
            "row": pa.chunked_array([pa.array(np.arange(0, rows // 2)), pa.array(np.arange(rows // 2, rows))]),
            "feature:income": pa.array(draw.normal(size=rows)),
            "feature:note": pa.array([None if i % 5 == 0 else f"tékst {i}" for i in range(rows)]),
            "group:sex": names,
            "label": label,
            "score": pa.array(score),
        }
    )
    made = Evidence(
        declaration=declaration(),
        submission_digest="ab" * 32,
        rows=table,
        asked={
            "repeated": Answers(values=np.where(score > 0.5, np.nan, score)[:, None]),
            "coalitions": Answers(
                values=draw.random((64, 1)),
                facts={"masks": draw.random((64, 5)) > 0.5, "row": np.arange(64), "empty": np.zeros((0, 3))},
            ),
        },
        cells={"": pa.table({"group": pa.array([None], pa.string()), "rows": pa.array([rows])}), "sex": table[:0]},
        documents=(Document(name="doc.md", text="# Doel\r\nlone \ud800 surrogate", digest="cd" * 32),),
        scan={"types": ["a", ("b", 1)], "size": 1e300, "nested": {"z": 1, "a": None}},
        model_fault={"code": "crashed", "params": {"signal": 11}},
        seed=seed,
    )
    return replace(made, digest=digest_of(made))


def same(a: Evidence, b: Evidence) -> None:
    assert a.declaration == b.declaration
    assert (a.submission_digest, a.documents, a.scan, a.model_fault, a.seed, a.digest) == (
        b.submission_digest,
        b.documents,
        b.scan,
        b.model_fault,
        b.seed,
        b.digest,
    )
    assert (a.rows is None) == (b.rows is None)
    if a.rows is not None and b.rows is not None:
        assert a.rows.equals(b.rows, check_metadata=True)
        assert a.rows.schema == b.rows.schema
    assert a.asked.keys() == b.asked.keys()
    for probe in a.asked:
        first, second = a.asked[probe], b.asked[probe]
        assert first.values.tobytes() == second.values.tobytes()
        assert first.values.shape == second.values.shape
        assert list(first.facts) == list(second.facts)
        for name in first.facts:
            assert first.facts[name].dtype == second.facts[name].dtype
            assert first.facts[name].shape == second.facts[name].shape
            assert first.facts[name].tobytes() == second.facts[name].tobytes()
    for mine, theirs in ((a.cells, b.cells), (a.moments, b.moments)):
        assert list(mine) == list(theirs)
        assert all(mine[k].equals(theirs[k]) for k in mine)


@pytest.mark.parametrize("rows", [3000, 60_000])
def test_evidence_comes_back_bit_for_bit(settings: Settings, rows: int) -> None:
    given = evidence(rows)
    evidence_store.store(given, settings)
    back = evidence_store.load(given.digest, settings)
    assert back is not None
    same(given, back)
    assert digest_of(back) == given.digest


def test_the_stated_population_and_what_is_kept_of_training_data_come_back(settings: Settings) -> None:
    training = TrainingFacts(
        rows=9,
        columns=pa.table({n: pa.array([None, "a"]) for n in BIN_COLUMNS}),
        twins=np.linspace(0, 1, 3),
        alike=np.arange(6, dtype=np.int32).reshape(3, 2),
        alike_label=np.array([0, 1, -1], dtype=np.int32),
        near=np.zeros(3, dtype=np.int32),
        known_unit=np.array([0, 1, -1], dtype=np.int8),
    )
    given = replace(evidence(3), population={"sex": {"f": 0.3, "é": 0.7}}, training=training)
    given = replace(given, digest=digest_of(given))
    evidence_store.store(given, settings)
    back = evidence_store.load(given.digest, settings)
    assert back is not None
    same(given, back)
    assert back.population == given.population
    assert back.training is not None
    assert back.training.columns.equals(training.columns)
    assert back.training.alike.tolist() == training.alike.tolist()
    assert back.training.known_unit.dtype == np.int8


def test_evidence_without_rows_comes_back(settings: Settings) -> None:
    documents_only = declaration().model_copy(update={"model": None, "data": None})
    given = Evidence(declaration=documents_only, submission_digest="ef" * 32)
    given = replace(given, digest=digest_of(given))
    evidence_store.store(given, settings)
    back = evidence_store.load(given.digest, settings)
    assert back is not None
    same(given, back)


def test_files_are_private_and_hold_nothing_readable(settings: Settings) -> None:
    given = evidence()
    evidence_store.store(given, settings)
    (sealed,) = (settings.state / "evidence").glob("*")
    (key,) = (settings.state / "keys").glob("*")
    for path in (sealed, key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    raw = sealed.read_bytes()
    assert b"Female" not in raw
    assert b"Voorbeeld" not in raw
    assert key.read_bytes() not in raw


def test_erased_evidence_is_gone_with_its_key(settings: Settings) -> None:
    given = evidence()
    evidence_store.store(given, settings)
    assert evidence_store.erase(given.digest, settings)
    assert evidence_store.load(given.digest, settings) is None
    assert not list((settings.state / "keys").iterdir())
    assert not list((settings.state / "evidence").iterdir())
    assert not evidence_store.erase(given.digest, settings)


def test_without_its_key_evidence_counts_as_erased(settings: Settings) -> None:
    given = evidence()
    evidence_store.store(given, settings)
    (key,) = (settings.state / "keys").glob("*.key")
    key.unlink()
    assert evidence_store.load(given.digest, settings) is None


def test_evidence_ends_on_its_date(settings: Settings) -> None:
    given, other = evidence(), evidence(seed=8)
    evidence_store.store(given, settings, today=DAY)
    evidence_store.store(other, settings, today=DAY + dt.timedelta(days=5))
    last = DAY + dt.timedelta(days=settings.retention_days)
    assert evidence_store.load(given.digest, settings, today=last) is not None
    assert evidence_store.expire(settings, last) == ()
    assert evidence_store.load(given.digest, settings, today=last + dt.timedelta(days=1)) is None
    assert evidence_store.expire(settings, last + dt.timedelta(days=1)) == (given.digest,)
    assert [s.digest for s in evidence_store.kept(settings)] == [other.digest]


def test_sealing_again_leaves_one_file_and_one_key(settings: Settings) -> None:
    given = evidence()
    evidence_store.store(given, settings, today=DAY)
    evidence_store.store(given, settings, today=DAY + dt.timedelta(days=9))
    assert len(list((settings.state / "keys").iterdir())) == 1
    (sealed,) = evidence_store.kept(settings)
    assert sealed.expires == (DAY + dt.timedelta(days=9 + settings.retention_days)).isoformat()
    assert evidence_store.load(given.digest, settings, today=DAY) is not None


def _damage_middle(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def _cut_last_piece(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) - (len(raw) % (evidence_store.PIECE + 16)) - 16])


def _swap_pieces(path: Path) -> None:
    raw = path.read_bytes()
    piece = evidence_store.PIECE + 16
    start = raw.index(b"}") + 1
    path.write_bytes(
        raw[:start] + raw[start + piece : start + 2 * piece] + raw[start : start + piece] + raw[start + 2 * piece :]
    )


def _later_date(path: Path) -> None:
    raw = path.read_bytes()
    assert b'"expires": "2' in raw
    path.write_bytes(raw.replace(b'"expires": "2', b'"expires": "3'))


@pytest.mark.parametrize("harm", [_damage_middle, _cut_last_piece, _swap_pieces, _later_date])
def test_a_changed_file_is_noticed(settings: Settings, harm: object) -> None:
    given = evidence(60_000)
    evidence_store.store(given, settings)
    (sealed,) = (settings.state / "evidence").glob("*.sealed")
    harm(sealed)  # type: ignore[operator]
    with pytest.raises(Broken):
        evidence_store.load(given.digest, settings)


def test_one_evidence_does_not_pass_for_another(settings: Settings) -> None:
    given, other = evidence(), evidence(seed=8)
    for each in (given, other):
        evidence_store.store(each, settings)
    folder, keys = settings.state / "evidence", settings.state / "keys"
    (folder / f"{other.digest}.sealed").replace(folder / f"{given.digest}.sealed")
    for key in list(keys.glob(f"{other.digest}.*")):
        key.rename(keys / key.name.replace(other.digest, given.digest))
    with pytest.raises(Broken):
        evidence_store.load(given.digest, settings)


def test_facts_that_do_not_fit_their_digest_are_not_kept(settings: Settings) -> None:
    with pytest.raises(ValueError, match="digest"):
        evidence_store.store(replace(evidence(), seed=9), settings)


def test_an_array_of_objects_is_refused_and_leaves_nothing(settings: Settings) -> None:
    given = evidence()
    odd = replace(given, asked={"odd": Answers(values=np.zeros((1, 1)), facts={"o": np.array([object()])})})
    odd = replace(odd, digest=digest_of(odd))
    with pytest.raises(TypeError, match=r"answers\.odd\.o"):
        evidence_store.store(odd, settings)
    assert not list((settings.state / "evidence").iterdir())
    assert not list(settings.state.glob("keys/*"))


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "AB" * 32, "ab" * 31])
def test_what_is_no_digest_is_not_looked_for(settings: Settings, name: str) -> None:
    with pytest.raises(ValueError, match="64"):
        evidence_store.load(name, settings)


def test_the_same_evidence_sealed_by_many_at_once_can_be_opened(settings: Settings) -> None:
    given = evidence(200)

    def seal(_: int) -> bool:
        evidence_store.store(given, settings)
        return evidence_store.load(given.digest, settings) is not None

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(seal, range(20)))
    assert len(list((settings.state / "keys").iterdir())) == 1
    assert len(list((settings.state / "evidence").iterdir())) == 1
