"""What the house promises of the whole flow: nothing but features goes in, the same gives the same, nothing stays."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sandbox import respondent
from sandbox.assess import assess
from sandbox.settings import Settings
from sandbox.stages import Cancelled, Stage
from tests.make import real

COMMAND = Path(sys.executable).parent / "aiact-sandbox"
pytestmark = pytest.mark.bubblewrap
FEATURES = ["income", "months", "channel"]


def rows(seed: int, count: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "income": rng.normal(30, 8, count).round(2),
            "months": rng.integers(1, 60, count),
            "channel": rng.choice(["shop", "web"], count),
        }
    )
    pull = (table["income"] - 30) / 8 + (table["months"] - 30) / 30 + rng.normal(0, 0.5, count)
    table["granted"] = np.where(pull > 0, "yes", "no")
    table["sex"] = rng.choice(["f", "m"], count)
    return table


def submit(folder: Path, table: pd.DataFrame, *, group: str = "group") -> Path:
    """Write a submission with one model, trained on other rows, and this table."""
    import skops.io
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    train = rows(99)
    columns = make_column_transformer((OneHotEncoder(), ["channel"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(train[FEATURES], train["granted"])
    folder.mkdir(parents=True)
    skops.io.dump(model, folder / "model.skops")
    table.to_csv(folder / "test.csv", index=False)
    real.write_submission(
        folder,
        {
            "format": 1,
            "system": real.system("Small credit"),
            "model": {"file": "model.skops", "output": "probability", "score_of": "yes"},
            "data": {
                "file": "test.csv",
                "task": "binary",
                "classes": ["no", "yes"],
                "favourable": "yes",
                "columns": {"sex": group, "granted": "label"},
            },
        },
    )
    return folder


class Recording:
    """A connection that remembers what was sent through it."""

    def __init__(self, connection: Any, sent: bytearray) -> None:
        self._connection = connection
        self._sent = sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def sendall(self, content: Any, *rest: Any) -> None:
        self._sent += bytes(content)
        self._connection.sendall(content, *rest)

    def sendmsg(self, parts: Any, *rest: Any) -> int:
        count = int(self._connection.sendmsg(parts, *rest))
        self._sent += b"".join(bytes(part) for part in parts)[:count]
        return count

    def send(self, content: Any, *rest: Any) -> int:
        done: int = self._connection.send(content, *rest)
        self._sent += bytes(content)[:done]
        return done


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bytes]:
    """Record all that goes into the cells of the next assessment, one cell after the other."""
    recorded: list[bytearray] = []
    real_conversation = respondent.Conversation

    def recorded_conversation(running: Any, *rest: Any, **more: Any) -> Any:
        recorded.append(bytearray())
        running.connection = Recording(running.connection, recorded[-1])
        return real_conversation(running, *rest, **more)

    monkeypatch.setattr(respondent, "Conversation", recorded_conversation)

    def take() -> bytes:
        taken = b"".join(recorded)
        recorded.clear()
        return taken

    return take


def run(submission: Path, out: Path, settings: Settings, **more: Any) -> Any:
    return assess(submission, out=out, settings=settings, isolation="bubblewrap", seed=5, log_to_mlflow=False, **more)


def test_labels_and_groups_change_no_byte_on_the_wire(
    tmp_path: Path, settings: Settings, sent: Callable[[], bytes], bwrap: str
) -> None:
    table = rows(1)
    other = table.assign(
        granted=table["granted"].sample(frac=1.0, random_state=3).to_numpy(),
        sex=table["sex"].sample(frac=1.0, random_state=4).to_numpy(),
    )
    assert (other["granted"] != table["granted"]).any()
    assert (other["sex"] != table["sex"]).any()
    run(submit(tmp_path / "a", table), tmp_path / "out-a", settings)
    first = sent()
    run(submit(tmp_path / "b", other), tmp_path / "out-b", settings)
    second = sent()
    assert len(first) > 10_000
    assert first == second


def test_a_group_never_enters_unless_it_is_an_input_and_then_it_is_a_finding(
    tmp_path: Path, settings: Settings, sent: Callable[[], bytes], bwrap: str
) -> None:
    table = rows(1).assign(sex=lambda t: np.where(t["sex"] == "f", "group-marker-f", "group-marker-m"))
    done = run(submit(tmp_path / "a", table), tmp_path / "out", settings)
    assert b"group-marker" not in sent()
    (finding,) = [f for f in done.dossier.findings if f.check == "fairness.protected_input"]
    assert finding.outcome == "pass"


def test_the_same_submission_and_seed_give_the_same_dossier_byte_for_byte(
    tmp_path: Path, settings: Settings, bwrap: str
) -> None:
    submission = submit(tmp_path / "a", rows(1))
    folders = [run(submission, tmp_path / f"out-{n}", settings).folder for n in (1, 2)]
    names = sorted(p.relative_to(folders[0]).as_posix() for p in folders[0].rglob("*") if p.is_file())
    # run.json and what prints the receipt's times differ; everything else is the same file.
    same = [n for n in names if n == "dossier.json" or n.startswith(("figures/", "plots/"))]
    assert len(same) > 5
    for name in same:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_a_folder_and_a_zip_of_it_are_the_same_submission(tmp_path: Path, settings: Settings, bwrap: str) -> None:
    import shutil

    folder = submit(tmp_path / "a", rows(1))
    zipped = Path(shutil.make_archive(str(tmp_path / "a"), "zip", folder))
    one, two = run(folder, tmp_path / "out-1", settings), run(zipped, tmp_path / "out-2", settings)
    assert one.dossier.to_json() == two.dossier.to_json()


def test_judging_again_from_evidence_gives_the_same_findings(tmp_path: Path, settings: Settings, bwrap: str) -> None:
    import yaml

    from sandbox.judge_again import judge_again

    folder = submit(tmp_path / "a", rows(1).assign(age=lambda t: np.where(t["months"] > 30, "old", "young")))
    content = yaml.safe_load((folder / "submission.yaml").read_text(encoding="utf-8"))
    # Not in the order of the alphabet: the order that was declared is kept, also for pairs of attributes.
    content["data"]["columns"] = {"sex": "group", "age": "group", "granted": "label"}
    real.write_submission(folder, content)
    done = run(folder, tmp_path / "out", settings)
    again = judge_again(done.folder, out=tmp_path / "again", settings=settings, as_of=done.dossier.risk.as_of)
    assert again.dossier.to_json() == done.dossier.to_json()


def test_judging_again_by_the_arithmetic_of_another_processor_gives_the_same_to_a_billionth(
    tmp_path: Path, settings: Settings, bwrap: str
) -> None:
    done = run(submit(tmp_path / "a", rows(1)), tmp_path / "out", settings)
    state = str(settings.state)
    ended = subprocess.run(
        [
            *(str(COMMAND), "judge", str(done.folder), "--out", str(tmp_path / "again"), "--lang", "en"),
            *("--as-of", done.dossier.risk.as_of.isoformat()),
        ],
        capture_output=True,
        text=True,
        # The oldest kind that any processor of this family can do, which adds up in another order.
        env={"PATH": "/usr/bin:/bin", "HOME": state, "AIACT_SANDBOX_STATE": state, "OPENBLAS_CORETYPE": "Nehalem"},
        timeout=120,
        check=False,
    )
    assert ended.returncode in (0, 1, 5), ended.stderr
    again = json.loads((tmp_path / "again" / "dossier.json").read_text(encoding="utf-8"))
    before = json.loads(done.dossier.to_json())
    assert again == approximately(before)


def approximately(given: Any) -> Any:
    """Replace each number by one that equals what is within a billionth of it."""
    match given:
        case dict():
            return {name: approximately(inner) for name, inner in given.items()}
        case list():
            return [approximately(inner) for inner in given]
        case float():
            return pytest.approx(given, rel=1e-9, abs=1e-9)
        case _:
            return given


def test_judging_again_without_evidence_says_what_was_erased(tmp_path: Path, settings: Settings, bwrap: str) -> None:
    from sandbox.judge_again import judge_again
    from sandbox.records import evidence_store

    done = run(submit(tmp_path / "a", rows(1)), tmp_path / "out", settings)
    evidence_store.erase(done.dossier.submission.evidence_digest, settings)
    again = judge_again(done.folder, out=tmp_path / "again", settings=settings, as_of=done.dossier.risk.as_of)
    for before, after in zip(done.dossier.findings, again.dossier.findings, strict=True):
        if before.rejudge == "dossier":
            assert after == before
        elif before.outcome != "not_applicable":
            assert after.outcome == "not_gathered"
            assert after.reason is not None
            assert after.reason.code == "evidence_erased"


def left_behind(settings: Settings) -> list[str]:
    """List what an assessment left in the state folder beside evidence, its keys and the cell tree."""
    kept = ("evidence", "keys", "cell-tree", "mlflow", "outbox")
    return [
        str(p.relative_to(settings.state))
        for p in settings.state.rglob("*")
        if p.is_file()
        and not p.relative_to(settings.state).parts[0].startswith(kept)
        and p.suffix != ".lock"
        and p.name != "installation"
    ]


def test_cancelling_leaves_no_cell_no_draft_and_no_quarantine(tmp_path: Path, settings: Settings, bwrap: str) -> None:
    submission = submit(tmp_path / "a", rows(1, 6_000))
    cancel = threading.Event()
    asked_at: list[float] = []

    def progress(stage: Stage) -> None:
        if stage.name == "ask" and stage.done and not asked_at:
            asked_at.append(time.monotonic())
            cancel.set()

    with pytest.raises(Cancelled):
        run(submission, tmp_path / "out", settings, progress=progress, cancel=cancel)
    assert time.monotonic() - asked_at[0] < 2.0
    assert not (tmp_path / "out").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".out")] == []
    assert left_behind(settings) == []


def test_the_dossier_follows_its_published_schema(tmp_path: Path, settings: Settings, bwrap: str) -> None:
    import jsonschema

    done = run(submit(tmp_path / "a", rows(1)), tmp_path / "out", settings)
    root = Path(__file__).resolve().parents[2]
    schema = json.loads((root / "docs" / "reference" / "dossier.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads((done.folder / "dossier.json").read_text(encoding="utf-8")), schema)


def test_limits_of_the_providers_own_go_first_and_say_so(tmp_path: Path, settings: Settings, bwrap: str) -> None:
    import yaml

    folder = submit(tmp_path / "a", rows(1))
    content = yaml.safe_load((folder / "submission.yaml").read_text(encoding="utf-8"))
    content["limits"] = {"accuracy.overall.accuracy": {"at_least": 0.999, "reason": "because this test asks for it"}}
    real.write_submission(folder, content)
    done = run(folder, tmp_path / "out", settings)
    finding = done.dossier.finding("accuracy.overall")
    assert finding.outcome == "fail"
    assert finding.limit["accuracy"].origin == "provider"
    assert done.dossier.submission.limits_recorded.digest


BRITTLE = """
import numpy as np

