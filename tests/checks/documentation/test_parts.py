"""What is looked for only where a duty follows from the answers, and what is found of it in both languages."""

from __future__ import annotations

import hashlib

import pytest

from checks import policy
from checks.ai_act import rules as law
from checks.ai_act.answers import check_answers
from checks.declaration import Declaration
from checks.documentation._reading import items_of, look, parts, why_not_asked
from checks.documentation.datasheet import FIELDS, datasheet
from checks.evidence import Document, Evidence
from checks.finding import Item, Measured, NotApplicable, Outcome
from checks.judge import judge
from checks.registry import catalogue
from tests.make.assessments import declaration

TERMS = policy.load("default").terms
OF_DUTIES = tuple(p for p in parts() if p not in ("annex_iv", "instructions_for_use"))
CREDIT = {
    "exclusion": "none",
    "how_it_works": "learned",
    "gpai": "no",
    "practices": ("none",),
    "product_acts": ("none",),
    "areas": ("credit",),
    "services_use": ("credit_persons",),
    "users": ("others",),
    "profiling": "yes",
    "interacts": "no",
    "generates": ("none",),
    "role_change": ("none",),
    "placed_when": "not_yet",
    "personal_data": "yes",
    "persons_decision": "assists",
}
PUMPS = {**CREDIT, "areas": ("none",), "personal_data": "no", "persons_decision": "no", "open_source": "no"}
MODEL = {**PUMPS, "how_it_works": "generative", "gpai": "yes", "gpai_kind": ("none",)}

WRITTEN = {
    ("risk_management", "d", "en"): (
        "## Control measures\n\nThe advice is withheld for applicants whose income is not known, and each refusal is "
        "looked at by a second clerk. Since March the branch offices no longer see the score itself, only its band."
    ),
    ("risk_management", "residual", "nl"): (
        "## Restrisico\n\nNa deze stappen blijft over dat een enkele aanvrager met wisselende inkomsten te streng "
        "wordt ingedeeld. De directeur heeft dat op 3 maart aanvaard, omdat bezwaar binnen een week wordt afgedaan."
    ),
    ("data_governance", "2f", "en"): (
        "We examined whether women and people who rent are under-represented among the approved loans, and found that "
        "bias towards home owners came from a column on garden size, which has been dropped since version two."
    ),
    ("logging", "kept", "nl"): (
        "## Bewaartermijn\n\nElke regel blijft achttien maanden staan op een schijf die alleen de beheerder kan lezen; "
        "daarna wist een nachtelijke taak wat ouder is en meldt zij hoeveel regels er verdwenen."
    ),
    ("human_oversight", "4b", "en"): (
        "## Over-reliance\n\nClerks write down their own view before the score appears, and once a month ten files are "
        "shown with a wrong score on purpose, to see who notices. In May four of eleven did not."
    ),
    ("accuracy_declaration", "loops", "en"): (
        "## Feedback loops\n\nThe model is refitted by hand each spring, on loans that were granted against its advice "
        "as well, so that yesterday's refusals do not decide what tomorrow's version sees."
    ),
    ("post_market_monitoring", "plan", "nl"): (
        "## Monitoringplan\n\nElke eerste maandag bekijkt Fatima het aandeel afwijkingen per kantoor. Komt dat boven "
        "acht procent, dan gaat de uitrol van die week niet door en hoort de stuurgroep het dezelfde dag."
    ),
    ("quality_management", "m", "en"): (
        "## Accountability\n\nThe head of credit signs each release; the data team may stop one without asking. Both "
        "names stand in the register of mandates, with the person who stands in during holidays."
    ),
    ("annex_v", "8", "en"): (
        "## Place and date\n\nUtrecht, 4 May 2027. J. de Wit, head of credit, for Example BV, after the board of the "
        "company had agreed to it in its meeting of the week before and wrote so in the minutes."
    ),
    ("annex_iii_derogation", "condition", "en"): (
        "## Which condition\n\nIt only turns scanned forms into rows, a narrow procedural task because nobody sees a "
        "score and the clerk opens each file in the order in which it came in, as before."
    ),
    ("fria", "c", "nl"): (
        "## Wie het raakt\n\nOngeveer negenduizend huishoudens per jaar, onder wie inwoners die de taal slecht "
        "spreken en groepen personen zonder vaste baan; voor hen is een afwijzing het zwaarst, want zij hebben "
        "geen ander loket."
    ),
    ("annex_xi", "2e", "en"): (
        "## Energy\n\nThe final run took 41 MWh at the wall, read from the meters of the hall; earlier trials were not "
        "metered and are estimated at twice that, from the hours that the cards were booked."
    ),
    ("annex_xi_systemic", "1", "en"): (
        "## Evaluation results\n\nIn May the model was put to four open benchmark sets with their published scripts; "
        "it answered 71 percent rightly, and fell to 40 on questions written after its data ended, which the sets hide."
    ),
    ("annex_xi_systemic", "2", "nl"): (
        "## Red-teaming\n\nTwaalf externe testers kregen in juni drie weken de tijd. Zij haalden het model negen keer "
        "over tot een bouwinstructie; na fijnafstemming lukte dat nog één keer, en die opening sloot een filter."
    ),
    ("annex_xii", "1g", "en"): (
        "## Inputs and outputs\n\nText in and text out in UTF-8, at most 32,000 tokens in all; longer requests are "
        "cut at the front with a warning in the header, and pictures are refused with status 415."
    ),
}


