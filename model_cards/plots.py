"""Draw the typed data of a figure as an accessible SVG: the same bytes for the same figure, words and versions.

Assumes nothing of its figures: names of groups and features come from uploads. They are drawn as outlines of letters
(never as markup or formulas), with hidden and direction-changing characters made visible, and cut where too long.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from textwrap import fill
from typing import Any, Final
from xml.sax.saxutils import escape

import numpy as np

from checks.finding import Figure, Scalar
from model_cards.words import Words, visible

WIDTH_INCHES: Final = 7.2
ROW_INCHES: Final = 0.42
MOST_ROWS: Final = 40
MOST_INPUTS: Final = 15
MOST_STEPS: Final = 10
LONGEST_NAME: Final = 30
LINE_LENGTH: Final = 22
TOLD: Final = 8

# Marks of the texts beside a plot, by which room is made for them.
LEFT: Final = "left"
RIGHT: Final = "right"

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
    with _LOCK, _own_settings(figure.name):
        canvas = drawer(figure, words)
        written = io.StringIO()
        canvas.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    heading, alternative = in_words(figure, words)
    return _accessible(
        written.getvalue(), figure.name, visible(title or heading), visible(description or alternative), words.lang
    )


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


@cache
def _drawable() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    return frozenset(get_font(fontManager.findfont(FontProperties(family=["DejaVu Sans"]))).get_charmap())


def _shown(text: Scalar, words: Words, longest: int = LONGEST_NAME) -> str:
    """Give a name as it is drawn: hidden and undrawable characters as `[U+202E]`, cut in the middle if too long."""
    if text is None:
        return words("plots.not_stated")
    plain = visible(words.scalar(text) if not isinstance(text, str) else text)
    plain = "".join(c if ord(c) in _drawable() else f"[U+{ord(c):04X}]" for c in plain)
    if not plain.strip():
        return f"“{plain}”"
    if len(plain) <= longest:
        return plain
    return f"{plain[: longest - 11]}…{plain[-10:]}"


def _wrapped(text: str) -> str:
    """Break a long name once, at the gap nearest its middle."""
    if len(text) <= LINE_LENGTH:
        return text
    gaps = [i for i, c in enumerate(text) if c in " -_/" and 3 < i < len(text) - 3]
    at = min(gaps, key=lambda i: abs(i - len(text) / 2)) + 1 if gaps else len(text) // 2
    return f"{text[:at].rstrip()}\n{text[at:]}"


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


def _frame(rows: int, extra_inches: float = 0.95) -> tuple[Any, Any]:
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


def _scale(axes: Any, figure: Figure, words: Words, label: str, *, shift: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))

    def tick(value: float, _: int) -> str:
        if abs(value) < 1e-12:
            return "0"
        if _unit(figure) == "share":
            percent = words.decimal(100 * value, 3)
            return f"+{percent}" if shift and value > 0 else percent
        text = words.decimal(value, 3)
        return f"+{text}" if shift and value > 0 else text

    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    axes.set_xlabel(fill(label[:200], 74), fontsize=10.5, labelpad=7, loc="left")


def _side_text(axes: Any, row: float, text: str, *, quiet: bool = False) -> None:
    axes.annotate(
        text,
        xy=(1.0, row),
        xycoords=("axes fraction", "data"),
        xytext=(10, 0),
        textcoords="offset points",
        va="center",
        ha="left",
        fontsize=9.5,
        color=QUIET if quiet else INK,
        annotation_clip=False,
        gid=RIGHT,
    )


def _note(canvas: Any, text: str) -> None:
    width, height = canvas.get_size_inches()
    canvas.text(0.06 / width, 0.08 / height, text, fontsize=9, color=QUIET, ha="left", va="bottom")


# ---- kinds


def _group_rates(figure: Figure, words: Words) -> Any:
    """Draw one point per group with its interval; groups with too few rows are hollow."""
    return _measured_rows(figure, words, [figure.columns["group"]], as_bars=False)


def _bars(figure: Figure, words: Words) -> Any:
    """Draw one bar per row, with an interval where there is one."""
    named = [c for name, c in figure.columns.items() if name not in ("value", "rows", "low", "high", "too_small")]
    return _measured_rows(figure, words, named, as_bars=True)


def _measured_rows(figure: Figure, words: Words, named: Sequence[Sequence[Scalar]], *, as_bars: bool) -> Any:
    columns = figure.columns
    value = _numbers(columns["value"])
    absent: tuple[Scalar, ...] = (None,) * len(value)
    low, high = _numbers(columns.get("low", absent)), _numbers(columns.get("high", absent))
    small = [bool(s) for s in columns.get("too_small", absent)]
    counted = columns.get("rows", absent)
    shown = min(len(value), MOST_ROWS)
    canvas, axes = _frame(shown, 0.95 if len(value) == shown else 1.15)
    unit = _unit(figure)
    for i in range(shown):
        at = shown - 1 - i
        given = float(value[i])
        if np.isnan(given):
            _side_text(axes, at, words("plots.no_value"), quiet=True)
            continue
        if as_bars:
            face = "white" if small[i] else BLUE
            axes.barh(at, given, height=0.56, color=face, edgecolor=BLUE, linewidth=1.2, zorder=2)
        if np.isfinite(low[i]) and np.isfinite(high[i]):
            ink = INK if as_bars else BLUE
            axes.plot([low[i], high[i]], [at, at], color=ink, linewidth=2.2 if not as_bars else 1.2, zorder=3)
            for end in (low[i], high[i]):
                axes.plot([end, end], [at - 0.12, at + 0.12], color=ink, linewidth=1.2, zorder=3)
        if not as_bars:
            axes.plot(
                [given],
                [at],
                marker="o",
                markersize=8,
                markerfacecolor="white" if small[i] else BLUE,
                markeredgecolor=BLUE,
                markeredgewidth=1.6,
                zorder=4,
                clip_on=False,
            )
        text = words.number(given, unit)
        if np.isfinite(low[i]) and np.isfinite(high[i]):
            ends = [words.number(float(v), unit, bare=True) for v in (low[i], high[i])]
            text = f"{text} ({words('outcomes.numbers.interval', low=ends[0], high=ends[1])})"
        _side_text(axes, at, text, quiet=small[i])
    names, below = [], []
    for i in range(shown):
        names.append(" · ".join(_shown(column[i], words) for column in named))
        under = [] if counted[i] is None else [words("plots.rows", rows=counted[i])]
        if small[i]:
            under.append(words("plots.too_small"))
        below.append(", ".join(under))
    _place_labels(axes, names, below)
    known = np.concatenate([value[:shown], low[:shown], high[:shown]])
    known = known[np.isfinite(known)]
    if (known < 0).any() and (known > 0).any():
        axes.axvline(0.0, color=GREY, linewidth=1.0, zorder=1)
    _draw_limits(axes, figure, words)
    _limits_of_axis(axes, known, figure, from_zero=as_bars or unit == "share")
    unit_word = words(f"plots.axis_unit.{unit}") if words.find(f"plots.axis_unit.{unit}") else unit
    measure = _measure(figure, words)
    _scale(axes, figure, words, words("plots.x.measured", measure=measure, unit=unit_word) if unit_word else measure)
    axes.set_ylim(-0.6, shown - 0.4)
    hidden = len(value) - shown
    if hidden:
        _note(canvas, words("plots.more", number=hidden))
    limited = any(isinstance(figure.params.get(k), int | float) for k in ("limit", "at_least", "at_most"))
    _fit(canvas, axes, 0.92 if hidden else 0.72, 0.34 if limited else 0.2)
    return canvas


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
        lines = [(name if under else _wrapped(name), 10.5, INK, 6.5 if under else 0.0)]
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


def _draw_limits(axes: Any, figure: Figure, words: Words) -> None:
    for key in ("limit", "at_least", "at_most"):
        bound = figure.params.get(key)
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            axes.axvline(float(bound), color=ORANGE, linewidth=1.4, linestyle=(0, (4, 3)), zorder=1)
            axes.annotate(
                f"{words('plots.limit')} {words.number(float(bound), _unit(figure))}",
                xy=(float(bound), 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=9,
                color=ORANGE,
                annotation_clip=False,
            )


def _limits_of_axis(axes: Any, known: Any, figure: Figure, *, from_zero: bool) -> None:
    bounds = [float(v) for k, v in figure.params.items() if k in ("limit", "at_least", "at_most") and v is not None]
    values = [*known.tolist(), *bounds] or [0.0, 1.0]
    least, most = min(values), max(values)
    if from_zero:
        least, most = min(least, 0.0), max(most, 0.0)
    span = (most - least) or 1.0
    low = least if from_zero and least == 0.0 else least - 0.05 * span
    high = most + 0.05 * span
    if _unit(figure) == "share" and from_zero:
        high = min(high, 1.03) if most <= 1.0 else high
        low = low - 0.015 * span
    axes.set_xlim(low, high)


def _importance(figure: Figure, words: Words) -> Any:
    """Draw a bar per input with shap, and the interval of each over it."""
    import shap

    value = _numbers(figure.columns["mean_abs"])
    low, high = _numbers(figure.columns["low"]), _numbers(figure.columns["high"])
    shown = min(len(value), MOST_INPUTS)
    canvas, axes = _frame(shown, 0.95 if shown == len(value) else 1.15)
    # shap is given numbers for names, so that no name from an upload is ever taken for a formula.
    explanation = shap.Explanation(values=value[:shown], feature_names=[str(i) for i in range(shown)])
    shap.plots.bar(explanation, max_display=shown + 1, order=np.arange(shown), ax=axes, show=False, show_data=False)
    for text in list(axes.texts):
        text.remove()
    for bar in axes.patches:
        bar.set_facecolor(BLUE)
        bar.set_edgecolor("none")
    for i in range(shown):
        at = shown - i
        if np.isfinite(low[i]) and np.isfinite(high[i]):
            axes.plot([low[i], high[i]], [at, at], color=INK, linewidth=1.3, zorder=4)
            for end in (low[i], high[i]):
                axes.plot([end, end], [at - 0.13, at + 0.13], color=INK, linewidth=1.3, zorder=4)
        ends = [words.number(float(v), _unit(figure), bare=True) for v in (low[i], high[i])]
        text = words.number(float(value[i]), _unit(figure), bare=True)
        _side_text(axes, at, f"{text} ({words('outcomes.numbers.interval', low=ends[0], high=ends[1])})")
    _place_labels(axes, [_shown(n, words) for n in figure.columns["feature"][:shown]], first=1)
    axes.set_ylim(0.4, shown + 0.6)
    finite = high[:shown][np.isfinite(high[:shown])]
    axes.set_xlim(0.0, max(float(np.max(finite, initial=0.0)), float(value.max(initial=0.0))) * 1.04 or 1.0)
    axes.tick_params(axis="x", labelsize=10.5, labelcolor=INK)
    unit = words(f"plots.unit.{_unit(figure)}")
    _scale(axes, figure, words, words("plots.x.importance", unit=unit))
    if shown < len(value):
        _note(canvas, words("plots.more", number=len(value) - shown))
    _fit(canvas, axes, 0.92 if shown < len(value) else 0.72)
    return canvas


def _beeswarm(figure: Figure, words: Words) -> Any:
    """Draw a point per explained row and input with shap, coloured by the rank of the input's value."""
    import shap
    from matplotlib.colors import LinearSegmentedColormap

    columns = figure.columns
    each = int(figure.params.get("explained_rows") or 0) or len(columns["feature"])
    inputs = len(columns["feature"]) // each
    contributions = _numbers(columns["contribution"])[: inputs * each].reshape(inputs, each).T
    ranks = _numbers(columns["rank"])[: inputs * each].reshape(inputs, each).T
    names = [columns["feature"][i * each] for i in range(inputs)]
    shown = min(inputs, MOST_INPUTS)
    canvas, axes = _frame(shown, 1.0 if shown == inputs else 1.2)
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
    _scale(axes, figure, words, words("plots.x.contribution", unit=unit), shift=True)
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


