"""What is public holds no rows, no single decisions and no small count, also not between the lines or the releases."""

from __future__ import annotations

import json
import random
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from checks.finding import Outcome
from model_cards import public
from model_cards.build import build
from model_cards.dossier import Assessment, Dossier
from model_cards.exports import exports, markdown
from model_cards.public import WITHHELD
from model_cards.suppression import Depth
from model_cards.words import KEPT_IN, Words
from sandbox import publishing
from sandbox.errors import Refused
from sandbox.publishing import publish, publish_to
from sandbox.settings import Settings
from sandbox.verifying import verify
from tests.make import dossiers, releases
from tests.make.assessments import measured_by_all_checks
from tests.make.releases import Attacker, Cells, counted

ALL = ((0, 0), (0, 1), (1, 0), (1, 1))
MINIMUM = 10

LARGE: Cells = {(0, 0): 90, (0, 1): 40, (1, 0): 30, (1, 1): 80}
MIDDLE: Cells = {(0, 0): 45, (0, 1): 15, (1, 0): 20, (1, 1): 35}
SMALL: Cells = {(0, 0): 2, (0, 1): 0, (1, 0): 1, (1, 1): 1}
FEW_WRONG: Cells = {(0, 0): 60, (0, 1): 3, (1, 0): 20, (1, 1): 50}


def small_counts(groups: dict[str, Cells]) -> list[tuple[str, frozenset[tuple[int, int]]]]:
    """Every count below the minimum that somebody could want to know: cells, rows, and rows by decision."""
    wanted = [frozenset({c}) for c in ALL] + [frozenset(ALL), frozenset(ALL[::2]), frozenset(ALL[1::2])]
    found = []
    for g, cells in groups.items():
        for sums in wanted:
            if sum(cells[c] for c in sums) < MINIMUM:
                found.append((g, sums))
    return found


def assert_nothing_is_found(attacker: Attacker, release: int, groups: dict[str, Cells]) -> int:
    tried = 0
    for group, cells in small_counts(groups):
        total = sum(groups[g][c] for g in groups for c in cells)
        if total == 0:
            continue
        low, high = attacker.bracket(release, group, cells)
        true = sum(groups[group][c] for c in cells)
        assert low - 1e-6 <= true <= high + 1e-6
        assert high - low >= min(MINIMUM, total) - 1e-6, (group, sorted(cells), true, low, high)
        tried += 1
    return tried


@pytest.mark.parametrize(
    "groups",
    [
        {"a": LARGE, "b": MIDDLE, "c": SMALL},
        {"a": LARGE, "b": SMALL},
        {"a": LARGE, "b": MIDDLE, "c": FEW_WRONG},
        {"a": LARGE, "b": MIDDLE, "c": FEW_WRONG, "d": FEW_WRONG, "e": SMALL},
        {"a": SMALL, "b": SMALL, "c": LARGE, "d": LARGE},
        # Here sums alone keep enough in, and yet rows and decisions bracket a count too narrowly.
        {
            "a": {(0, 0): 4, (0, 1): 12, (1, 0): 9, (1, 1): 14},
            "b": {(0, 0): 4, (0, 1): 9, (1, 0): 1, (1, 1): 12},
            "c": {(0, 0): 1, (0, 1): 12, (1, 0): 4, (1, 1): 9},
        },
        {"a": {**LARGE, (0, 1): 400}, "b": {**MIDDLE, (0, 1): 0}, "c": {**MIDDLE, (0, 1): 0}},
    ],
)
def test_no_small_count_is_found_from_all_that_is_public_together(groups: dict[str, Cells], settings: Settings) -> None:
    left = publish(counted(groups), settings)
    attacker = Attacker(groups)
    attacker.learn(left.dossier, left, "origin")
    assert assert_nothing_is_found(attacker, 0, groups) > 0


