"""Drafts fill in what the dossier holds, mark where it comes from, and leave the rest visibly empty."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, get_args

import pytest

from checks.ai_act.classify import classify
from checks.ai_act.rules import RiskClass, load
from checks.declaration import Size
from model_cards.dossier import Assessment
from model_cards.drafting import material_of
from model_cards.exports import annex_iv_pack, annex_viii, fria
from model_cards.exports import test_report as report
from model_cards.words import Words
from tests.make import pages
from tests.make.assessments import AS_OF, assessment, measured_by_all_checks, undetermined
from tests.make.drafts import of_class, of_public_body

DRAFTS = (annex_viii, annex_iv_pack, fria, report)


class Rows(HTMLParser):
    """The rows of all tables of a page, as texts by cell."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def rows_of(module: Any, given: Assessment, lang: str = "en") -> list[list[str]]:
    reader = Rows()
    reader.feed(module.render(given, lang).decode())
    return [[" ".join(cell.split()) for cell in row] for row in reader.rows]


def said(module: Any, given: Assessment, lang: str = "en") -> str:
    return " ".join(pages.read(module.render(given, lang)).text.split())


@pytest.mark.parametrize("lang", ["en", "nl"])
@pytest.mark.parametrize("module", DRAFTS)
def test_each_says_that_it_is_a_draft_and_marks_every_field(module: Any, lang: str) -> None:
    words = Words(lang)
    text = said(module, assessment(), lang)
    assert words("exports.draft.is_a_draft") in text
    origins = {words(f"exports.origins.{o}") for o in ("measured", "answered", "document", "standard", "empty")}
    heading = words("exports.draft.origin")
    forms = 0
    in_form = False
    for row in rows_of(module, assessment(), lang):
        if row[1:2] == [heading]:
            in_form = True
            continue
        if len(row) != 3:
            in_form = False
        if in_form:
            forms += 1
            assert any(row[1].endswith(origin) for origin in origins), row
    assert forms > 5


@pytest.mark.parametrize("module", DRAFTS)
def test_each_is_a_sound_page_for_every_class(module: Any) -> None:
    for risk_class in get_args(RiskClass):
        page = pages.read(module.render(of_public_body(risk=of_class(risk_class)), "nl"))
        assert page.problems == []


@pytest.mark.parametrize("module", DRAFTS)
def test_each_is_made_of_what_the_whole_catalogue_measures(module: Any) -> None:
    assert pages.read(module.render(measured_by_all_checks(rows=300), "en")).problems == []


# ---- Annex VIII


CREDIT = {"areas": ["credit"], "services_use": ["credit_persons"], "profiling": "yes"}
BENEFITS = {"areas": ["benefits"], "services_use": ["entitlement"], "users": ["public_authority"], "profiling": "yes"}
CV_FORMAT = {
    "areas": ["employment"],
    "employment_use": ["prepare_applications"],
    "users": ["employer"],
    "profiling": "no",
    "derogation": ["narrow_task"],
    "decision_influence": "no",
}
POLICE = {"areas": ["law_enforcement"], "authority_use": ["evidence"], "users": ["police"], "profiling": "yes"}
GRID = {"areas": ["infrastructure"], "infrastructure_use": ["safety_critical_entity"], "profiling": "yes"}


def classified(answers: dict[str, Any], roles: list[str], public: bool) -> Assessment:
    """Give an assessment whose class and duties follow from answers, by the rules themselves."""
    given = of_public_body(answers={"exclusion": "none", "how_it_works": "learned", **answers}, roles=roles)
    stated = given.dossier.declaration
    system = stated.system.model_copy(update={"public_body": public})
    stated = stated.model_copy(update={"system": system, "answers": {k: _tuple(v) for k, v in stated.answers.items()}})
    return assessment(stated=stated, risk=classify(stated, load(), as_of=AS_OF))


def _tuple(given: Any) -> Any:
    return tuple(given) if isinstance(given, list) else given


@pytest.mark.parametrize(
    ("answers", "roles", "public", "sections"),
    [
        (CREDIT, ["provider"], False, ("a",)),
        (CREDIT, ["deployer"], False, ()),
        (BENEFITS, ["deployer"], True, ("c",)),
        (BENEFITS, ["provider", "deployer"], True, ("a", "c")),
        (CV_FORMAT, ["provider"], False, ("b",)),
        (CV_FORMAT, ["deployer"], True, ()),
        (GRID, ["provider"], False, ("a",)),
    ],
)
def test_the_sections_of_annex_viii_follow_from_the_duties(
    answers: dict[str, Any], roles: list[str], public: bool, sections: tuple[str, ...]
) -> None:
    given = classified(answers, roles, public)
    assert annex_viii.sections_for(material_of(given, "en")) == sections
    text = said(annex_viii, given)
    assert ("no registration fits" in text) is (sections == ())
    assert ("at national level" in text) is (answers is GRID)


def test_where_no_section_fits_all_are_shown_and_said() -> None:
    text = said(annex_viii, of_public_body(risk=of_class("minimal")))
    assert "no registration fits" in text
    assert all(f"Section {letter}" in text for letter in "ABC")


def test_systems_for_law_enforcement_leave_items_out() -> None:
    text = said(annex_viii, classified(POLICE, ["provider"], True))
    # Points 6, 8, 9 and 11 to 13 of Section A (Art 49(4)(a)).
    assert text.count("Left out for this field of use") == 6
    assert "not public" in text
    assert "Left out" not in said(annex_viii, classified(CREDIT, ["provider"], False))


def test_a_contested_date_is_shown_with_its_other_reading() -> None:
    text = said(annex_viii, classified(CREDIT, ["provider"], False))
    assert "applies from 2\u00a0December\u00a02027".replace("\u00a0", " ") in text
    assert "contested: by another reading" in text