def stated(answers: dict[str, object], **more: object) -> Declaration:
    base = declaration(route="documents")
    system = base.system.model_copy(update={"roles": ("provider", "deployer"), **more})
    return base.model_copy(update={"answers": answers, "system": system})


def document(text: str) -> Document:
    return Document(name="doc.md", text=text, digest=hashlib.sha256(text.encode()).hexdigest())


def outcomes(answers: dict[str, object], *documents: Document) -> dict[str, Outcome]:
    evidence = Evidence(declaration=stated(answers), submission_digest="00", documents=documents)
    return {
        c.code.partition(".")[2]: judge(c, evidence, policy.load("default"))[0].finding.outcome
        for c in catalogue()
        if c.code.startswith("documentation.")
    }


def test_the_answers_of_these_tests_are_answers_of_the_questionnaire() -> None:
    for given in (CREDIT, PUMPS, MODEL):
        assert check_answers(given, law.load()) == ()


@pytest.mark.parametrize(("part", "item", "lang"), WRITTEN)
def test_a_passage_on_an_item_is_found_in_either_language(part: str, item: str, lang: str) -> None:
    text = WRITTEN[part, item, lang]
    found = {i.id: i for i in look([document(text)], part, TERMS.short_words).items}
    assert found[f"{part}.{item}"].state == "found"
    assert str(found[f"{part}.{item}"].params["passage"])[:20] in " ".join(text.split())


@pytest.mark.parametrize("part", OF_DUTIES)
def test_an_item_s_own_words_under_its_heading_are_no_answer_to_it(part: str) -> None:
    from checks import resources

    given = resources.read("documentation/parts.yaml")[part]["items"]
    for name, item in given.items():
        text = f"## {item['heading'][0].replace('*', '')}\n\nThis section describes {item['asks']}."
        found = {i.id: i.state for i in look([document(text)], part, TERMS.short_words).items}
        assert found[f"{part}.{name}"] == "placeholder", name


@pytest.mark.parametrize("part", OF_DUTIES)
def test_every_part_hangs_on_duties_that_exist(part: str) -> None:
    from checks import resources

    wanted = resources.read("documentation/parts.yaml")[part]["duties"]
    assert wanted
    assert set(wanted) <= {d.id for d in law.load().duties}
    assert all(i.keywords and i.headings for i in items_of(part))


def test_an_article_in_a_heading_names_its_item() -> None:
    text = "## Artikel 9, lid 2, onder d\n\n" + WRITTEN["risk_management", "d", "en"].partition("\n\n")[2]
    found = {i.id: i.state for i in look([document(text)], "risk_management", TERMS.short_words).items}
    assert found["risk_management.d"] == "found"
    assert found["risk_management.a"] == "not_found"


def test_what_the_answers_exclude_is_not_looked_for() -> None:
    of_pumps = outcomes(PUMPS, document("Text."))
    assert {p for p in OF_DUTIES if of_pumps[p] is Outcome.NOT_APPLICABLE} == set(OF_DUTIES)
    of_credit = outcomes(CREDIT, document("Text."))
    excluded = {p for p in OF_DUTIES if of_credit[p] is Outcome.NOT_APPLICABLE}
    assert excluded == {"annex_xi", "annex_xi_systemic", "annex_xii", "annex_iii_derogation"}
    of_model = outcomes(MODEL, document("Text."))
    assert {p for p in OF_DUTIES if of_model[p] is not Outcome.NOT_APPLICABLE} == {"annex_xi", "annex_xii"}


def test_what_the_answers_leave_open_is_looked_for() -> None:
    assert all(why_not_asked(stated({}), part) is None for part in OF_DUTIES)
    without_use = {k: v for k, v in CREDIT.items() if k not in ("areas", "services_use")}
    assert why_not_asked(stated(without_use), "risk_management") is None