def test_no_small_count_is_found_whatever_the_table(settings: Settings, tmp_path: Path) -> None:
    drawn = random.Random(20261124)
    tried = published = 0
    for number in range(10):
        groups: dict[str, Cells] = {
            f"g{i}": {c: drawn.choice((0, 1, 4, 9, 12, 30, 80, 200)) for c in ALL} for i in range(drawn.randint(2, 6))
        }
        groups = {g: cells for g, cells in groups.items() if sum(cells.values())}
        left = publish(counted(groups), replace(settings, state=tmp_path / str(number)))
        attacker = Attacker(groups)
        attacker.learn(left.dossier, left, "origin")
        tried += assert_nothing_is_found(attacker, 0, groups)
        published += sum(len(f.groups) for f in left.dossier.findings)
    assert tried > 40
    assert published > 5


def test_the_whole_dossier_would_have_given_it_away(settings: Settings) -> None:
    groups = {"a": LARGE, "b": MIDDLE, "c": SMALL}
    made = counted(groups)
    attacker = Attacker(groups)
    attacker.learn(made.dossier, made, "origin")
    assert attacker.bracket(0, "c", ALL) == pytest.approx((4, 4))


def test_one_small_group_takes_a_second_with_it(settings: Settings) -> None:
    groups = {"a": LARGE, "b": MIDDLE, "c": SMALL}
    (depths,) = publishing._decided(counted(groups).dossier, MINIMUM, settings).values()
    assert depths == {"a": Depth.EVERYTHING, "b": Depth.NOTHING, "c": Depth.NOTHING}


def test_a_group_with_few_errors_still_shows_how_often_it_is_selected(settings: Settings) -> None:
    groups = {"a": LARGE, "b": MIDDLE, "c": FEW_WRONG}
    left = publish(counted(groups), settings).dossier
    rates = left.finding("fairness.selection_rate", "origin")
    errors = left.finding("fairness.false_positive_rate", "origin")
    assert rates is not None
    assert errors is not None
    assert [g.group["origin"] for g in rates.groups] == ["a", "b", "c"]
    assert rates.measure("difference") is not None
    assert [g.group["origin"] for g in errors.groups] == ["a"]
    assert errors.measures == ()
    assert errors.reason is not None
    assert errors.reason.code == WITHHELD


@pytest.mark.parametrize(
    ("lang", "said", "wrong"),
    [
        ("en", "The figure is kept out of this public package.", "was not measured"),
        ("nl", "Het cijfer is uit dit openbare pakket weggelaten.", "is niet gemeten"),
    ],
)
def test_a_figure_that_is_kept_in_is_not_called_unmeasured(
    lang: str, said: str, wrong: str, settings: Settings
) -> None:
    left = publish(counted({"a": LARGE, "b": MIDDLE, "c": SMALL}), settings)
    finding = left.dossier.finding("fairness.selection_rate", "origin")
    assert finding is not None
    assert finding.reason is not None
    assert finding.reason.code in KEPT_IN
    sentence = Words(lang).finding_sentence(finding)
    assert said in sentence
    assert Words(lang).outcome(finding.outcome) in sentence
    assert wrong not in sentence


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_every_document_of_a_public_package_says_in_its_first_lines_that_it_is_one(
    lang: str, settings: Settings
) -> None:
    made = counted({"a": LARGE, "b": MIDDLE, "c": SMALL})
    left = publish(made, settings)
    said = Words(lang)("card.public.package", below=MINIMUM)
    assert build(left, lang).opening[0].lines[0][0].text == said
    assert json.loads(left.dossier.to_json())["publication"] == {"noise": None, "suppress_below": MINIMUM}
    assert "publication" not in json.loads(made.dossier.to_json())
    for name in ("annex_viii", "annex_iv_pack", "fria", "test_report", "croissant", "sarif", "system_card"):
        text = exports()[name].render(left, lang).decode()
        assert said in text, name
        assert said not in exports()[name].render(made, lang).decode(), name
    with pytest.raises(Refused, match="public package already"):
        publish(left, settings)


