"""Draw the typed data of a figure as an accessible SVG: the same bytes for the same figure, words and versions.

Assumes nothing of its figures: names of groups and features come from uploads. They are drawn as outlines of letters
(never as markup or formulas), with hidden and direction-changing characters made visible, and cut where too long.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import fill, wrap
from typing import Any, Final
from xml.sax.saxutils import escape

import numpy as np

from checks.finding import Figure, Scalar
from model_cards.drawing import Drawing, letters, width_of
from model_cards.words import Words, visible

WIDTH_INCHES: Final = 7.2
WIDTH: Final = 72 * WIDTH_INCHES
ROW_INCHES: Final = 0.3
TEXT: Final = 10.0
SIDE: Final = 9.5
SMALL: Final = 8.5
MOST_ROWS: Final = 40
MOST_INPUTS: Final = 15
MOST_STEPS: Final = 10
MOST_FIELDS: Final = 9
LONGEST_NAME: Final = 30
LINE_LENGTH: Final = 22
TOLD: Final = 8

# Marks of the texts beside a plot, by which room is made for them.
LEFT: Final = "left"
RIGHT: Final = "right"

TELLS: Final = "tells:"
"""Begins the mark of a bar that tells its figure under the pointer; the rest is what it tells."""

# Colours that stay apart under each kind of colour blindness (Okabe and Ito), on white.
INK: Final = "#1a1a1a"
QUIET: Final = "#595959"
FAINT: Final = "#d9d9d9"
BLUE: Final = "#0072b2"
ORANGE: Final = "#c64f00"
BETWEEN: Final = "#9a7aa0"
GREY: Final = "#8c8c8c"

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "path",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.facecolor": "white",
    "axes.unicode_minus": True,
    "figure.facecolor": "white",
    "xtick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.color": QUIET,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "path.simplify": False,
}

# matplotlib's settings and numpy's global generator (which shap draws its jitter from) belong to the whole process.
_LOCK: Final = threading.Lock()


def draw(figure: Figure, words: Words, *, title: str | None = None, description: str | None = None) -> str:
    """Draw a figure.

    Args:
        figure: its data; see `KINDS` for the kinds that can be drawn.
        words: the language of all text in it.
        title: its title for who cannot see it; made from the figure where not given.
        description: its text alternative; made from the figure where not given.

    Returns:
        An `<svg>` element with `role="img"`, title and description, to stand alone or inside a page (its ids carry the
        figure's name); an empty text where figures of this kind are not drawn, or hold no rows.
    """
    drawer = KINDS.get(figure.kind)
    if drawer is None or not figure.columns or not next(iter(figure.columns.values())):
        return ""
    svg = drawer(figure, words)
    heading, alternative = in_words(figure, words)
    return _accessible(svg, figure.name, visible(title or heading), visible(description or alternative), words.lang)


@contextmanager
def _own_settings(salt: str) -> Iterator[None]:
    import matplotlib as mpl

    # The generator's state is put back afterwards: drawing must not be felt anywhere else.
    before = np.random.get_state()  # shap draws from the global generator
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update({**_STYLE, "svg.hashsalt": salt})
        # A column of values without order is all NaN to shap, which numpy warns of.
        warnings.simplefilter("ignore", RuntimeWarning)
        np.random.seed(0)  # as above
        try:
            yield
        finally:
            np.random.set_state(before)  # as above


# ---- text


def _shown(text: Scalar, words: Words, longest: int = LONGEST_NAME) -> str:
    """Give a name as it is drawn: hidden and undrawable characters as `[U+202E]`, cut in the middle if too long."""
    if text is None:
        return words("plots.not_stated")
    plain = visible(words.scalar(text) if not isinstance(text, str) else text)
    drawable = letters()
    plain = "".join(c if ord(c) in drawable else f"[U+{ord(c):04X}]" for c in plain)
    if not plain.strip():
        return f"“{plain}”"
    if len(plain) <= longest:
        return plain
    return f"{plain[: longest - 11]}…{plain[-10:]}"


def _wrapped(text: str) -> list[str]:
    """Break a long name once, at the gap nearest its middle."""
    if len(text) <= LINE_LENGTH:
        return [text]
    gaps = [i for i, c in enumerate(text) if c in " -_/" and 3 < i < len(text) - 3]
    at = min(gaps, key=lambda i: abs(i - len(text) / 2)) + 1 if gaps else len(text) // 2
    return [text[:at].rstrip(), text[at:]]


def _numbers(values: Sequence[Scalar]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(
        [float(v) if isinstance(v, int | float) and not isinstance(v, bool) else np.nan for v in values],
        dtype=np.float64,
    )


def _unit(figure: Figure) -> str:
    return str(figure.params.get("unit") or "")


def _of(figure: Figure, words: Words) -> str:
    kind, of = str(figure.params.get("kind")), figure.params.get("of")
    return words(f"plots.of.{kind}", of=_shown(of, words, 60) if of is not None else "")


def _measure(figure: Figure, words: Words) -> str:
    code = ".".join(figure.name.split(".")[:2])
    return words.measure_name(code, str(figure.params.get("measure") or "value"))


def _shift(value: float, figure: Figure, words: Words) -> str:
    """Write a shift of the answer with its sign."""
    text = words.number(value, _unit(figure), name="difference", bare=True)
    return f"+{text}" if value > 0 else text


# ---- the frame of a plot


@dataclass(slots=True, kw_only=True)
class Frame:
    """The field of a plot: one row per name, an axis below, and room for texts on both sides.

    Args:
        drawing: what is drawn on.
        left, right, top, bottom: the field, in points.
        low, high: values at its left and right edge.
        pitch: height of a row, in points.
    """

    drawing: Drawing
    left: float
    right: float
    top: float
    bottom: float
    low: float
    high: float
    pitch: float

    def x(self, value: float) -> float:
        """Give the place of a value, from left to right."""
        return self.left + (value - self.low) / (self.high - self.low) * (self.right - self.left)

    def y(self, row: int) -> float:
        """Give the middle of a row; the first is on top."""
        return self.top + (row + 0.5) * self.pitch


def _frame(
    figure: Figure,
    words: Words,
    *,
    names: Sequence[str],
    below: Sequence[str] = (),
    beside: Sequence[str],
    span: tuple[float, float],
    axis: str,
    note: str = "",
    above: float = 6.0,
    gap: float = 0.0,
    shift: bool = False,
) -> Frame:
    """Lay out a plot and draw its axis and names.

    Args:
        names: of the rows, from top to bottom.
        below: small letters to each name, beside it where there is room and under it where not.
        beside: the longest texts that will stand right of the field.
        span: values at the edges of the field.
        axis: what the axis shows.
        note: a line under everything.
        above: room over the field, in points.
        gap: room between the ticks and what the axis shows, in points.
        shift: whether the values are shifts, which carry their sign.
    """
    room = WIDTH * 0.48
    apart = [width_of(t, SMALL) + 8.0 if t else 0.0 for t in below] or [0.0] * len(names)
    wide = [width_of(t, TEXT) for t in names]
    in_a_line = max(wide, default=0.0) + max(apart, default=0.0) <= room
    stacked = any(below) and not in_a_line
    lines = [[name] if width <= room * 0.86 else _wrapped(name) for name, width in zip(names, wide, strict=True)]
    if stacked:
        lines = [[name] for name in names]
    needed = max((width_of(t, TEXT) for parts in lines for t in parts), default=0.0)
    needed = max([needed, *(width_of(t, SMALL) for t in below)]) if stacked else needed + max(apart, default=0.0)
    pitch = 27.0 if stacked or any(len(parts) > 1 for parts in lines) else 21.0
    left = min(needed, WIDTH * 0.62) + 14.0
    right = WIDTH - min(max((width_of(t, SIDE) for t in beside), default=0.0) + 14.0, WIDTH * 0.3)
    said = wrap(axis[:200], 88) or [""]
    bottom = above + len(names) * pitch
    height = bottom + 20.0 + gap + 13.0 * len(said) + (14.0 if note else 0.0)
    drawing = Drawing(prefix=_prefix(figure.name), width=WIDTH, height=height)
    low, high = span
    made = Frame(drawing=drawing, left=left, right=right, top=above, bottom=bottom, low=low, high=high, pitch=pitch)
    for value in _ticks(low, high):
        x = made.x(value)
        drawing.line((x, above), (x, bottom), colour=FAINT, thick=0.6)
        drawing.text((x, bottom + 13.0), _tick(value, figure, words, shift), size=SMALL + 0.5, colour=INK, anchor=0.5)
    drawing.line((left, bottom), (right, bottom), colour=QUIET, thick=0.8)
    for i, text in enumerate(said):
        drawing.text((left, bottom + 27.0 + gap + 13.0 * i), text, size=SMALL + 0.5, colour=QUIET)
    if note:
        drawing.text((4.0, height - 4.0), note, size=SMALL, colour=QUIET)
    for i, parts in enumerate(lines):
        edge, middle = left - 10.0, made.y(i)
        under = below[i] if below else ""
        if stacked:
            drawing.text((edge, middle - 1.0), parts[0], size=TEXT, colour=INK, anchor=1.0)
            drawing.text((edge, middle + 9.5), under, size=SMALL, colour=QUIET, anchor=1.0)
            continue
        if under:
            drawing.text((edge, middle + 3.5), under, size=SMALL, colour=QUIET, anchor=1.0)
            edge -= max(apart)
        for k, part in enumerate(parts):
            rise = 3.5 + 11.5 * (k - (len(parts) - 1) / 2)
            drawing.text((edge, middle + rise), part, size=TEXT, colour=INK, anchor=1.0)
    return made


def _prefix(name: str) -> str:
    """Begin every id of a drawing, so that several can stand in one page."""
    return "f" + hashlib.sha256(name.encode()).hexdigest()[:8] + "-"


def _ticks(low: float, high: float) -> list[float]:
    """Give round values between the ends, at most seven."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    unit = 10.0 ** math.floor(math.log10(span / 6))
    step = next(s * unit for s in (1, 2, 2.5, 5, 10, 20) if span / (s * unit) <= 6)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick(value: float, figure: Figure, words: Words, shift: bool) -> str:
    if abs(value) < 1e-12:
        return "0"
    text = words.decimal(100 * value if _unit(figure) == "share" else value, 3)
    return f"+{text}" if shift and value > 0 else text


def _beside(frame: Frame, row: int, text: str, *, quiet: bool = False) -> None:
    """Write a text right of the field."""
    at = (frame.right + 10.0, frame.y(row) + 3.5)
    frame.drawing.text(at, text, size=SIDE, colour=QUIET if quiet else INK)


def _whisker(frame: Frame, row: int, low: float, high: float, *, colour: str, thick: float) -> None:
    """Draw an interval with its ends."""
    y = frame.y(row)
    frame.drawing.line((frame.x(low), y), (frame.x(high), y), colour=colour, thick=thick)
    for end in (low, high):
        frame.drawing.line((frame.x(end), y - 4.0), (frame.x(end), y + 4.0), colour=colour, thick=1.2)


def _bar(frame: Frame, row: int, value: float, *, fill: str) -> None:
    half, y = 0.28 * frame.pitch, frame.y(row)
    start, end = frame.x(max(frame.low, min(0.0, frame.high))), frame.x(value)
    corners = [(start, y - half), (end, y - half), (end, y + half), (start, y + half)]
    frame.drawing.shape(corners, fill=fill, edge=BLUE, thick=1.2)


# ---- kinds


def _group_rates(figure: Figure, words: Words) -> str:
    """Draw one point per group with its interval; groups with too few rows are hollow."""
    return _measured_rows(figure, words, [figure.columns["group"]], as_bars=False)


def _bars(figure: Figure, words: Words) -> str:
    """Draw one bar per row, with an interval where there is one."""
    named = [c for name, c in figure.columns.items() if name not in ("value", "rows", "low", "high", "too_small")]
    return _measured_rows(figure, words, named, as_bars=True)


def _effect(figure: Figure, words: Words) -> str:
    """Draw a point per value of an input, from its lowest to its highest, with the band of the curve."""
    unit = words(f"plots.unit.{_unit(figure)}")
    axis = words("plots.x.contribution", unit=unit)
    return _measured_rows(figure, words, [figure.columns["at"]], as_bars=False, measure=axis)


def _measured_rows(
    figure: Figure, words: Words, named: Sequence[Sequence[Scalar]], *, as_bars: bool, measure: str = ""
) -> str:
    columns = figure.columns
    value = _numbers(columns["value"])
    absent: tuple[Scalar, ...] = (None,) * len(value)
    low, high = _numbers(columns.get("low", absent)), _numbers(columns.get("high", absent))
    small = [bool(s) for s in columns.get("too_small", absent)]
    counted = columns.get("rows", absent)
    shown = min(len(value), MOST_ROWS)
    unit = _unit(figure)
    names, below, beside = [], [], []
    for i in range(shown):
        names.append(" · ".join(_shown(column[i], words) for column in named))
        under = [] if counted[i] is None else [words("plots.rows", rows=counted[i])]
        below.append(", ".join([*under, *([words("plots.too_small")] if small[i] else [])]))
        ends = (float(low[i]), float(high[i]))
        beside.append(words("plots.no_value") if np.isnan(value[i]) else _with_interval(value[i], ends, unit, words))
    bounds = _bounds(figure)
    known = np.concatenate([value[:shown], low[:shown], high[:shown]])
    known = known[np.isfinite(known)]
    unit_word = words(f"plots.axis_unit.{unit}") if words.find(f"plots.axis_unit.{unit}") else unit
    measure = measure or _measure(figure, words)
    hidden = len(value) - shown
    frame = _frame(
        figure,
        words,
        names=names,
        below=below,
        beside=beside,
        span=_limits_of_axis(known.tolist() + bounds, figure, from_zero=as_bars or unit == "share"),
        axis=words("plots.x.measured", measure=measure, unit=unit_word) if unit_word else measure,
        note=words("plots.more", number=hidden) if hidden else "",
        above=18.0 if bounds else 6.0,
    )
    if (known < 0).any() and (known > 0).any():
        x = frame.x(0.0)
        frame.drawing.line((x, frame.top), (x, frame.bottom), colour=GREY, thick=1.0)
    for bound in bounds:
        x = frame.x(bound)
        frame.drawing.line((x, frame.top), (x, frame.bottom), colour=ORANGE, thick=1.4, dashes="5.6 4.2")
        said = f"{words('plots.limit')} {words.number(bound, unit)}"
        frame.drawing.text((x, frame.top - 5.0), said, size=SMALL + 0.5, colour=ORANGE, anchor=0.5)
    for i in range(shown):
        _beside(frame, i, beside[i], quiet=small[i] or bool(np.isnan(value[i])))
        if np.isnan(value[i]):
            continue
        given = float(value[i])
        face = "#ffffff" if small[i] else BLUE
        told = "; ".join(part for part in (f"{names[i]}: {beside[i]}", below[i]) if part)
        top, bottom = frame.y(i) - frame.pitch / 2, frame.y(i) + frame.pitch / 2
        with frame.drawing.told(told, (frame.x(frame.low), top), (frame.x(frame.high), bottom)):
            if as_bars:
                _bar(frame, i, given, fill=face)
            if np.isfinite(low[i]) and np.isfinite(high[i]):
                ink, thick = (INK, 1.2) if as_bars else (BLUE, 2.2)
                _whisker(frame, i, float(low[i]), float(high[i]), colour=ink, thick=thick)
            if not as_bars:
                frame.drawing.dot((frame.x(given), frame.y(i)), 4.0, fill=face, edge=BLUE, thick=1.6)
    return frame.drawing.svg()


def _thresholds(figure: Figure, words: Words) -> str:
    """Draw a bar per threshold that was tried."""
    named = [words.decimal(float(t), 3) if isinstance(t, int | float) else "–" for t in figure.columns["threshold"]]
    axis = words.find(f"outcomes.columns.{figure.params.get('measure')}")
    return _measured_rows(figure, words, [named], as_bars=True, measure=axis or words("plots.x.difference"))


def _calibration(figure: Figure, words: Words) -> str:
    """Draw a field per group: stated probability to the right, what happened upwards, and where both are the same."""
    columns = figure.columns
    score, value = _numbers(columns["score"]), _numbers(columns["value"])
    absent: tuple[Scalar, ...] = (None,) * len(value)
    low, high = _numbers(columns.get("low", absent)), _numbers(columns.get("high", absent))
    groups = list(dict.fromkeys(columns["group"]))[:MOST_FIELDS]
    across, side, pitch = 3, 118.0, 172.0
    down = -(-len(groups) // across)
    said = words("plots.x.calibration").split("; ")
    hidden = len(dict.fromkeys(columns["group"])) - len(groups)
    if hidden:
        said.append(words("plots.more", number=hidden))
    height = down * (side + 34.0) + 20.0 + 12.0 * len(said)
    field = Drawing(prefix=_prefix(figure.name), width=WIDTH, height=height)
    for at, group in enumerate(groups):
        left, top = 38.0 + pitch * (at % across), 18.0 + (side + 34.0) * (at // across)
        right, bottom = left + side, top + side
        if groups != [None]:
            field.text((left, top - 5.0), _shown(group, words, 24), size=SIDE, colour=INK)
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
            x, y = left + side * tick, bottom - side * tick
            field.line((x, top), (x, bottom), colour=FAINT, thick=0.6)
            field.line((left, y), (right, y), colour=FAINT, thick=0.6)
            if tick in (0.0, 0.5, 1.0):
                share = words.decimal(100 * tick, 3)
                field.text((x, bottom + 11.0), share, size=SMALL - 0.5, colour=QUIET, anchor=0.5)
                field.text((left - 5.0, y + 3.0), share, size=SMALL - 0.5, colour=QUIET, anchor=1.0)
        field.line((left, bottom), (right, top), colour=GREY, thick=0.9, dashes="3 3")
        for i, of in enumerate(columns["group"]):
            if of != group or not (np.isfinite(score[i]) and np.isfinite(value[i])):
                continue
            x, y = (
                left + side * min(max(float(score[i]), 0.0), 1.0),
                bottom - side * min(max(float(value[i]), 0.0), 1.0),
            )
            shown = _with_interval(float(value[i]), (float(low[i]), float(high[i])), "share", words)
            told = f"{words.number(float(score[i]), 'share')} → {shown}"
            with field.told(told, (x - 5.0, y - 5.0), (x + 5.0, y + 5.0)):
                if np.isfinite(low[i]) and np.isfinite(high[i]):
                    ends = [bottom - side * min(max(float(e), 0.0), 1.0) for e in (low[i], high[i])]
                    field.line((x, ends[0]), (x, ends[1]), colour=BLUE, thick=1.2)
                field.dot((x, y), 2.6, fill=BLUE, edge=BLUE, thick=0.6)
    for i, part in enumerate(reversed(said)):
        field.text((38.0, height - 6.0 - 12.0 * i), part, size=SMALL + 0.5, colour=QUIET)
    return field.svg()


def _with_interval(value: float, ends: tuple[float, float], unit: str, words: Words, *, bare: bool = False) -> str:
    text = words.number(float(value), unit, bare=bare)
    if not (np.isfinite(ends[0]) and np.isfinite(ends[1])):
        return text
    low, high = (words.number(end, unit, bare=True) for end in ends)
    return f"{text} ({words('outcomes.numbers.interval', low=low, high=high)})"


def _bounds(figure: Figure) -> list[float]:
    given = (figure.params.get(key) for key in ("limit", "at_least", "at_most"))
    return [float(b) for b in given if isinstance(b, int | float) and not isinstance(b, bool)]


def _limits_of_axis(values: Sequence[float], figure: Figure, *, from_zero: bool) -> tuple[float, float]:
    least, most = min(values, default=0.0), max(values, default=1.0)
    if from_zero:
        least, most = min(least, 0.0), max(most, 0.0)
    span = (most - least) or abs(most) or (0.01 if _unit(figure) == "share" else 1.0)
    low = least if from_zero and least == 0.0 else least - 0.05 * span
    high = most + 0.05 * span
    if _unit(figure) == "share" and from_zero:
        high = min(high, 1.03) if most <= 1.0 else high
        low = low - 0.015 * span
    return low, high


# ---- the kinds that shap draws, on matplotlib


def _canvas(rows: int, extra_inches: float = 0.95) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(WIDTH_INCHES, max(rows, 1) * ROW_INCHES + extra_inches), dpi=96)
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return canvas, axes


def _fit(canvas: Any, axes: Any, bottom_inches: float = 0.72, top_inches: float = 0.2) -> None:
    """Give the texts beside the plot the room they need, and no more than most of the width."""
    width, height = canvas.get_size_inches()
    renderer = canvas.canvas.get_renderer()
    room = {LEFT: 0.0, RIGHT: 0.12}
    for text in axes.texts:
        side = text.get_gid()
        if side in room:
            room[side] = max(room[side], text.get_window_extent(renderer).width / canvas.dpi + 0.24)
        # The name of a side is for this function alone.
        text.set_gid(None)
    canvas.subplots_adjust(
        left=min(room[LEFT], width * 0.5) / width,
        right=1.0 - min(room[RIGHT], width * 0.3) / width,
        bottom=bottom_inches / height,
        top=1.0 - top_inches / height,
    )


def _scale(axes: Any, figure: Figure, words: Words, label: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))

    def tick(value: float, _: int) -> str:
        return _tick(value, figure, words, shift=figure.kind == "beeswarm")

    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel(fill(label[:200], 74), fontsize=9, labelpad=6, loc="left", color=QUIET)


def _note(canvas: Any, text: str) -> None:
    width, height = canvas.get_size_inches()
    canvas.text(0.06 / width, 0.08 / height, text, fontsize=9, color=QUIET, ha="left", va="bottom")


def _place_labels(axes: Any, names: Sequence[str], below: Sequence[str] | None = None, first: int = 0) -> None:
    """Write the names of the rows, the first on top, each with small letters under it where there are any.

    Args:
        names: of the rows.
        below: small letters, one text per name.
        first: position of the lowest row on the axis.
    """
    count = len(names)
    axes.set_yticks(range(first, first + count), [""] * count)
    for i, name in enumerate(names):
        under = below[i] if below is not None else ""
        lines = [(name if under else "\n".join(_wrapped(name)), 10.5, INK, 6.5 if under else 0.0)]
        if under:
            lines.append((under, 8.5, QUIET, -7.5))
        for text, size, colour, lift in lines:
            axes.annotate(
                text,
                xy=(0.0, first + count - 1 - i),
                xycoords=("axes fraction", "data"),
                xytext=(-8, lift),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=size,
                color=colour,
                linespacing=1.1,
                annotation_clip=False,
                gid=LEFT,
            )


def _importance(figure: Figure, words: Words) -> str:
    """Draw a bar per input with shap, the longest first, with its interval over it."""
    return _by_matplotlib(_shap_bars, figure, words)


def _shap_bars(figure: Figure, words: Words) -> Any:
    import shap

    value = _numbers(figure.columns["mean_abs"])
    low, high = _numbers(figure.columns["low"]), _numbers(figure.columns["high"])
    shown = min(len(value), MOST_INPUTS)
    unit = _unit(figure)
    canvas, axes = _canvas(shown, 0.95 if shown == len(value) else 1.15)
    # shap is given numbers for names, so that no name from an upload is ever taken for a formula.
    explanation = shap.Explanation(values=value[:shown], feature_names=[str(i) for i in range(shown)])
    shap.plots.bar(explanation, max_display=shown + 1, order=np.arange(shown), ax=axes, show=False, show_data=False)
    for text in list(axes.texts):
        text.remove()
    names = [_shown(name, words) for name in figure.columns["feature"][:shown]]
    for bar in axes.patches:
        bar.set_facecolor(BLUE)
        bar.set_edgecolor("none")
    for i in range(shown):
        at = shown - i
        if np.isfinite(low[i]) and np.isfinite(high[i]):
            axes.plot([low[i], high[i]], [at, at], color=INK, linewidth=1.3, zorder=4)
            for end in (low[i], high[i]):
                axes.plot([end, end], [at - 0.13, at + 0.13], color=INK, linewidth=1.3, zorder=4)
        beside = _with_interval(value[i], (float(low[i]), float(high[i])), unit, words, bare=True)
        axes.patches[i].set_gid(f"{TELLS}{names[i]}: {beside}")
        axes.annotate(
            beside,
            xy=(1.0, at),
            xycoords=("axes fraction", "data"),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            ha="left",
            fontsize=9.5,
            color=INK,
            annotation_clip=False,
            gid=RIGHT,
        )
    _place_labels(axes, names, first=1)
    axes.set_ylim(0.4, shown + 0.6)
    known = np.concatenate([value[:shown], high[:shown]])
    axes.set_xlim(0.0, float(np.max(known[np.isfinite(known)], initial=0.0)) * 1.04 or 1.0)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=10.5, labelcolor=INK)
    _scale(axes, figure, words, words("plots.x.importance", unit=words(f"plots.unit.{unit}")))
    if shown < len(value):
        _note(canvas, words("plots.more", number=len(value) - shown))
    _fit(canvas, axes, 0.92 if shown < len(value) else 0.72)
    return canvas


