"""Assessments that are made up, to try what the service does with them; each has the signature of the real one."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from checks.ai_act.risk import Risk
from checks.declaration import Declaration
from checks.evidence import Document, Evidence, digest_of
from checks.finding import AppliedLimit, Finding, GroupMeasures, Item, Measure, Outcome, Reason, Rejudge
from model_cards.dossier import Assessment, CountTable, Dossier, PolicyFacts, Run, Standing, SubmissionFacts
from sandbox.errors import CellUnavailable, Problem, Refused
from sandbox.records import evidence_store
from sandbox.settings import Settings
from sandbox.stages import NAMES, Cancelled, Stage

HOSTILE = 'Loan <script>alert("x")</script> \u202etset\u202c'


def declare(name: str = "Loan decisions", version: str = "1.2") -> Declaration:
    """Declare a system with a model."""
    return Declaration.model_validate(
        {
            "system": {
                "name": name,
                "version": version,
                "provider": {"name": "Example BV", "contact": "someone@example.org", "size": "small"},
                "intended_purpose": "Decides on loans.",
            },
            "model": {"file": "model.skops", "output": "probability", "score_of": "yes"},
            "data": {
                "file": "test.csv",
                "task": "binary",
                "classes": ["no", "yes"],
                "favourable": "yes",
                "threshold": 0.4,
                "columns": {"sex": "group", "home town": "group", "granted": "label"},
            },
        }
    )


def finding(
    check: str, outcome: Outcome, *measures: Measure, attribute: str | None = None, limit: float | None = None
) -> Finding:
    """Make a finding."""
    applied = AppliedLimit(at_least=limit, origin="policy", outcome=outcome)
    return Finding(
        check=check,
        outcome=outcome,
        attribute=attribute,
        limit={} if limit is None else {"ratio": applied},
        rejudge=Rejudge.DOSSIER,
        measures=measures,
        groups=(GroupMeasures(group={attribute: "f"}, rows=5, measures=measures),) if attribute else (),
    )


def findings() -> tuple[Finding, ...]:
    """Make findings of several outcomes, with an attribute and a measure whose names MLflow does not allow."""
    ratio = Measure(name="ratio", value=0.71, low=0.6, high=0.78, rows=900, unit="ratio")
    unknown = Measure(name="ratio", value=None, rows=0, unit="ratio", reason=Reason(code="no_labels"))
    accuracy = Measure(name="accuracy", value=0.87, low=0.86, high=0.88, rows=1000, unit="share")
    odd = Measure(name="rate @ 5%", value=0.5, rows=20, unit="share")
    return (
        finding("fairness.selection_rate", Outcome.FAIL, ratio, attribute="sex", limit=0.8),
        finding("fairness.selection_rate", Outcome.INCONCLUSIVE, ratio, attribute="home town", limit=0.8),
        finding("fairness.equal_opportunity", Outcome.INCONCLUSIVE, unknown, attribute="sex", limit=0.8),
        finding("accuracy.overall", Outcome.PASS, accuracy, limit=0.8),
        finding("accuracy.top", Outcome.MEASURED, odd),
    )


def dossier(name: str = "Loan decisions", *, found: Sequence[Finding] | None = None, seed: int = 4) -> Dossier:
    """Make a dossier."""
    risk = Risk.model_validate(
        {
            "class": "high_risk_annex_iii",
            "routes": [],
            "overlays": [],
            "possible": [],
            "undecided_by": [],
            "path": [],
            "other_law": [],
            "duties": [],
            "rules_version": "2026.1",
            "as_of": "2026-06-01",
        }
    )
    return Dossier(
        submission=SubmissionFacts(
            digest="5" * 64,
            route=declare(name).route,
            evidence_digest=evidence(name).digest,
            files={"model.skops": "a" * 64, "test.csv": "b" * 64},
        ),
        declaration=declare(name),
        findings=tuple(findings() if found is None else found),
        risk=risk,
        policy=PolicyFacts(
            name="default",
            version="1",
            recorded=dt.date(2026, 1, 1),
            confidence=0.95,
            minimum_rows=30,
            suppress_below=10,
        ),
        counts=(CountTable(kind="cells", attribute="", columns={"group": (None, None), "rows": (600, 400)}),),
        versions={"aiact-sandbox": "0"},
        seed=seed,
    )


def evidence(name: str = "Loan decisions") -> Evidence:
    """Make the evidence of that dossier: a document alone."""
    made = Evidence(
        declaration=declare(name),
        submission_digest="5" * 64,
        documents=(Document(name="a.md", text="text", digest="c" * 64),),
    )
    return replace(made, digest=digest_of(made))


def write(
    folder: Path, name: str = "Loan decisions", *, found: Sequence[Finding] | None = None, who: str = "", plots: int = 2
) -> Assessment:
    """Write the folder of a dossier."""
    made = dossier(name, found=found)
    run = Run(
        attested_by="service",
        dossier_digest=made.digest,
        intake="limited_process",
        started="2026-06-01T10:00:00+00:00",
        ended="2026-06-01T10:00:09+00:00",
        seconds={"judge": 1.5},
        who=who,
    )
    for part in ("plots", "figures"):
        (folder / part).mkdir(parents=True)
    (folder / "dossier.json").write_bytes(made.to_json())
    (folder / "run.json").write_bytes(run.to_json())
    for lang in ("en", "nl"):
        page = f"<!doctype html><header><h1>Card {lang}</h1></header><script>alert(1)</script>"
        (folder / f"model_card.{lang}.html").write_text(page)
        (folder / f"model_card.{lang}.md").write_text(f"# Card {lang}\n")
        (folder / f"model_card.{lang}.pdf").write_bytes(b"%PDF-1.7\n")
    for i in range(plots):
        (folder / "plots" / f"plot{i}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "figures" / "rows.parquet").write_bytes(b"PAR1")
    (folder / "SHA256SUMS").write_text("\n")
    return Assessment(dossier=made, run=run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a made-up assessment leaves; as `sandbox.assess.Assessed`."""

    assessment: Assessment
    evidence: Evidence
    folder: Path


