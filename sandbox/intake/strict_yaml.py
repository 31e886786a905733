"""Reads the YAML of a submission: strings as the default, and nothing of YAML that surprises a person.

Assumes nothing of the text. `country: NO` is "NO", `1:30` and dates stay text; aliases, anchors, tags, doubled keys,
several documents and deep nesting are refused, each with its line and column. The text is followed event by event, so
that its depth costs no stack and an alias can grow nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from sandbox.errors import Refused
from sandbox.intake.problems import problem

LARGEST_BYTES = 1024**2
DEEPEST = 32
LONGEST_KEY = 400
_PAIR = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
"""One character beyond the first 65,536 as JSON writes it, which YAML takes for two that do not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A YAML text as read.

    Args:
        content: mappings, lists and strings only; None where the text holds nothing.
        lines: line of each mapping key and list entry, from 1, by its path.
    """

    content: Any
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict)


class _Open:
    """A mapping or list whose end has not come yet."""

    __slots__ = ("content", "key", "path")

    def __init__(self, content: dict[str, Any] | list[Any], path: tuple[str | int, ...]) -> None:
        self.content = content
        self.path = path
        self.key: str | None = None


def read_yaml(text: bytes, name: str) -> Written:
    """Read one YAML file of a submission.

    Args:
        text: its bytes, as UTF-8.
        name: its path in the submission, for the words.

    Returns:
        Its content; a key without a value (`contact:`) is absent, a quoted empty string is an empty string.

    Raises:
        Refused: it is too large, is no UTF-8, no YAML, or uses what is refused here.
    """
    if len(text) > LARGEST_BYTES:
        raise Refused(problem(name, "yaml.too_large", bytes=len(text), most=LARGEST_BYTES))
    try:
        decoded = _PAIR.sub(_one_character, text.decode("utf-8-sig"))
    except UnicodeDecodeError as raised:
        raise Refused(problem(name, "yaml.not_utf8", line=text[: raised.start].count(b"\n") + 1)) from None
    try:
        return _follow(decoded, name)
    except yaml.MarkedYAMLError as raised:
        mark = raised.problem_mark or raised.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        words = raised.problem or raised.context or "cannot be read"
        raise Refused(problem(name, "yaml.broken", line=line, column=column, why=words)) from None
    except yaml.reader.ReaderError as raised:
        line = decoded[: raised.position].count("\n") + 1 if isinstance(raised.position, int) else 1
        raise Refused(problem(name, "yaml.character", line=line)) from None
    except yaml.YAMLError as raised:
        raise Refused(problem(name, "yaml.broken", line=1, column=1, why=str(raised))) from None


def _one_character(pair: re.Match[str]) -> str:
    high, low = (int(half, 16) for half in pair.groups())
    return chr(0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00))


def _follow(text: str, name: str) -> Written:
    lines: dict[tuple[str | int, ...], int] = {}
    stack: list[_Open] = []
    whole: list[Any] = []
    documents = 0

    def refuse(code: str, event: yaml.Event, **params: str | int) -> Refused:
        line, column = _where(event)
        return Refused(problem(name, code, line=line, column=column, **params))

    def path_of_next(event: yaml.Event) -> tuple[str | int, ...]:
        if not stack:
            return ()
        top = stack[-1]
        if isinstance(top.content, list):
            path = (*top.path, len(top.content))
            lines[path] = _where(event)[0]
            return path
        return (*top.path, top.key or "")

    def place(value: Any) -> None:
        if not stack:
            whole.append(value)
            return
        top = stack[-1]
        if isinstance(top.content, list):
            top.content.append(value)
        else:
            assert top.key is not None
            top.content[top.key] = value
            top.key = None

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            raise refuse("yaml.alias", event, alias=str(event.anchor))
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise refuse("yaml.several", event)
        if not isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.CollectionEndEvent):
                stack.pop()
            continue
        if event.anchor is not None:
            raise refuse("yaml.anchor", event, anchor=str(event.anchor))
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise refuse("yaml.tag", event, tag=str(tag))
        awaits_key = bool(stack) and isinstance(stack[-1].content, dict) and stack[-1].key is None
        if awaits_key:
            if not isinstance(event, yaml.ScalarEvent):
                raise refuse("yaml.key", event)
            _take_key(stack[-1], event, lines, refuse)
        elif isinstance(event, yaml.ScalarEvent):
            path_of_next(event)
            if event.value == "" and not event.style:
                _leave_out(stack, place)
            else:
                place(event.value)
        else:
            if len(stack) >= DEEPEST:
                raise refuse("yaml.deep", event, most=DEEPEST)
            path = path_of_next(event)
            content: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
            place(content)
            stack.append(_Open(content, path))
    return Written(content=whole[0] if whole else None, lines=lines)


def _where(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _take_key(top: _Open, event: yaml.ScalarEvent, lines: dict[tuple[str | int, ...], int], refuse: Any) -> None:
    assert isinstance(top.content, dict)
    if len(event.value) > LONGEST_KEY:
        raise refuse("yaml.key", event)
    path = (*top.path, event.value)
    if path in lines:
        raise refuse("yaml.doubled", event, name=event.value, first=lines[path])
    lines[path] = _where(event)[0]
    top.key = event.value


def _leave_out(stack: list[_Open], place: Any) -> None:
    """Treat a key without a value as not given; in a list an empty entry stays, as an empty text."""
    if stack and isinstance(stack[-1].content, dict):
        stack[-1].key = None
    elif stack:
        place("")