def test_answers_of_the_publication_file_fill_annex_viii() -> None:
    given = of_public_body(
        publication={"annex_viii": {"provider_entry_url": "https://example.eu/123", "fria_summary": "Few risks."}}
    )
    filled = {row[0]: row for row in rows_of(annex_viii, given) if len(row) == 3}
    assert filled["3. Web address of the provider's entry"][1:] == [
        "answered",
        "https://example.eu/123publication: annex_viii.provider_entry_url",
    ]
    assert filled["2. Who submits on behalf of the deployer"][1].endswith("empty")


# ---- Annex IV


def test_the_pack_follows_the_order_of_annex_iv() -> None:
    text = said(annex_iv_pack, assessment())
    places = [text.rindex(f"{n}. ") for n in ("1", "2", "3")]
    assert places == sorted(places)
    asked = [row[0].split(":")[0] for row in rows_of(annex_iv_pack, assessment()) if row[0].startswith("Annex IV")]
    in_parts = list(dict.fromkeys(asked[asked.index("Annex IV 1(a)", 23) :])) if len(asked) > 23 else asked
    assert in_parts[0] == "Annex IV 1(a)"
    assert in_parts[-1] == "Annex IV 9"
    assert len(in_parts) == 23


def test_what_was_measured_is_offered_for_2g_3_and_4_alone() -> None:
    offered = {
        row[0].split(":")[0]
        for row in rows_of(annex_iv_pack, assessment())
        if len(row) == 3 and row[1] == "measured" and "Draft from what was measured" in row[2]
    }
    assert offered == {"Annex IV 2(g)", "Annex IV 3", "Annex IV 4"}


def test_nothing_measured_is_offered_where_nothing_was() -> None:
    for row in rows_of(annex_iv_pack, assessment(route="documents")):
        assert row[1:2] != ["measured"], row


def test_a_passage_that_was_found_is_quoted_and_a_placeholder_is_not() -> None:
    rows = rows_of(annex_iv_pack, assessment())
    text = " ".join(" ".join(row) for row in rows)
    assert "“The system orders files for review.”" in text
    assert "To be completed." not in text
    assert "Placeholder" in text


def test_small_providers_hear_of_the_simplified_form_and_large_ones_do_not() -> None:
    assert "simplified manner" in said(annex_iv_pack, assessment())
    large = {"size": Size.LARGE}
    stated = assessment().dossier.declaration
    stated = stated.model_copy(
        update={
            "system": stated.system.model_copy(update={"provider": stated.system.provider.model_copy(update=large)})
        }
    )
    assert "simplified manner" not in said(annex_iv_pack, assessment(stated=stated))


# ---- FRIA


def test_who_owes_the_assessment_is_said() -> None:
    def owed(given: Assessment) -> str:
        return fria.who_owes(material_of(given, "en"))

    assert owed(assessment()) == "you"
    assert owed(of_public_body(risk=of_class("high_risk_annex_iii"), roles=["provider"])) == "your_deployers"
    assert owed(of_public_body(risk=undetermined())) == "open"
    assert owed(of_public_body(risk=of_class("minimal"))) == "nobody_found"


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_the_six_points_are_there_with_their_reference_to_the_iama(lang: str) -> None:
    text = said(fria, assessment(), lang)
    assert all(Words(lang)(f"exports.fria.points.{p}.title") in text for p in "abcdef")
    assert text.count("IAMA") >= 6


def test_measured_differences_stand_under_the_risks_of_harm_and_the_rest_is_empty() -> None:
    filled = [row for row in rows_of(fria, assessment()) if len(row) == 3]
    harms = next(row for row in filled if row[0].startswith("Risks of harm"))
    assert harms[1] == "measured"
    assert "19.5 percentage points" in harms[2] or "statements" in harms[2]
    assert next(row for row in filled if row[0] == "How often")[1].endswith("empty")


# ---- test report


def test_the_report_is_headed_as_preparatory() -> None:
    assert "Preparatory test report (not a document under Art 57(7))" in said(report, assessment())
    assert "Voorbereidend testverslag (geen document in de zin van artikel 57, lid 7)" in said(
        report, assessment(), "nl"
    )


def test_results_name_what_lies_beyond_is_undecided_and_was_not_measured() -> None:
    text = said(report, assessment())
    assert "1 beyond the limit set" in text
    assert "Our error" in text
    row = next(row for row in rows_of(report, assessment()) if row[0] == "Not measured")
    assert "but was not measured" in row[2]


def test_lessons_are_left_to_people() -> None:
    filled = {row[0]: row for row in rows_of(report, assessment()) if len(row) == 3}
    assert filled["What was learned"][1].endswith("empty")
    given = of_public_body(publication={"test_report": {"learned": "Look at young applicants."}})
    filled = {row[0]: row for row in rows_of(report, given) if len(row) == 3}
    assert filled["What was learned"][1:] == ["answered", "Look at young applicants.publication: test_report.learned"]


def test_without_a_receipt_no_wall_is_claimed() -> None:
    assert "closed cell" in said(report, assessment())
    for given in (assessment(run=False), assessment(route="predictions")):
        assert "closed cell" not in said(report, given)


def test_of_a_finding_beyond_its_limit_only_what_lies_beyond_is_named_there() -> None:
    row = next(row for row in rows_of(report, assessment()) if row[0] == "Beyond the limit set")
    assert "19.5 percentage points" in row[2]
    missing = next(row for row in rows_of(report, assessment()) if row[0] == "Not measured")
    assert missing[1].endswith("empty")
