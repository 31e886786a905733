"""What is found in uploaded tables that tells of single people, and what is not taken for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.evidence import Evidence
from checks.finding import Finding, Outcome
from checks.privacy._identifying import (
    has_address,
    has_email,
    has_phone,
    is_bsn,
    is_iban,
    is_name,
    is_payment_card,
)
from checks.privacy._special import category_by_name
from tests.make.evidence import by_predictions
from tests.make.judged import finding

NAMES = [
    "Jan de Vries", "Fatima El Amrani", "Anna van den Berg", "P. Jansen", "Vries, J. de",
    "Sanne Bakker", "Mohammed Ali", "Kees 't Hart", "Eva Maria Smit", "O'Brien, J.",
]  # fmt: skip


def uploaded(**features: object) -> Evidence:
    n = len(next(iter(features.values())))
    return by_predictions(groups={"sex": ["F", "M"] * (n // 2)}, decision=[0, 1] * (n // 2), features=features)


def names_found(found: Finding) -> dict[str, str]:
    return {str(g.group["feature"]): g.measures[0].name for g in found.groups}


def bsns(count: int) -> list[int]:
    made, number = [], 100_000_000
    while len(made) < count:
        number += 1013
        if is_bsn(str(number)):
            made.append(number)
    return made


@given(st.integers(0, 10**9 - 1))
def test_changing_one_digit_of_a_citizen_service_number_breaks_its_test(number: int) -> None:
    text = str(number).zfill(9)
    if is_bsn(text):
        for i in range(9):
            other = text[:i] + str((int(text[i]) + 1) % 10) + text[i + 1 :]
            assert not is_bsn(other)


@pytest.mark.parametrize(
    "iban", ["NL91ABNA0417164300", "DE89 3704 0044 0532 0130 00", "BE68539007547034", "GB29NWBK60161331926819"]
)
def test_published_account_numbers_keep_their_test_and_swapped_digits_do_not(iban: str) -> None:
    assert is_iban(iban)
    plain = iban.replace(" ", "")
    assert not is_iban(plain[:-3] + plain[-2] + plain[-3] + plain[-1]) or plain[-2] == plain[-3]
    assert not is_iban(plain[:2] + "00" + plain[4:])


def test_forms_that_identify_are_known_and_others_are_not_taken_for_them() -> None:
    assert is_payment_card("4111111111111111")
    assert not is_payment_card("4111111111111112")
    assert has_email("mail jan@example.nl soon")
    assert not has_email("9 to 5 @ work")
    assert has_phone("06-12345678")
    assert has_phone("bel +31 20 624 1111 even")
    assert not has_phone("2026-11-24")
    assert not has_phone("1234567890123")
    assert has_address("Dorpsstraat 12, 1234 AB")
    assert has_address("1234ab 7")
    assert not has_address("1234 SS 7")
    assert all(is_name(name) for name in NAMES)
    assert not any(is_name(v) for v in ("United-States", "Exec-managerial", "low", "HS-grad", "Self-emp-not-inc"))


def test_columns_that_look_like_identifiers_are_found_and_lie_beyond_the_limit() -> None:
    evidence = uploaded(
        number=bsns(40),
        account=["NL91 ABNA 0417 1643 00"] * 40,
        remark=["no remark"] * 38 + ["mail me at a.b@example.org"] * 2,
        who=[f"{name.split()[0]} {last}" for name in ("Anna x", "Bram x", "Carla x", "Dirk x") for last in
             ("Bakker", "Visser", "Smit", "Meijer", "Mulder", "de Boer", "Bos", "Vos", "Peters", "Hendriks")],
        income=np.linspace(0, 1, 40),
        kind=["low", "high"] * 20,
    )  # fmt: skip
    found = finding("privacy.identifiers", evidence)
    assert names_found(found) == {"number": "bsn", "account": "iban", "remark": "email", "who": "person_name"}
    assert found.measure("columns").value == 4
    assert found.measure("inputs").value == 4
    assert found.outcome is Outcome.FAIL


def test_ordinary_numbers_of_nine_digits_and_repeated_categories_are_not_taken_for_identifiers() -> None:
    rng = np.random.default_rng(3)
    evidence = uploaded(
        amount=rng.integers(100_000_000, 999_999_999, 400),
        city=rng.choice(["Den Haag", "New York", "Sint Maarten"], 400).tolist(),
        weight=rng.normal(1e9, 1e8, 400),
    )
    found = finding("privacy.identifiers", evidence)
    assert found.groups == ()
    assert found.outcome is Outcome.PASS


def test_a_postcode_beside_a_house_number_is_a_front_door_and_alone_it_is_not() -> None:
    codes = [f"{1000 + i} AB" for i in range(20)]
    together = finding("privacy.identifiers", uploaded(postcode=codes, huisnummer=list(range(20))))
    assert names_found(together) == {"postcode": "address"}
    alone = finding("privacy.identifiers", uploaded(postcode=codes, rooms=list(range(20))))
    assert alone.groups == ()


def test_no_value_of_a_row_stands_in_what_is_found() -> None:
    evidence = uploaded(number=bsns(20), who=(NAMES * 2))
    text = finding("privacy.identifiers", evidence).model_dump_json()
    assert "Vries" not in text
    assert str(bsns(1)[0]) not in text


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("race", "race_or_origin"),
        ("Etniciteit", "race_or_origin"),
        ("migratieachtergrond_ouders", "race_or_origin"),
        ("healthStatus", "health"),
        ("diagnose_code", "health"),
        ("religion", "religion_or_belief"),
        ("kerkgenootschap", "religion_or_belief"),
        ("political_party", "politics"),
        ("vakbondslid", "union"),
        ("trade_union", "union"),
        ("sexual_orientation", "sex_life_or_orientation"),
        ("geaardheid", "sex_life_or_orientation"),
        ("dna_profile", "genetics"),
        ("biometric_hash", "biometrics"),
        ("criminal_record", "criminal"),
        ("sex", "not_special"),
        ("leeftijd", "not_special"),
        ("age_group", "not_special"),
        ("income", None),
        ("screen_orientation", None),
        ("average_price", None),
        ("raster_width", None),
        ("union_of_sets", None),
        ("page_count", None),
    ],
)
def test_a_columns_name_tells_its_category(name: str, category: str | None) -> None:
    assert category_by_name(name) == category


def test_special_categories_are_found_by_name_and_by_value_and_sex_and_age_are_none() -> None:
    evidence = uploaded(
        race=["a", "b"] * 20,
        origin_of=["White", "Asian-Pac-Islander"] * 20,
        v7=["rooms-katholiek", "islamitisch"] * 20,
        colour=["white", "black"] * 20,
        age=list(range(40)),
        gender=["male", "female"] * 20,
    )
    found = finding("privacy.special_categories", evidence)
    told = names_found(found)
    assert told == {
        "race": "race_or_origin",
        "origin_of": "race_or_origin",
        "v7": "religion_or_belief",
        "age": "not_special",
        "gender": "not_special",
        "sex": "not_special",
    }
    assert found.measure("columns").value == 3
    assert found.measure("inputs").value == 3
    assert found.measure("sex_and_age_columns").value == 3
    assert found.outcome is Outcome.FAIL


def test_a_group_that_the_system_is_not_shown_is_told_and_does_not_count_as_an_input() -> None:
    evidence = by_predictions(groups={"race": ["a", "b"] * 20}, decision=[0, 1] * 20, features={"x": list(range(40))})
    found = finding("privacy.special_categories", evidence)
    assert found.measure("columns").value == 1
    assert found.measure("inputs").value == 0
    assert found.outcome is Outcome.PASS


def test_k_anonymity_is_pandas_group_sizes() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"age": rng.integers(20, 30, 300), "postcode": rng.choice(list("abc"), 300)})
    sex = rng.choice(["F", "M"], 300)
    evidence = by_predictions(
        groups={"sex": sex},
        decision=[0, 1] * 150,
        features={"age": frame["age"].to_numpy(), "postcode": frame["postcode"].tolist(), "spend": rng.random(300)},
    )
    found = finding("privacy.k_anonymity", evidence)
    sizes = frame.assign(sex=sex).groupby(["age", "postcode", "sex"]).size()
    assert found.measure("smallest").value == sizes.min()
    assert found.measure("unique").value == pytest.approx((sizes == 1).sum() / 300)
    assert found.measure("below_five").value == pytest.approx(sizes[sizes < 5].sum() / 300)
    assert found.reason.params["columns"] == "sex, age, postcode"


def test_a_person_with_many_rows_does_not_hide_in_the_own_crowd() -> None:
    evidence = by_predictions(
        groups={"sex": ["F"] * 6 + ["M"] * 6}, decision=[0, 1] * 6, unit=[0] * 6 + list(range(1, 7))
    )
    found = finding("privacy.k_anonymity", evidence)
    assert found.measure("smallest").value == 1
    assert found.measure("unique").value == pytest.approx(1 / 7)


def test_the_examples_of_the_forms_hold() -> None:
    import doctest

    from checks.privacy import _identifying

    assert doctest.testmod(_identifying).attempted >= 5
    assert doctest.testmod(_identifying).failed == 0


@pytest.mark.parametrize(
    ("form", "near"),
    [
        (is_bsn, "1112223334"),
        (is_bsn, "11122233"),
        (is_bsn, "111-222-333"),
        (is_bsn, "AB1222333"),
        (is_iban, "NL91 ABNA 0417 1643"),
        (is_iban, "9191ABNA0417164300"),
        (is_iban, "XX00ABNA0417164300"),
        (is_payment_card, "411111111111"),
        (is_payment_card, "1111111111111117"),
        (has_email, "jan@example"),
        (has_email, "@example.org"),
        (has_email, "jan at example.org"),
        (has_phone, "0612345"),
        (has_phone, "00123456789012345"),
        (has_phone, "12-06-1234567"),
        (has_phone, "1000000000"),
        (has_address, "0123 AB 4"),
        (has_address, "12345 AB 4"),
        (has_address, "1234 A 4"),
        (has_address, "year 2024 IN SUMMER"),
        (is_name, "Jan"),
        (is_name, "jan de vries"),
        (is_name, "JAN"),
        (is_name, "Prof-specialty"),
        (is_name, "High school, 2 years"),
    ],
)
def test_what_only_nearly_has_the_form_is_not_taken_for_it(form: Callable[[str], bool], near: str) -> None:
    assert not form(near)


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("healthy_choice", "health"),
        ("wealth", None),
        ("race_time", "race_or_origin"),
        ("trace", None),
        ("embrace", None),
        ("sextant", None),
        ("manager", None),
        ("passage", None),
        ("unionised_workers", None),
        ("believable", None),
        ("partij", None),
        ("ziekenhuis_afstand", None),
        ("genderneutraal", None),
        ("convicted", "criminal"),
    ],
)
def test_a_word_inside_another_word_is_no_sign(name: str, category: str | None) -> None:
    assert category_by_name(name) == category


def test_values_that_speak_of_a_category_only_now_and_then_are_not_taken_for_a_column_of_it() -> None:
    evidence = uploaded(
        remark=["diabetes"] * 4 + [f"text {i}" for i in range(36)],
        colour=["white", "black", "wit", "anders"] * 10,
        single=["islam"] * 40,
        number=[1.0, 2.0] * 20,
    )
    assert set(names_found(finding("privacy.special_categories", evidence))) == {"sex"}


def test_anonymity_is_counted_over_inputs_whose_names_others_may_know_and_no_others() -> None:
    evidence = by_predictions(
        groups={}, decision=[0, 1] * 20, features={"spend": list(range(40)), "package": ["a", "b"] * 20}
    )
    found = finding("privacy.k_anonymity", evidence)
    assert found.outcome is Outcome.NOT_GATHERED
    assert found.reason.code == "no_quasi_identifiers"