def test_two_releases_about_the_same_people_cannot_be_subtracted(settings: Settings, tmp_path: Path) -> None:
    # Two systems decide about the same people: what the one shows of a group bounds what the other keeps in.
    drawn = random.Random(7)
    tried = 0
    for number in range(5):
        state = replace(settings, state=tmp_path / str(number))
        labels = {f"g{i}": {0: drawn.choice((3, 20, 60, 150)), 1: drawn.choice((2, 15, 40, 90))} for i in range(4)}
        versions: list[dict[str, Cells]] = []
        attacker = Attacker(labels, releases=2)
        for release in range(2):
            groups: dict[str, Cells] = {}
            for g, by_label in labels.items():
                chosen = {label: drawn.randint(0, n) for label, n in by_label.items()}
                groups[g] = {
                    (label, d): chosen[label] if d else by_label[label] - chosen[label]
                    for label in (0, 1)
                    for d in (0, 1)
                }
            versions.append(groups)
            left = publish(counted(groups, data_digest=f"{release}" * 64), state)
            attacker.learn(left.dossier, left, "origin", release)
        for release, groups in enumerate(versions):
            tried += assert_nothing_is_found(attacker, release, groups)
    assert tried > 20


def test_what_an_earlier_release_showed_counts_as_known_in_a_later_one(settings: Settings) -> None:
    versions: tuple[dict[str, Cells], ...] = (
        {
            "a": {(0, 0): 3, (0, 1): 37, (1, 0): 20, (1, 1): 10},
            "b": {(0, 0): 3, (0, 1): 9, (1, 0): 4, (1, 1): 26},
            "c": {(0, 0): 6, (0, 1): 14, (1, 0): 1, (1, 1): 29},
            "d": {(0, 0): 20, (0, 1): 20, (1, 0): 17, (1, 1): 13},
        },
        {
            "a": {(0, 0): 5, (0, 1): 35, (1, 0): 27, (1, 1): 3},
            "b": {(0, 0): 0, (0, 1): 12, (1, 0): 26, (1, 1): 4},
            "c": {(0, 0): 4, (0, 1): 16, (1, 0): 0, (1, 1): 30},
            "d": {(0, 0): 1, (0, 1): 39, (1, 0): 30, (1, 1): 0},
        },
    )
    attacker = Attacker(versions[0], releases=2)
    for release, groups in enumerate(versions):
        left = publish(counted(groups, data_digest=f"{release}" * 64), settings)
        attacker.learn(left.dossier, left, "origin", release)
    assert sum(assert_nothing_is_found(attacker, release, groups) for release, groups in enumerate(versions)) > 10


def test_a_laxer_policy_later_shows_no_more_of_the_same_data(settings: Settings) -> None:
    groups = {"a": LARGE, "b": MIDDLE, "c": {**MIDDLE, (0, 1): 4}, "d": dict.fromkeys(ALL, 12)}
    dossier = counted(groups).dossier
    strict = publishing._decided(dossier, 30, settings)
    lax = publishing._decided(dossier, 5, settings)
    alone = public.depths_alone(dossier, 5)
    assert lax == strict
    assert alone != strict


def test_the_same_data_under_another_name_and_format_meet_the_same_decision(settings: Settings) -> None:
    groups = {"a": LARGE, "b": MIDDLE, "c": dict.fromkeys(ALL, 12)}
    first = publishing._decided(counted(groups).dossier, 30, settings)
    again = counted(groups, attribute="herkomst", data_digest="bb" * 32).dossier
    assert publishing._decided(again, 5, settings)["herkomst"] == first["origin"]


def test_the_same_data_cut_into_other_groups_keep_that_attribute_in_whole(settings: Settings) -> None:
    publish(counted({"<40": LARGE, ">=40": MIDDLE}), settings)
    moved = {"<39": {**LARGE, (0, 0): 89}, ">=39": {**MIDDLE, (0, 0): 46}}
    left = publish(counted(moved), settings).dossier
    assert [t.attribute for t in left.counts] == [""]
    finding = left.finding("fairness.selection_rate", "origin")
    assert finding is not None
    assert finding.groups == ()
    assert finding.measures == ()