def _by_matplotlib(make: Callable[[Figure, Words], Any], figure: Figure, words: Words) -> str:
    """Draw with matplotlib, one drawing at a time, and keep of its file what belongs in a page."""
    with _LOCK, _own_settings(figure.name):
        written = io.StringIO()
        make(figure, words).savefig(
            written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return _own(written.getvalue(), figure.name)


def _beeswarm(figure: Figure, words: Words) -> str:
    """Draw a point per explained row and input with shap, coloured by the rank of the input's value."""
    return _by_matplotlib(_swarm, figure, words)


def _swarm(figure: Figure, words: Words) -> Any:
    import shap
    from matplotlib.colors import LinearSegmentedColormap

    columns = figure.columns
    each = int(figure.params.get("explained_rows") or 0) or len(columns["feature"])
    inputs = len(columns["feature"]) // each
    contributions = _numbers(columns["contribution"])[: inputs * each].reshape(inputs, each).T
    ranks = _numbers(columns["rank"])[: inputs * each].reshape(inputs, each).T
    names = [columns["feature"][i * each] for i in range(inputs)]
    shown = min(inputs, MOST_INPUTS)
    canvas, axes = _canvas(shown, 1.0 if shown == inputs else 1.2)
    colours = LinearSegmentedColormap.from_list("rank", [BLUE, BETWEEN, ORANGE])
    explanation = shap.Explanation(
        values=contributions[:, :shown], data=ranks[:, :shown], feature_names=[str(i) for i in range(shown)]
    )
    shap.plots.beeswarm(
        explanation,
        max_display=shown + 1,
        order=np.arange(shown),
        ax=axes,
        show=False,
        color=colours,
        color_bar=False,
        plot_size=None,
        s=14,
        alpha=1.0,
        group_remaining_features=False,
    )
    _place_labels(axes, [_shown(n, words) for n in names[:shown]])
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=10.5, labelcolor=INK)
    axes.set_ylim(-0.7, shown - 0.3)
    unit = words(f"plots.unit.{_unit(figure)}")
    _scale(axes, figure, words, words("plots.x.contribution", unit=unit))
    if shown < inputs:
        _note(canvas, words("plots.more", number=inputs - shown))
    _fit(canvas, axes, 0.92 if shown < inputs else 0.72, 0.42)
    _colour_key(canvas, words, colours)
    return canvas