class Brittle:
    classes_ = np.array(['no', 'yes'])

    def __init__(self):
        self.known = set(KNOWN)

    def predict_proba(self, table):
        pairs = list(zip(table['income'].round(2), table['months']))
        if not all((float(a), int(b)) in self.known for a, b in pairs):
            raise ValueError('I have never seen such a person')
        score = (table['income'].to_numpy() > 30).astype(float) * 0.8 + 0.1
        return np.column_stack([1 - score, score])

    def predict(self, table):
        return self.classes_[self.predict_proba(table).argmax(axis=1)]
"""


def test_a_question_of_ours_that_breaks_the_model_does_not_cost_it_its_own_answers(
    tmp_path: Path, settings: Settings, bwrap: str
) -> None:
    import builtins
    import pickle

    table = rows(1)
    known = {(float(a), int(b)) for a, b in zip(table["income"], table["months"], strict=True)}

    class Payload:
        def __reduce__(self) -> Any:
            source = BRITTLE.replace("KNOWN", repr(sorted(known)))
            return builtins.eval, (f"[ns := {{}}, exec({source!r}, ns), ns['Brittle']()][-1]",)

    folder = submit(tmp_path / "a", table)
    (folder / "model.skops").unlink()
    (folder / "model.pkl").write_bytes(pickle.dumps(Payload()))
    import yaml

    content = yaml.safe_load((folder / "submission.yaml").read_text(encoding="utf-8"))
    content["model"] = {"file": "model.pkl", "output": "probability", "score_of": "yes", "allow_code": True}
    real.write_submission(folder, content)
    dossier = run(folder, tmp_path / "out", settings).dossier
    assert dossier.finding("robustness.answered").reason.code == "other_questions_unanswered"
    assert dossier.finding("robustness.answered").measure("unanswered_rows").value == 0
    assert dossier.finding("fairness.selection_rate", "sex").measure("difference").value is not None
    assert dossier.finding("explainability.feature_importance").outcome == "not_gathered"
    assert dossier.finding("cybersecurity.model_file").outcome == "fail"


FAULTY = {
    "crashed": "import os, signal\n        os.kill(os.getpid(), signal.SIGSEGV)",
    "timed_out": "import time\n        time.sleep(600)",
    "not_finite": "return np.full((len(table), 2), np.nan)",
    "wrong_shape": "return np.zeros((len(table) + 1, 2))",
    "out_of_memory": "return [bytearray(2**28) for _ in range(64)]",
}


@pytest.mark.parametrize("code", sorted(FAULTY))
def test_a_model_that_fails_is_a_finding_that_names_the_fault(
    tmp_path: Path, settings: Settings, code: str, bwrap: str
) -> None:
    import builtins
    import pickle

    import yaml

    from checks.finding import Outcome
    from sandbox.isolation.interface import Limits

    source = f"""
