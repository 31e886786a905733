"""Two dossiers side by side: what moved beyond its interval, changed outcome, came or went."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from checks.finding import AppliedLimit, GroupMeasures, Measure, Outcome
from model_cards.dossier import Dossier
from model_cards.words import languages
from sandbox.cli import main
from sandbox.comparing import Comparison, as_html, as_text, compare
from sandbox.records.uploads import zip_dossier
from tests.make import dossiers
from tests.make.assessments import assessment

CHECK = "fairness.selection_rate"


def changed(dossier: Dossier, check: str, **changes: Any) -> Dossier:
    """Change one finding of a dossier."""
    findings = tuple(f.model_copy(update=changes) if f.check == check else f for f in dossier.findings)
    return dossier.model_copy(update={"findings": findings})


def with_measure(dossier: Dossier, **changes: Any) -> Dossier:
    """Change the headline difference of one finding."""
    finding = dossier.finding(CHECK, "sex")
    assert finding is not None
    first, *rest = finding.measures
    return changed(dossier, CHECK, measures=(first.model_copy(update=changes), *rest))


@pytest.fixture
def before() -> Dossier:
    """The earlier dossier."""
    return assessment().dossier


def test_nothing_changed_between_a_dossier_and_itself(before: Dossier) -> None:
    found = compare(before, before)
    assert found.outcomes == found.moved == found.duties == found.files == found.limits == ()
    assert found.without_interval == found.on_one_side == ()
    assert not found.class_changed


def test_a_figure_moved_only_where_its_intervals_do_not_overlap(before: Dossier) -> None:
    (moved,) = compare(before, with_measure(before, value=0.1, low=0.08, high=0.12)).moved
    assert (moved.check, moved.attribute, moved.group, moved.measure) == (CHECK, "sex", "", "difference")
    assert moved.after is not None
    assert moved.after.value == 0.1
    assert compare(before, with_measure(before, value=0.185, low=0.16, high=0.19)).moved == ()
    assert compare(before, with_measure(before, value=0.19450000000001)).moved == ()


def test_a_figure_of_a_group_that_moved_names_the_group(before: Dossier) -> None:
    finding = before.finding(CHECK, "sex")
    assert finding is not None
    first, *rest = finding.groups
    rate = first.measures[0].model_copy(update={"value": 0.5, "low": 0.48, "high": 0.52})
    after = changed(before, CHECK, groups=(first.model_copy(update={"measures": (rate,)}), *rest))
    (moved,) = compare(before, after).moved
    assert moved.group == "sex: Female"


def test_figures_without_an_interval_or_on_one_side_are_kept_apart(before: Dossier) -> None:
    found = compare(before, with_measure(before, value=0.5, low=None, high=None))
    assert [m.measure for m in found.without_interval] == ["difference"]
    assert found.moved == ()
    found = compare(before, with_measure(before, value=None, low=None, high=None))
    assert [m.measure for m in found.on_one_side] == ["difference"]


def test_a_changed_outcome_and_a_changed_limit_are_named(before: Dossier) -> None:
    limit = {"difference": AppliedLimit(at_most=0.3, origin="policy", outcome=Outcome.PASS)}
    found = compare(before, changed(before, CHECK, outcome=Outcome.PASS, limit=limit))
    assert [(c.what, c.before, c.after) for c in found.outcomes] == [(f"{CHECK}/sex", "fail", "pass")]
    assert ("fairness.selection_rate.difference", "at_most:0.1", "at_most:0.3") in [
        (c.what, c.before, c.after) for c in found.limits
    ]


def test_duties_that_came_or_went_and_a_class_that_changed_are_named_with_the_rules(before: Dossier) -> None:
    gone, *others = before.risk.duties
    risk = before.risk.model_copy(
        update={"duties": tuple(others), "risk_class": "minimal", "rules_version": "another.2"}
    )
    found = compare(before, before.model_copy(update={"risk": risk}))
    assert [(c.what, c.after) for c in found.duties] == [(f"{gone.id}/{gone.role}", None)]
    assert found.class_changed
    assert (found.before.risk_class, found.after.risk_class) == (before.risk.risk_class, "minimal")
    assert found.after.rules_version == "another.2"
    back = compare(before.model_copy(update={"risk": risk}), before)
    assert [(c.what, c.before) for c in back.duties] == [(f"{gone.id}/{gone.role}", None)]


def test_documents_that_came_went_or_changed_are_named_and_other_data_are_said(before: Dossier) -> None:
    def having(**files: str) -> Dossier:
        submission = before.submission.model_copy(update={"files": {k.replace("_", "."): v for k, v in files.items()}})
        return before.model_copy(update={"submission": submission})

    found = compare(having(test_parquet="1", a_md="1", b_md="1"), having(test_parquet="2", a_md="2", c_md="1"))
    assert {c.what: (c.before, c.after) for c in found.files} == {
        "test.parquet": ("1", "2"),
        "a.md": ("1", "2"),
        "b.md": ("1", None),
        "c.md": (None, "1"),
    }
    assert found.same_data is False
    assert "evaluation data are not the same" in as_text(found, "en")


def everything(before: Dossier) -> Comparison:
    """A comparison in which everything changed."""
    after = with_measure(changed(before, CHECK, outcome=Outcome.PASS, limit={}), value=0.1, low=0.08, high=0.12)
    findings = tuple(f for f in after.findings if f.check != "fairness.equal_opportunity")
    risk = before.risk.model_copy(update={"duties": before.risk.duties[1:], "risk_class": "minimal", "routes": ()})
    submission = before.submission.model_copy(update={"files": {"new.md": "1" * 64}})
    return compare(before, after.model_copy(update={"findings": findings, "risk": risk, "submission": submission}))


@pytest.mark.parametrize("lang", languages())
def test_a_comparison_is_told_without_a_missing_word_and_without_a_verdict(before: Dossier, lang: str) -> None:
    found = everything(before)
    assert found.moved
    assert found.duties
    assert found.limits
    for text in (as_text(found, lang), as_html(found, lang).decode()):
        assert not re.search(r"\[(comparing|card|law|outcomes|checks|terminal)\.", text)
        assert not re.search(r"\{[a-z_]+\}", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL))
        assert not re.search(r"\b(fair|safe|passed|compliant|eerlijk|veilig|geslaagd)\b", text, re.IGNORECASE)
        assert "57" in text


def test_the_page_escapes_what_a_provider_wrote(before: Dossier) -> None:
    system = before.declaration.system.model_copy(update={"name": "<script>alert(1)</script>"})
    after = before.model_copy(update={"declaration": before.declaration.model_copy(update={"system": system})})
    page = as_html(compare(before, after), "en").decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_command_compares_folders_and_zips_as_text_json_and_html(tmp_path: Path, before: Dossier) -> None:
    one = dossiers.bare(tmp_path / "one", assessment())
    two = dossiers.bare(tmp_path / "two", assessment())
    (two / "dossier.json").write_bytes(with_measure(before, value=0.1, low=0.08, high=0.12).to_json())
    zip_dossier(two, tmp_path / "two.zip")
    run = CliRunner()
    told = run.invoke(main, ["compare", str(one), str(tmp_path / "two.zip")])
    assert told.exit_code == 0, told.output
    assert "1 figures moved beyond their intervals" in told.output
    given = run.invoke(main, ["compare", str(one), str(two), "--json"])
    (moved,) = json.loads(given.stdout)["moved"]
    assert (moved["before"]["value"], moved["after"]["value"]) == (0.1945, 0.1)
    page = run.invoke(main, ["compare", str(one), str(two), "--html", str(tmp_path / "c.html"), "--lang", "nl"])
    assert page.exit_code == 0
    assert (tmp_path / "c.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_is_no_dossier_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "dossier.json").write_text("[1]")
    for name in ("empty", "odd"):
        assert CliRunner().invoke(main, ["compare", str(tmp_path / name), str(tmp_path / name)]).exit_code == 3
    assert CliRunner().invoke(main, ["compare", str(tmp_path / "no"), str(tmp_path / "no")]).exit_code == 2


def test_an_exact_figure_that_differs_has_moved() -> None:
    was = assessment().dossier
    exact = {"value": 0.2, "low": 0.2, "high": 0.2}
    found = compare(with_measure(was, **exact), with_measure(was, value=0.3, low=0.3, high=0.3))
    assert isinstance(found.moved[0].before, Measure)
    assert found.moved[0].before.value == 0.2


def test_what_figures_are_told_apart_by_is_named_in_the_readers_language(before: Dossier) -> None:
    def by_input(value: float) -> Dossier:
        measure = Measure(name="difference", value=value, rows=9, unit="share")
        return changed(before, CHECK, groups=(GroupMeasures(group={"feature": "age"}, rows=9, measures=(measure,)),))

    one, two = by_input(0.1), by_input(0.2)
    text = as_text(compare(one, two), "nl")
    assert "(Kenmerk: age)" in text
    assert "feature" not in text


def test_a_figure_beside_what_was_claimed_is_compared_in_points(before: Dossier) -> None:
    found = before.findings[0].model_copy(update={"check": "accuracy.claims", "attribute": None, "groups": ()})

    def claimed(gap: float) -> Dossier:
        measure = Measure(name="accuracy", value=gap, low=gap - 0.01, high=gap + 0.01, rows=99, unit="share")
        return before.model_copy(update={"findings": (found.model_copy(update={"measures": (measure,)}),)})

    assert "10.0 percentage points" in re.sub(r"\s", " ", as_text(compare(claimed(0.02), claimed(0.1)), "en"))