def _colour_key(canvas: Any, words: Words, colours: Any) -> None:
    """Say what the colours mean, in one line above the plot."""
    width, height = canvas.get_size_inches()
    low, high, grey = words("plots.value_low"), words("plots.value_high"), words("plots.value_bar")
    renderer = canvas.canvas.get_renderer()
    x = 0.12
    for what in (low, None, high, "●", grey):
        y = 1.0 - 0.18 / height
        if what is None:
            key = canvas.add_axes((x / width, 1.0 - 0.23 / height, 0.8 / width, 0.1 / height))
            key.imshow(np.linspace(0, 1, 64)[None, :], aspect="auto", cmap=colours, interpolation="nearest")
            key.set_axis_off()
            x += 0.8 + 0.08
            continue
        is_dot = what == "●"
        text = canvas.text(x / width, y, what, fontsize=9, color="#777777" if is_dot else QUIET, va="center", ha="left")
        x += text.get_window_extent(renderer).width / canvas.dpi + (0.05 if is_dot else 0.08)
        if what == high:
            x += 0.25


def _decision(figure: Figure, words: Words) -> str:
    """Draw the way from the average answer to one answer, an arrow per input.

    Drawn here and not by shap, whose waterfall cuts names at `=` and writes its words in English.
    """
    columns, params = figure.columns, figure.params
    moved = _numbers(columns["contribution"])
    names, values = columns["feature"], columns.get("value", (None,) * len(moved))
    base = float(params.get("base_value") or 0.0)
    steps: list[tuple[str, float]] = []
    # One input left over is shown by its own name.
    single = len(moved) if len(moved) <= MOST_STEPS + 1 else MOST_STEPS
    for i in range(single):
        value = words("plots.missing") if values[i] is None else _shown(values[i], words, 24)
        named = words("plots.equals", feature=_shown(names[i], words, 26), value=value)
        steps.append((named, float(moved[i])))
    if len(moved) > single:
        rest = len(moved) - single
        steps.append((words("plots.others", number=rest), float(np.nansum(moved[single:]))))
    reached = [base]
    for _, step in steps:
        reached.append(reached[-1] + step)
    span = (max(reached) - min(reached)) or 1.0
    unit = words(f"plots.axis_unit.{_unit(figure)}")
    beside = [_shift(step, figure, words) for _, step in steps]
    frame = _frame(
        figure,
        words,
        names=[name for name, _ in steps],
        beside=beside,
        span=(min(reached) - 0.07 * span, max(reached) + 0.07 * span),
        axis=words("plots.x.answer", of=_of(figure, words), unit=unit),
        above=18.0,
        gap=13.0,
    )
    field = frame.drawing
    for at, key, y in ((base, "base", frame.top - 5.0), (reached[-1], "output", frame.bottom + 25.0)):
        x = frame.x(at)
        field.line((x, frame.top), (x, frame.bottom), colour=QUIET, thick=0.8, dashes="2.4 2.4")
        said = words(f"plots.{key}", number=words.number(at, _unit(figure)))
        half = width_of(said, SIDE) / 2
        field.text((min(max(x, half + 2.0), WIDTH - half - 2.0), y), said, size=SIDE, colour=INK, anchor=0.5)
    for i, (_, step) in enumerate(steps):
        start, end, y = frame.x(reached[i]), frame.x(reached[i + 1]), frame.y(i)
        top, bottom = y - frame.pitch / 2, y + frame.pitch / 2
        with field.told(f"{steps[i][0]}: {beside[i]}", (frame.x(frame.low), top), (frame.x(frame.high), bottom)):
            _arrow(field, y, start, end, 0.3 * frame.pitch, ORANGE if step > 0 else BLUE)
        if i < len(steps) - 1:
            reach = 0.34 * frame.pitch
            field.line((end, y + reach), (end, y + frame.pitch - reach), colour=QUIET, thick=0.7)
        _beside(frame, i, beside[i])
    return field.svg()