def test_only_a_model_with_systemic_risk_owes_section_2_of_annex_xi() -> None:
    assert why_not_asked(stated(MODEL), "annex_xi_systemic") is not None
    assert why_not_asked(stated({**MODEL, "gpai_kind": ("systemic",)}), "annex_xi_systemic") is None
    assert why_not_asked(stated({**MODEL, "gpai_kind": ("unknown",)}), "annex_xi_systemic") is None


def test_what_is_looked_for_follows_the_version_of_the_law_that_is_judged_by() -> None:
    radio = {
        **PUMPS,
        "product_acts": ("radio_equipment",),
        "product_part": "safety_function",
        "product_assessment": "other_risks_only",
    }
    evidence = Evidence(declaration=stated(radio), submission_digest="00", documents=(document("Text."),))
    check = next(c for c in catalogue() if c.code == "documentation.risk_management")
    before, now = (
        judge(check, evidence, policy.load("default"), rules_version=version)[0].finding.outcome
        for version in ("32024R1689.1", None)
    )
    assert before is not Outcome.NOT_APPLICABLE, "in 2024 an assessment for any risk led to high risk"
    assert now is Outcome.NOT_APPLICABLE, "since 2026 one for other risks than health and safety does not"


def test_an_open_model_owes_no_annex_xi() -> None:
    reason = why_not_asked(stated({**MODEL, "gpai_kind": ("open",)}), "annex_xi")
    assert reason is not None
    assert reason.params == {"provision": "AIA 53(1)(a)"}


def test_without_documents_what_follows_is_not_gathered_and_the_rest_not_applicable() -> None:
    given = outcomes(CREDIT)
    assert given["risk_management"] is Outcome.NOT_GATHERED
    assert given["annex_xi"] is Outcome.NOT_APPLICABLE


# ---- the data sheet


def of_sheet(sheet: dict[str, object], answers: dict[str, object] | None = None) -> dict[str, Item]:
    base = declaration().model_copy(update={"datasheet": sheet, "answers": answers or {}})
    result = datasheet.run(Evidence(declaration=base, submission_digest="00").only([]), TERMS)
    assert isinstance(result, Measured)
    assert sum(m.value or 0 for m in result.measures) == len(result.items)
    return {i.id.partition(".")[2]: i for i in result.items}


def test_each_field_of_a_data_sheet_is_found_short_a_placeholder_or_not_found() -> None:
    items = of_sheet(
        {"origin": "own records of requests", "collection": "survey", "period": "tbd", "licence": "CC-BY-4.0"}
    )
    assert list(items) == list(FIELDS)
    assert items["origin"].state == "found"
    assert items["origin"].params["passage"] == "own records of requests"
    assert items["collection"].state == "short"
    assert items["period"].state == "placeholder"
    assert items["licence"].state == "found"
    assert items["known_gaps"].state == "not_found"


def test_a_lawful_basis_is_asked_only_where_there_may_be_persons() -> None:
    assert "lawful_basis" not in of_sheet({"personal_data": "no"})
    assert "lawful_basis" not in of_sheet({}, {"personal_data": "no"})
    assert of_sheet({"personal_data": "yes"})["lawful_basis"].state == "not_found"


def test_the_training_data_have_a_data_sheet_of_their_own() -> None:
    items = of_sheet(
        {
            "origin": "own records of requests",
            "training": {"origin": "bought from a broker in May", "period": "t.b.d.", "known_gaps": "none below 18"},
        }
    )
    assert list(items) == [*FIELDS, *(f"training_{name}" for name in FIELDS)]
    assert items["training_origin"].params["passage"] == "bought from a broker in May"
    assert items["training_period"].state == "placeholder"
    assert items["training_known_gaps"].state == "found"
    assert items["training_licence"].state == "not_found"


def test_training_data_without_a_sheet_are_missed_field_by_field() -> None:
    base = declaration()
    assert base.data is not None
    data = base.data.model_copy(update={"training": "train.parquet"})
    result = datasheet.run(
        Evidence(declaration=base.model_copy(update={"data": data}), submission_digest="00").only([]), TERMS
    )
    assert isinstance(result, Measured)
    assert {i.state for i in result.items if "training_" in i.id} == {"not_found"}


def test_without_data_there_is_no_data_sheet() -> None:
    evidence = Evidence(declaration=stated({}).model_copy(update={"data": None}), submission_digest="00")
    result = datasheet.run(evidence.only([]), TERMS)
    assert isinstance(result, NotApplicable)
