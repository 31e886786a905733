"""Words of column names and values that speak of the special categories of personal data, in Dutch and English."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from checks.privacy._columns import Text, words_of

NOT_SPECIAL: Final = "not_special"
"""Sex and age: grounds of equal treatment law, but no special category."""

CRIMINAL: Final = "criminal"
"""Criminal convictions and offences: guarded by an article of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """What speaks of one category.

    Args:
        names: whole words of a column name.
        stems: beginnings of such words.
        values: values that say it.
        loose: values that say it only beside one of `values` (white is a colour too).
    """

    names: frozenset[str]
    stems: tuple[str, ...] = ()
    values: frozenset[str] = frozenset()
    loose: frozenset[str] = frozenset()


def _words(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split("|"))


LEXICON: Final[Mapping[str, Lexicon]] = {
    "race_or_origin": Lexicon(
        names=_words("race|ras|huidskleur|afkomst|herkomst|herkomstgroep|herkomstland|migratieachtergrond|etniciteit"),
        stems=("ethni", "etni", "racial", "allochtoon", "huidskleur"),
        values=_words(
            "caucasian|asian|african-american|african american|hispanic|latino|latina|asian-pac-islander|"
            "amer-indian-eskimo|native american|pacific islander|roma|sinti|marokkaans|turks|surinaams|antilliaans|"
            "westers|niet-westers|moroccan|turkish|surinamese|antillean"
        ),
        loose=_words("white|black|zwart|wit|blank|other|anders|overig"),
    ),
    "health": Lexicon(
        names=_words(
            "ziekte|ziek|handicap|handicapped|disease|diseases|illness|medicatie|medication|medicine|symptom|symptoms|"
            "patient|zorg|bmi|pregnant|zwanger|smoker|roker|hiv|ggz|wmo|wia|wajong|arbeidsongeschikt|tumor|tumour|"
            "cholesterol|glucose|insulin|hypertension|bloeddruk"
        ),
        stems=("diagnos", "medisch", "medical", "gezondheid", "health", "disab", "beperking", "psych", "kanker"),
        values=_words(
            "diabetes|kanker|cancer|hiv|depressie|depression|astma|asthma|copd|schizofrenie|schizophrenia|autisme|"
            "autism|adhd|disabled|gehandicapt|arbeidsongeschikt|dementie|dementia|epilepsie|epilepsy"
        ),
    ),
    "religion_or_belief": Lexicon(
        names=_words("geloof|kerk|kerkgenootschap|levensovertuiging|church|faith|creed|denomination|belief"),
        stems=("relig", "godsdienst"),
        values=_words(
            "muslim|moslim|islam|islamitisch|christian|christelijk|catholic|katholiek|rooms-katholiek|protestant|"
            "protestants|gereformeerd|hervormd|jewish|joods|jood|hindu|hindoe|boeddhist|buddhist|atheist|atheïst|sikh"
        ),
    ),
    "politics": Lexicon(
        names=_words("partijlidmaatschap|stemgedrag|kiesgedrag|politics"),
        stems=("politic", "politiek"),
        values=_words(
            "vvd|pvda|cda|d66|pvv|groenlinks|sgp|bbb|nsc|democrat|republican|labour party|conservative party"
        ),
    ),
    "union": Lexicon(
        names=_words("vakbond|vakbondslid|vakvereniging|vakbondslidmaatschap|tradeunion"),
        stems=("vakbond",),
        values=_words("fnv|cnv|vcp|fnv-lid|cnv-lid"),
    ),
    "sex_life_or_orientation": Lexicon(
        names=_words("geaardheid|lgbt|lhbti|lgbtq"),
        stems=("seksue", "sexual"),
        values=_words(
            "homo|homoseksueel|lesbisch|lesbian|gay|biseksueel|bisexual|hetero|heteroseksueel|heterosexual|homosexual"
        ),
    ),
    "genetics": Lexicon(names=_words("dna|genotype|genome|genoom|snp|snps"), stems=("genetic", "genetisch")),
    "biometrics": Lexicon(
        names=_words("fingerprint|vingerafdruk|vingerafdrukken|faceid|gezichtsherkenning|voiceprint|irisscan"),
        stems=("biometri",),
    ),
    CRIMINAL: Lexicon(
        names=_words(
            "strafblad|veroordeling|detentie|recidive|recidivism|delict|misdrijf|arrest|arrests|priors|felony"
        ),
        stems=("convict", "criminal", "strafrecht", "veroordeel", "offence", "offense"),
        values=_words("felony|misdemeanor|misdrijf|overtreding"),
    ),
    NOT_SPECIAL: Lexicon(
        names=_words("sex|gender|geslacht|age|leeftijd|geboortejaar|geboortedatum|birthyear|birthdate|sekse"),
        values=_words("male|female|man|vrouw|woman"),
        loose=_words("m|v|f|x"),
    ),
}
"""By category. A word is a sign and no proof."""

_TWO_WORDS: Final[Mapping[tuple[str, str], str]] = {
    ("trade", "union"): "union",
    ("union", "member"): "union",
    ("union", "membership"): "union",
    ("political", "party"): "politics",
    ("skin", "colour"): "race_or_origin",
    ("skin", "color"): "race_or_origin",
    ("blood", "pressure"): "health",
    ("country", "origin"): "race_or_origin",
    ("sexual", "orientation"): "sex_life_or_orientation",
}

MOST_VALUES: Final = 200
"""A column with more different values than this is judged by its name alone."""


def category_by_name(name: str) -> str | None:
    """Tell which category a column's name speaks of, or None."""
    words = [w for w in words_of(name) if w not in ("of", "the", "van", "de")]
    for pair in pairwise(words):
        if pair in _TWO_WORDS:
            return _TWO_WORDS[pair]
    for category, lexicon in LEXICON.items():
        if any(word in lexicon.names or word.startswith(lexicon.stems or ("\0",)) for word in words):
            return category
    return None


def category_by_values(column: Text) -> tuple[str, float] | None:
    """Tell which category most of a column's values speak of, with their share of rows; None where there is none.

    At least two different values must speak of it, one of them without doubt.
    """
    if column.numeric or len(column.values) > MOST_VALUES or not column.rows:
        return None
    plain = [value.strip().lower() for value in column.values]
    for category, lexicon in LEXICON.items():
        clear = {v for v in plain if v in lexicon.values}
        hits = clear | {v for v in plain if v in lexicon.loose}
        share = _rows_of(plain, column.counts, hits) / column.rows
        if clear and len(hits) >= 2 and share >= 0.5:
            return category, share
    return None


def _rows_of(values: Iterable[str], counts: Iterable[int], hits: set[str]) -> int:
    return sum(n for value, n in zip(values, counts, strict=True) if value in hits)