def test_publishing_the_same_dossier_twice_gives_the_same(settings: Settings, tmp_path: Path) -> None:
    folder = releases.write(tmp_path / "whole", counted({"a": LARGE, "b": MIDDLE, "c": SMALL}))
    for name in ("one", "two"):
        publish_to(folder, tmp_path / name, settings, ("en",))
    assert (tmp_path / "one" / "SHA256SUMS").read_bytes() == (tmp_path / "two" / "SHA256SUMS").read_bytes()


def test_a_pair_of_attributes_leaves_only_where_all_of_it_and_both_attributes_leave(
    settings: Settings, tmp_path: Path
) -> None:
    rows = [
        (sex, origin, label, decision, n)
        for sex, origin, n in (("f", "x", 30), ("f", "y", 25), ("m", "x", 40), ("m", "y", 20))
        for label, decision in ALL
    ]
    left = publish(releases.judged(rows, ("sex", "origin")), settings).dossier
    assert {t.attribute for t in left.counts} == {"", "sex", "origin", "sex × origin"}
    rows[-1] = ("m", "y", 1, 1, 3)
    made = releases.judged(rows, ("sex", "origin"), "cc" * 32)
    out = publish_to(releases.write(tmp_path / "whole", made), tmp_path / "out", settings, ("en",))
    # A stored dossier has lost the order in which attributes were declared; its pairs are found all the same.
    for left in (publish(made, settings).dossier, Dossier.from_json((out / "dossier.json").read_bytes())):
        assert {t.attribute for t in left.counts} == {"", "sex", "origin"}
        for check in ("fairness.intersections", "fairness.intersections_of_errors"):
            finding = left.finding(check, "sex × origin")
            assert finding is not None
            assert finding.groups == ()
            assert finding.measures == ()
            assert finding.figures == ()


def test_three_attributes_crossed_never_leave_and_keep_no_pair_in(settings: Settings) -> None:
    rows = [
        (sex, origin, town, label, decision, round(n * share))
        for sex, origin, n in (("f", "x", 60), ("f", "y", 50), ("m", "x", 80), ("m", "y", 40))
        for town, share in (("a", 0.9), ("b", 0.1))
        for label, decision in ALL
    ]
    made = releases.judged(rows, ("sex", "origin", "town"))
    crossed = made.dossier.finding("fairness.intersections", "sex × origin × town")
    assert crossed is not None
    assert crossed.groups
    left = publish(made, settings).dossier
    assert "sex × origin × town" not in {t.attribute for t in left.counts}
    finding = left.finding("fairness.intersections", "sex × origin × town")
    assert finding is not None
    assert (finding.groups, finding.measures, finding.figures) == ((), (), ())


@pytest.fixture(scope="module")
def measured() -> Assessment:
    """An assessment with explained rows and single decisions."""
    return measured_by_all_checks(500)


def as_text_of(left: Assessment) -> str:
    """The whole public card as text."""
    return markdown.render(left, "nl").decode().replace("\\", "")


def test_no_row_no_single_decision_and_no_row_level_figure_leaves(measured: Assessment, settings: Settings) -> None:
    left = publish(measured, settings)
    assert any(f.row_level for f in measured.figures)
    assert not any(f.row_level for f in left.figures)
    single = left.dossier.finding("explainability.single_decisions")
    assert single is not None
    assert single.items == ()
    assert single.figures == ()
    importance = left.dossier.finding("explainability.feature_importance")
    assert importance is not None
    assert importance.figures == ("explainability.feature_importance.importance",)
    assert not re.search(r"\[(card|law|outcomes|checks|reasons)\.", as_text_of(left))
    text = left.dossier.to_json().decode()
    assert not re.search(r'"(passage|input_1|moved_1)"', text)
    assert all(f.check != "privacy.k_anonymity" or not f.measures for f in left.dossier.findings)