import numpy as np

class Faulty:
    classes_ = np.array(['no', 'yes'])

    def predict_proba(self, table):
        {FAULTY[code]}

    predict = predict_proba
"""

    class Payload:
        def __reduce__(self) -> Any:
            return builtins.eval, (f"[ns := {{}}, exec({source!r}, ns), ns['Faulty']()][-1]",)

    folder = submit(tmp_path / "a", rows(1))
    (folder / "model.skops").unlink()
    (folder / "model.pkl").write_bytes(pickle.dumps(Payload()))
    content = yaml.safe_load((folder / "submission.yaml").read_text(encoding="utf-8"))
    content["model"] = {"file": "model.pkl", "output": "probability", "score_of": "yes", "allow_code": True}
    real.write_submission(folder, content)
    limits = Limits(answer_seconds=3.0, memory_bytes=768 * 1024**2)
    done = run(folder, tmp_path / "out", settings, limits=limits)
    finding = done.dossier.finding("robustness.answered")
    assert finding.outcome is Outcome.FAIL
    assert finding.reason.code == f"fault_{code}"
    assert done.dossier.finding("fairness.selection_rate", "sex").outcome is Outcome.NOT_GATHERED
    card = (done.folder / "model_card.en.md").read_text(encoding="utf-8")
    assert f"[fault_{code}]" not in card
    assert left_behind(settings) == []