def _arrow(field: Drawing, y: float, start: float, end: float, half: float, colour: str) -> None:
    """Draw a bar with a point in the direction of the shift; a shift smaller than a point is all point."""
    head = min(6.0, abs(end - start))
    neck = end - head if end > start else end + head
    corners = [(start, y - half), (neck, y - half), (end, y), (neck, y + half), (start, y + half)]
    field.shape(corners, fill=colour, edge=colour, thick=0.6)


KINDS: Final[Mapping[str, Callable[[Figure, Words], str]]] = {
    "group_rates": _group_rates,
    "bars": _bars,
    "effect": _effect,
    "importance": _importance,
    "beeswarm": _beeswarm,
    "calibration": _calibration,
    "thresholds": _thresholds,
    "decision": _decision,
}
"""The kinds of figure that can be drawn."""


# ---- for who cannot see it


def in_words(figure: Figure, words: Words) -> tuple[str, str]:
    """Give a title and a text alternative made from the figure's own data."""
    attribute = figure.params.get("attribute")
    measure = _measure(figure, words) if figure.kind in ("group_rates", "bars", "effect") else ""
    title = words(f"plots.title.{figure.kind}", measure=measure, attribute=_shown(attribute, words))
    told: list[str] = []
    columns = figure.columns
    if figure.kind in ("group_rates", "bars", "effect"):
        named = [c for n, c in columns.items() if n not in ("value", "rows", "low", "high", "too_small")]
        for i, value in enumerate(_numbers(columns["value"])):
            text = words("plots.no_value") if np.isnan(value) else words.number(float(value), _unit(figure))
            told.append(words("plots.alternative.one", name=" · ".join(_shown(c[i], words) for c in named), value=text))
    elif figure.kind == "importance":
        for name, value in zip(columns["feature"], _numbers(columns["mean_abs"]), strict=True):
            text = words.number(float(value), _unit(figure), name="difference")
            told.append(words("plots.alternative.one", name=_shown(name, words), value=text))
    elif figure.kind in ("calibration", "thresholds"):
        first = "score" if figure.kind == "calibration" else "threshold"
        for i, (x, value) in enumerate(zip(_numbers(columns[first]), _numbers(columns["value"]), strict=True)):
            of_groups = figure.kind == "calibration" and set(columns["group"]) != {None}
            group = f"{_shown(columns['group'][i], words)} " if of_groups else ""
            unit = _unit(figure) if figure.kind == "calibration" else ""
            at = words.number(float(x), unit) if np.isfinite(x) else "–"
            text = words("plots.no_value") if np.isnan(value) else words.number(float(value), _unit(figure))
            told.append(words("plots.alternative.one", name=f"{group}{at}:", value=text))
    elif figure.kind == "beeswarm":
        told = [_shown(name, words) for name in dict.fromkeys(columns["feature"])]
    else:
        for name, value in zip(columns["feature"], _numbers(columns["contribution"]), strict=True):
            told.append(
                words("plots.alternative.one", name=_shown(name, words), value=_shift(float(value), figure, words))
            )
    figures = "; ".join(told[:TOLD])
    if len(told) > TOLD:
        figures = words("plots.alternative.cut", figures=figures, number=len(told) - TOLD)
    base, output = (_numbers([figure.params.get(k)])[0] for k in ("base_value", "output"))
    description = words(
        f"plots.alternative.{figure.kind}",
        figures=figures,
        of=_of(figure, words),
        base=words.number(float(base), _unit(figure)) if np.isfinite(base) else "",
        output=words.number(float(output), _unit(figure)) if np.isfinite(output) else "",
    )
    return title, description