def test_every_figure_left_stands_for_enough_people(measured: Assessment, settings: Settings) -> None:
    for figure in publish(measured, settings).figures:
        for rows in figure.columns.get("rows", ()):
            assert isinstance(rows, int)
            assert rows >= MINIMUM


def test_outcomes_and_limits_stay_and_what_was_left_out_is_said(measured: Assessment, settings: Settings) -> None:
    left = publish(measured, settings).dossier
    # A calculation of thresholds per group is for the provider alone.
    findings = [f for f in measured.dossier.findings if f.check != "fairness.group_thresholds"]
    assert [f.outcome for f in left.findings] == [f.outcome for f in findings]
    assert [f.limit for f in left.findings] == [f.limit for f in findings]
    for whole, kept in zip(findings, left.findings, strict=True):
        if len(kept.measures) < len(whole.measures) or len(kept.groups) < len(whole.groups):
            assert kept.reason is not None
            assert kept.reason.code == WITHHELD
        assert kept.outcome is not Outcome.ERROR


def test_no_digest_leaves_that_a_small_count_could_be_tried_out_on(settings: Settings, tmp_path: Path) -> None:
    made = counted({"a": LARGE, "b": MIDDLE, "c": SMALL})
    folder = releases.write(tmp_path / "whole", made)
    out = publish_to(folder, tmp_path / "out", settings, ("en", "nl"))
    secret = [
        made.dossier.digest,
        made.dossier.submission.digest,
        made.dossier.submission.evidence_digest,
        "aa" * 32,
        "jansen",
    ]
    for file in out.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [s for s in secret if s.encode() in content], file


def test_a_small_group_is_not_even_named_in_any_file_of_the_package(settings: Settings, tmp_path: Path) -> None:
    made = counted({"large": LARGE, "zz-second": MIDDLE, "zz-small": SMALL})
    out = publish_to(releases.write(tmp_path / "whole", made), tmp_path / "out", settings, ("en", "nl"))
    assert b"large" in (out / "model_card.en.md").read_bytes()
    for file in out.rglob("*"):
        if file.is_file():
            assert b"zz-s" not in file.read_bytes(), file
    assert list(out.glob("plots/*selection_rate*"))


def test_the_package_is_a_dossier_of_its_own_that_can_be_verified_and_signed(
    settings: Settings, tmp_path: Path
) -> None:
    from sandbox import signing

    made = counted({"a": LARGE, "b": MIDDLE, "c": SMALL})
    out = publish_to(releases.write(tmp_path / "whole", made), tmp_path / "out", settings, ("en",))
    assert verify(out).unchanged
    signing.sign(out, dossiers.key(tmp_path))
    assert verify(out, key_list=tmp_path / "keys.json").unchanged
    said = json.loads((out / "publication.json").read_text())
    assert said["groups_withheld"] == {"origin": 2}
    assert said["suppress_below"] == MINIMUM
    assert re.fullmatch("[0-9a-f]{64}", said["commitment"])
    assert Dossier.from_json((out / "dossier.json").read_bytes()).submission.evidence_digest == "–"


def test_what_was_decided_is_kept_from_others(settings: Settings) -> None:
    publish(counted({"a": LARGE, "b": MIDDLE, "c": SMALL}), settings)
    folder = settings.state / "publication"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.glob("*.json"))
    # What was decided, and that exact figures left: by the digest of the data and by the counts themselves.
    assert len(files) == 4
    assert all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in files)


def test_a_dossier_that_was_changed_is_not_published(settings: Settings, tmp_path: Path) -> None:
    folder = releases.write(tmp_path / "whole", counted({"a": LARGE, "b": MIDDLE}))
    text = (folder / "dossier.json").read_text()
    (folder / "dossier.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(Refused, match="another dossier"):
        publish_to(folder, tmp_path / "out", settings, ("en",))
    assert not (tmp_path / "out").exists()