def _decision(figure: Figure, words: Words) -> Any:
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
    canvas, axes = _frame(len(steps), 1.24)
    last = len(steps) - 1
    at = base
    reached = [base]
    for _, step in steps:
        at += step
        reached.append(at)
    span = (max(reached) - min(reached)) or 1.0
    head = 0.018 * span * 1.3
    for i, (_, step) in enumerate(steps):
        row, start, end = last - i, reached[i], reached[i + 1]
        colour = ORANGE if step > 0 else BLUE
        _arrow(axes, row, start, end, head, colour)
        if i < last:
            axes.plot([end, end], [row - 0.36, row - 1 + 0.36], color=QUIET, linewidth=0.7, zorder=1)
        _side_text(axes, row, _shift(step, figure, words))
    output = reached[-1]
    for x, key, where, height in ((base, "base", 1.0, "bottom"), (output, "output", 0.0, "top")):
        axes.axvline(x, color=QUIET, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
        text = words(f"plots.{key}", number=words.number(x, _unit(figure)))
        axes.annotate(
            text,
            xy=(x, where),
            xycoords=("data", "axes fraction"),
            xytext=(0, 5 if key == "base" else -21),
            textcoords="offset points",
            ha="center",
            va=height,
            fontsize=9.5,
            color=INK,
            annotation_clip=False,
        )
    _place_labels(axes, [name for name, _ in steps])
    axes.set_ylim(-0.6, len(steps) - 0.4)
    axes.set_xlim(min(reached) - 0.07 * span, max(reached) + 0.07 * span)
    unit = words(f"plots.axis_unit.{_unit(figure)}")
    _scale(axes, figure, words, words("plots.x.answer", of=_of(figure, words), unit=unit))
    axes.xaxis.labelpad = 20
    _fit(canvas, axes, 0.92, 0.32)
    return canvas


def _arrow(axes: Any, row: int, start: float, end: float, head: float, colour: str) -> None:
    """Draw a bar with a point in the direction of the shift; a shift smaller than a point is all point."""
    half = 0.3
    head = min(head, abs(end - start))
    neck = end - head if end > start else end + head
    corners = [(start, row - half), (neck, row - half), (end, row), (neck, row + half), (start, row + half)]
    axes.fill(
        [c[0] for c in corners], [c[1] for c in corners], facecolor=colour, edgecolor=colour, linewidth=0.6, zorder=2
    )


KINDS: Final[Mapping[str, Callable[[Figure, Words], Any]]] = {
    "group_rates": _group_rates,
    "bars": _bars,
    "importance": _importance,
    "beeswarm": _beeswarm,
    "decision": _decision,
}
"""The kinds of figure that can be drawn."""


# ---- for who cannot see it


def in_words(figure: Figure, words: Words) -> tuple[str, str]:
    """Give a title and a text alternative made from the figure's own data."""
    attribute = figure.params.get("attribute")
    measure = _measure(figure, words) if figure.kind in ("group_rates", "bars") else ""
    title = words(f"plots.title.{figure.kind}", measure=measure, attribute=_shown(attribute, words))
    told: list[str] = []
    columns = figure.columns
    if figure.kind in ("group_rates", "bars"):
        named = [c for n, c in columns.items() if n not in ("value", "rows", "low", "high", "too_small")]
        for i, value in enumerate(_numbers(columns["value"])):
            text = words("plots.no_value") if np.isnan(value) else words.number(float(value), _unit(figure))
            told.append(words("plots.alternative.one", name=" · ".join(_shown(c[i], words) for c in named), value=text))
    elif figure.kind == "importance":
        for name, value in zip(columns["feature"], _numbers(columns["mean_abs"]), strict=True):
            text = words.number(float(value), _unit(figure), name="difference")
            told.append(words("plots.alternative.one", name=_shown(name, words), value=text))
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
_GROUP: Final = re.compile(r'<g id="[^"]*"')
_STYLED: Final = re.compile(r'\sstyle="([^"]*)"')
# A hundredth of a point is finer than any screen; scales are left as they are, since whole letters hang on them.
_FINE: Final = re.compile(r"scale\([^)]*\)|(?<![\w.#])\d+\.\d{3,}")
_ID: Final = re.compile(r'\b(id="|xlink:href="#|url\(#)')
_SPACE: Final = re.compile(r"\s*\n\s*")


def _accessible(svg: str, name: str, title: str, description: str, lang: str) -> str:
    """Make matplotlib's SVG fit to stand in any page.

    It gets a title and a description, ids of its own, and presentation attributes instead of styles, so that a page's
    content security policy need not allow styles and none of them reaches the rest of the page.
    """
    # All letters are outlines, so that what is left as text in the file is matplotlib's own markup.
    body = svg[svg.index("<svg") :]
    for unwanted in (_COMMENT, _METADATA, _SHEET):
        body = unwanted.sub("", body)
    body = _GROUP.sub("<g", body)
    body = _STYLED.sub(lambda found: _as_attributes(found[1]), body)
    body = _FINE.sub(lambda found: found[0] if found[0].startswith("scale") else f"{float(found[0]):.2f}", body)
    prefix = "f" + hashlib.sha256(name.encode()).hexdigest()[:8] + "-"
    body = _ID.sub(lambda found: found[1] + prefix, body)
    body = _SPACE.sub(" ", body).replace("> <", "><")
    end = body.index(">")
    opening = re.sub(r'\s(?:width|height)="[^"]*pt"', "", body[:end])
    opening += (
        f' role="img" lang="{lang}" aria-labelledby="{prefix}title {prefix}description" width="100%"'
        ' stroke-linejoin="round" stroke-linecap="butt"'
    )
    words_of_it = (
        f'<title id="{prefix}title">{escape(title)}</title><desc id="{prefix}description">{escape(description)}</desc>'
    )
    return f"{opening}>{words_of_it}{body[end + 1 :].rstrip()}\n"


def _as_attributes(style: str) -> str:
    pairs = (part.split(":", 1) for part in style.split(";") if ":" in part)
    return "".join(f' {key.strip()}="{value.strip()}"' for key, value in pairs)