_COMMENT: Final = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_METADATA: Final = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_SHEET: Final = re.compile(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", re.DOTALL)
_TELLS: Final = re.compile(rf'<g id="{TELLS}([^"]*)">')
_GROUP: Final = re.compile(r'<g id="[^"]*"')
_STYLED: Final = re.compile(r'\sstyle="([^"]*)"')
# A hundredth of a point is finer than any screen; scales are left as they are, since whole letters hang on them.
_FINE: Final = re.compile(r"scale\([^)]*\)|(?<![\w.#])\d+\.\d{3,}")
_ID: Final = re.compile(r'\b(id="|xlink:href="#|url\(#)')
_SPACE: Final = re.compile(r"\s*\n\s*")


def _own(svg: str, name: str) -> str:
    """Take out of matplotlib's SVG what does not belong in a page.

    It gets ids of its own, and presentation attributes instead of styles, so that a page's content security policy need
    not allow styles and none of them reaches the rest of the page.
    """
    # All letters are outlines, so that what is left as text in the file is matplotlib's own markup.
    body = svg[svg.index("<svg") :]
    for unwanted in (_COMMENT, _METADATA, _SHEET):
        body = unwanted.sub("", body)
    # Escaped already, as what an attribute holds is.
    body = _TELLS.sub(r"<g><title>\1</title>", body)
    body = _GROUP.sub("<g", body)
    body = _STYLED.sub(lambda found: _as_attributes(found[1]), body)
    body = _FINE.sub(lambda found: found[0] if found[0].startswith("scale") else f"{float(found[0]):.2f}", body)
    prefix = _prefix(name)
    body = _ID.sub(lambda found: found[1] + prefix, body)
    body = _SPACE.sub(" ", body).replace("> <", "><")
    end = body.index(">")
    return re.sub(r'\s(?:width|height)="[^"]*pt"', "", body[:end]) + body[end:]


def _accessible(svg: str, name: str, title: str, description: str, lang: str) -> str:
    """Give a drawing the role of an image, a title and a description."""
    prefix = _prefix(name)
    end = svg.index(">")
    opening = (
        f'{svg[:end]} role="img" lang="{lang}" aria-labelledby="{prefix}title {prefix}description" width="100%"'
        ' stroke-linejoin="round" stroke-linecap="butt"'
    )
    words_of_it = (
        f'<title id="{prefix}title">{escape(title)}</title><desc id="{prefix}description">{escape(description)}</desc>'
    )
    return f"{opening}>{words_of_it}{svg[end + 1 :].rstrip()}\n"


def _as_attributes(style: str) -> str:
    pairs = (part.split(":", 1) for part in style.split(";") if ":" in part)
    return "".join(f' {key.strip()}="{value.strip()}"' for key, value in pairs)