def quick(
    submission: Path,
    *,
    out: Path,
    settings: Settings,
    progress: Callable[[Stage], None],
    cancel: threading.Event,
    **more: Any,
) -> Made:
    """Go through all stages at once; the system's name is what the upload holds."""
    assert more["attested_by"] == "service"
    assert more["log_to_mlflow"] is False
    name = submission.read_bytes().decode("utf-8", "replace")[:100] or "nothing"
    for stage in NAMES[:-1]:
        progress(Stage(name=stage, done=1, total=1))
        assert not cancel.is_set()
    assessment = write(out, name)
    evidence_store.store(evidence(name), settings)
    return Made(assessment=assessment, evidence=evidence(name), folder=out)


def slow(
    submission: Path, *, out: Path, progress: Callable[[Stage], None], cancel: threading.Event, **more: Any
) -> Made:
    """Ask for a long time; stop when told to."""
    draft = out.with_name(f".{out.name}.draft")
    draft.mkdir()
    for i in range(600):
        progress(Stage(name="ask", done=i, total=600))
        if cancel.wait(0.05):
            draft.rmdir()
            raise Cancelled
    raise AssertionError("nobody stopped it")


def deaf(submission: Path, *, out: Path, progress: Callable[[Stage], None], **more: Any) -> Made:
    """Ask for a long time, listen to nobody, and start something that would go on alone."""
    out.with_name(f".{out.name}.draft").mkdir()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    progress(Stage(name="ask", done=child.pid, total=0))
    while True:
        time.sleep(1)


def refused(submission: Path, **more: Any) -> Made:
    """Find two things wrong with the submission."""
    raise Refused(
        [
            Problem(field="data.columns.sex", code="table.column_missing", message="The table has no column sex."),
            Problem(field="model.file", code="model.absent", message=f"There is no file {HOSTILE}."),
        ]
    )


def no_wall(submission: Path, **more: Any) -> Made:
    """Have no wall."""
    raise CellUnavailable("The wall did not hold.", probes=("core_pattern",))


