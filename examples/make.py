"""Make the example submissions, one folder per sector, from this script alone: `python examples/make.py [FOLDER]`.

The people, pumps and stations in them do not exist. The same script makes the same bytes every time.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from sandbox.starting import SECTORS, TABLE, Sector, start

ROWS = 360
Row = dict[str, str]


def _pick(draw: Random, *values: str) -> str:
    return values[int(draw.random() * len(values))]


def _whole(draw: Random, low: int, high: int) -> int:
    return low + int(draw.random() * (high - low + 1))


def _said(draw: Random, truth: bool, right: float, no: str, yes: str) -> str:
    """Say what is so with a chance of `right`, and else the other."""
    return yes if truth == (draw.random() < right) else no


def _credit(draw: Random) -> Row:
    age, sex = _whole(draw, 19, 78), _pick(draw, "f", "m")
    income, debt, months = _whole(draw, 1400, 5200), _whole(draw, 0, 30), _whole(draw, 0, min(12 * (age - 18), 240))
    repaid = draw.random() < 0.35 + 0.1 * (income - 1400) / 1000 - 0.01 * debt + min(months, 60) / 300
    advice = _said(draw, repaid, 0.84 if age >= 25 else 0.74, "default", "repaid")
    shown = {"income": income, "debt": debt, "months_employed": months, "sex": sex, "age": age}
    return {**{n: str(v) for n, v in shown.items()}, "outcome": "repaid" if repaid else "default", "advice": advice}


def _benefits(draw: Random) -> Row:
    age, sex, origin = _whole(draw, 21, 66), _pick(draw, "f", "m"), _pick(draw, "a", "a", "b")
    size, months, hours = _whole(draw, 1, 6), _whole(draw, 1, 120), _whole(draw, 0, 24)
    found = draw.random() < 0.08 + 0.012 * hours
    selected = draw.random() < (0.7 if found else 0.16 + (0.06 if origin == "b" else 0.0))
    shown = {"household_size": size, "months_on_benefit": months, "hours_worked": hours}
    people = {"sex": sex, "origin": origin, "age": str(age)}
    words = ("not_selected", "selected")
    return {**{n: str(v) for n, v in shown.items()}, **people, "found": words[found], "advice": words[selected]}


def _letters(draw: Random) -> Row:
    teams = ("permits", "taxes", "other")
    team, language, hand = _pick(draw, *teams), _pick(draw, "first", "first", "second"), draw.random() < 0.25
    right = 0.93 - (0.14 if hand else 0.0) - (0.05 if language == "second" else 0.0)
    chosen = team if draw.random() < right else _pick(draw, *(t for t in teams if t != team))
    channel = "paper" if hand else _pick(draw, "paper", "scan", "mail")
    shown = {"pages": str(_whole(draw, 1, 9)), "channel": channel}
    people = {"language": language, "handwritten": "yes" if hand else "no"}
    return {**shown, **people, "team": team, "chosen": chosen}


def _maintenance(draw: Random) -> Row:
    vibration, heat, hours = draw.random() * 8, 40 + draw.random() * 45, _whole(draw, 100, 9000)
    make = _pick(draw, "north", "north", "south")
    days = max(1.0, 120 - 6 * vibration - 0.4 * heat - hours / 160 + 10 * (draw.random() - 0.5))
    guess = days + (14 if make == "north" else 26) * (draw.random() - 0.5)
    shown = {"vibration": f"{vibration:.2f}", "temperature": f"{heat:.1f}", "hours_run": str(hours), "make": make}
    return {**shown, "days": f"{days:.1f}", "predicted_days": f"{guess:.1f}"}


def _imaging(draw: Random) -> Row:
    age, sex, scanner = _whole(draw, 30, 88), _pick(draw, "f", "m"), _pick(draw, "P", "Q")
    ill = draw.random() < 0.2 + 0.004 * (age - 30)
    pointed = _said(draw, ill, 0.9 if scanner == "P" else 0.83, "nothing", "look_closer")
    shown = {"slices": str(_whole(draw, 80, 420)), "scanner": scanner, "sex": sex, "age": str(age)}
    return {**shown, "confirmed": "look_closer" if ill else "nothing", "pointed": pointed}


def _recruitment(draw: Random) -> Row:
    age, sex = _whole(draw, 20, 64), _pick(draw, "f", "m")
    years, level, distance = _whole(draw, 0, min(age - 18, 30)), _pick(draw, "mbo", "hbo", "wo"), _whole(draw, 1, 90)
    good = draw.random() < 0.15 + 0.02 * min(years, 15) + {"mbo": 0.0, "hbo": 0.15, "wo": 0.2}[level]
    advised = good if draw.random() < 0.82 else draw.random() < (0.5 if sex == "m" else 0.35)
    shown = {"years_experience": str(years), "level": level, "distance": str(distance), "sex": sex, "age": str(age)}
    words = ("not_invited", "invited")
    return {**shown, "invited": words[good], "advice": words[advised]}


def _education(draw: Random) -> Row:
    sex, language, track = (
        _pick(draw, "f", "m"),
        _pick(draw, "same", "same", "other"),
        _pick(draw, "vmbo", "havo", "vwo"),
    )
    words_, errors = _whole(draw, 180, 900), _whole(draw, 0, 24) + (4 if language == "other" else 0)
    enough = draw.random() < 0.25 + words_ / 1400 - 0.01 * errors
    proposal = _said(draw, enough, 0.88 if language == "same" else 0.8, "insufficient", "sufficient")
    shown = {
        "words": str(words_),
        "spelling_errors": str(errors),
        "track": track,
        "sex": sex,
        "home_language": language,
    }
    return {**shown, "judged": "sufficient" if enough else "insufficient", "proposal": proposal}


def _energy(draw: Random) -> Row:
    heat, day, homes, kind = (
        -8 + draw.random() * 38,
        _whole(draw, 1, 7),
        _whole(draw, 40, 320),
        _pick(draw, "old", "new"),
    )
    load = homes * (1.1 + 0.03 * abs(18 - heat) + (0.25 if kind == "new" else 0.0)) + 30 * (draw.random() - 0.5)
    guess = load + (60 if kind == "old" else 110) * (draw.random() - 0.5)
    shown = {"temperature": f"{heat:.1f}", "weekday": str(day), "connections": str(homes), "kind": kind}
    return {**shown, "load_kw": f"{load:.1f}", "forecast_kw": f"{guess:.1f}"}


ROWS_OF: Mapping[str, Callable[[Random], Row]] = {
    "credit": _credit,
    "benefits": _benefits,
    "letters": _letters,
    "maintenance": _maintenance,
    "imaging": _imaging,
    "recruitment": _recruitment,
    "education": _education,
    "energy": _energy,
}


def _table(sector: str) -> str:
    draw = Random(f"example of {sector}")  # noqa: S311 - numbers that must come out the same every time
    rows = [ROWS_OF[sector](draw) for _ in range(ROWS)]
    return "".join(",".join(values) + "\n" for values in ([*rows[0]], *([*row.values()] for row in rows)))


def _datasheet(words: Sector) -> str:
    has_people = words.answers["personal_data"] != "no"
    stated = {
        "origin": "drawn by examples/make.py; nobody in it exists",
        "collection": "random numbers with a fixed seed",
        "purpose": f"to show what an assessment of a system like {words.name} looks like",
        "period": "2026",
        "population": f"made-up {'people' if has_people else 'machines and places'}, of whom none is real",
        "licence": "EUPL-1.2",
        "personal_data": '"no"',
        "cleaning": "nothing was changed or left out",
        "known_gaps": "everything that only happens in the world is missing",
    }
    lines = "".join(f"{name}: {text}\n" for name, text in stated.items())
    return f"# Where the evaluation data come from.\n{lines}"


def make(folder: Path) -> None:
    """Write all examples.

    Args:
        folder: takes one folder per sector; what is there of that name is written anew.
    """
    for name, words in SECTORS.items():
        example = folder / name
        shutil.rmtree(example, ignore_errors=True)
        example.mkdir(parents=True)
        (example / TABLE).write_text(_table(name), encoding="utf-8")
        (example / "datasheet.yaml").write_text(_datasheet(words), encoding="utf-8")
        start(example, sector=name)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