def broken(submission: Path, **more: Any) -> Made:
    """Have a fault of our own."""
    raise ZeroDivisionError("a secret of ours")


def killed(submission: Path, *, out: Path, progress: Callable[[Stage], None], **more: Any) -> Made:
    """Be killed, as by a machine without memory."""
    out.with_name(f".{out.name}.draft").mkdir()
    unpacked = more["settings"].state / "quarantine" / f"submission-{os.getpid()}-abc" / "files"
    unpacked.mkdir(parents=True)
    (unpacked / "model.pkl").write_bytes(b"x")
    unpacked.chmod(0o500)
    progress(Stage(name="ask", done=1, total=2))
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def documented(submission: Path, *, out: Path, settings: Settings, **more: Any) -> Made:
    """Do as `quick`, and find a passage in a document."""
    name = submission.read_bytes().decode("utf-8", "replace")[:100]
    item = Item(id="annex_iv.2g", state="found", params={"document": "a.md", "passage": f"Tested on {HOSTILE}"})
    held = finding("documentation.annex_iv", Outcome.MEASURED).model_copy(update={"items": (item,)})
    assessment = write(out, name, found=(*findings(), held))
    evidence_store.store(evidence(name), settings)
    return Made(assessment=assessment, evidence=evidence(name), folder=out)


def held(submission: Path, *, out: Path, settings: Settings, holdout: Path | None, **more: Any) -> Made:
    """Assess with a reviewer's rows; which were handed over the notes of the run tell."""
    assert holdout is not None
    name = submission.read_bytes().decode("utf-8", "replace")[:100]
    assessment = write(out, name)
    assert assessment.run is not None
    digest = hashlib.sha256(holdout.read_bytes()).hexdigest()
    run = assessment.run.model_copy(update={"attested_by": "reviewer", "notes": (f"{holdout.suffix} {digest}",)})
    (out / "run.json").write_bytes(run.to_json())
    evidence_store.store(evidence(name), settings)
    return Made(assessment=Assessment(dossier=assessment.dossier, run=run), evidence=evidence(name), folder=out)


def summed(submission: Path, *, out: Path, settings: Settings, **more: Any) -> Made:
    """Do as `quick`, and list the digests of all files, as a real dossier does."""
    name = submission.read_bytes().decode("utf-8", "replace")
    assessment = write(out, name)
    (out / "SHA256SUMS").unlink()
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(out).as_posix()}\n"
        for path in sorted(p for p in out.rglob("*") if p.is_file())
    ]
    (out / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    evidence_store.store(evidence(name), settings)
    return Made(assessment=assessment, evidence=evidence(name), folder=out)


def told(submission: Path, *, out: Path, settings: Settings, standing: Callable[..., Standing], **more: Any) -> Made:
    """Do as `quick`, and write down what the service tells of the submission."""
    name = submission.read_bytes().decode("utf-8", "replace")[:100]
    assessment = write(out, name)
    assert assessment.run is not None
    run = assessment.run.model_copy(update={"standing": standing(None, None)})
    (out / "run.json").write_bytes(run.to_json())
    evidence_store.store(evidence(name), settings)
    return Made(assessment=Assessment(dossier=assessment.dossier, run=run), evidence=evidence(name), folder=out)


def until_told(submission: Path, *, progress: Callable[[Stage], None], cancel: threading.Event, **more: Any) -> Made:
    """Ask until told to stop, however long that takes."""
    while not cancel.wait(0.1):
        progress(Stage(name="ask", done=1, total=2))
    raise Cancelled


def a_while(submission: Path, *, progress: Callable[[Stage], None], cancel: threading.Event, **more: Any) -> Made:
    """Ask for two seconds, unless told to stop; then do as `quick`."""
    for i in range(20):
        progress(Stage(name="ask", done=i, total=20))
        if cancel.wait(0.1):
            raise Cancelled
    return quick(submission, progress=progress, cancel=cancel, **more)


def seeded(submission: Path, **more: Any) -> Any:
    """Assess in earnest, with questions that are drawn the same each time."""
    from sandbox.assess import assess

    return assess(submission, **{**more, "seed": 7})
