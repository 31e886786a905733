"""The YAML of a submission: strings as the default, and no surprises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import Refused
from sandbox.intake.strict_yaml import DEEPEST, LARGEST_BYTES, read_yaml
from tests.make.submissions import dump


def read(text: str) -> object:
    return read_yaml(text.encode(), "x.yaml").content


def code_of(text: str | bytes) -> str:
    with pytest.raises(Refused) as raised:
        read_yaml(text.encode() if isinstance(text, str) else text, "x.yaml")
    (only,) = raised.value.problems
    assert only.field == "x.yaml"
    return only.code


def test_everything_is_text_until_a_field_says_otherwise() -> None:
    text = "a: NO\nb: 1:30\nc: 2026-08-01\nd: 010\ne: null\nf: ~\ng: 1e3\nh: [yes, 0x1F, .inf]\n"
    assert read(text) == {
        "a": "NO", "b": "1:30", "c": "2026-08-01", "d": "010", "e": "null", "f": "~", "g": "1e3",
        "h": ["yes", "0x1F", ".inf"],
    }  # fmt: skip


def test_a_key_without_a_value_is_absent_and_a_quoted_nothing_is_a_text() -> None:
    assert read("a:\nb: ''\nc: ['', x, ]\nd: {e: , f: g}\n") == {"b": "", "c": ["", "x"], "d": {"f": "g"}}
    assert read("") is None
    assert read("# only a comment\n") is None


def test_line_numbers_are_kept_by_path() -> None:
    written = read_yaml(b"a:\n  b:\n    - x\n    - y\n", "x.yaml")
    assert written.lines == {("a",): 1, ("a", "b"): 2, ("a", "b", 0): 3, ("a", "b", 1): 4}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: 1\na: 2\n", "yaml.doubled"),
        ("a:\na: 2\n", "yaml.doubled"),
        ("x: {a: 1, b: 2, a: 3}\n", "yaml.doubled"),
        ("a: &x 1\n", "yaml.anchor"),
        ("a: *x\n", "yaml.alias"),
        ("a: &x [1]\nb: *x\n", "yaml.anchor"),
        ("a: !!python/object/apply:os.system [ls]\n", "yaml.tag"),
        ("a: !!str 1\n", "yaml.tag"),
        ("? [a, b]\n: c\n", "yaml.key"),
        ("? *x\n: c\n", "yaml.alias"),
        ("k" * 500 + ": c\n", "yaml.key"),
        ("a: 1\n---\nb: 2\n", "yaml.several"),
        ("a: [1\n", "yaml.broken"),
        ("a: b: c\n", "yaml.broken"),
        ("a: \x07\n", "yaml.character"),
        ("[" * 200 + "]" * 200, "yaml.deep"),
        ("a: " * 300, "yaml.broken"),
        (b"a: \xff\n", "yaml.not_utf8"),
        (b"a: " + b"x" * LARGEST_BYTES, "yaml.too_large"),
    ],
)
def test_what_yaml_has_too_much_of_is_refused(text: str | bytes, code: str) -> None:
    assert code_of(text) == code


def test_a_refusal_says_where() -> None:
    with pytest.raises(Refused) as raised:
        read_yaml(b"a: 1\nb: 2\n  a: [*x]\n", "x.yaml")
    assert raised.value.problems[0].params["line"] in (2, 3)
    with pytest.raises(Refused, match="Line 3: a was already given in line 1"):
        read_yaml(b"a: 1\nb: 2\na: 3\n", "x.yaml")


def test_three_hundred_bytes_cannot_become_millions() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{c}: &{c} [{','.join('*' + p for _ in range(9))}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert code_of(bomb) == "yaml.anchor"


@pytest.mark.parametrize("depth", [DEEPEST - 1, DEEPEST + 1])
def test_depth_is_bounded(depth: int) -> None:
    text = "[" * depth + "x" + "]" * depth
    if depth < DEEPEST:
        assert read(text) is not None
    else:
        assert code_of(text) == "yaml.deep"


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        found = read_yaml(content, "x.yaml").content
    except Refused:
        return
    assert _only_plain(found)


@given(st.text(alphabet="ab:-[]{},&*!#|>'\"%@` \n\t?~0.", max_size=120))
def test_any_text_of_yaml_signs_is_read_or_refused(text: str) -> None:
    try:
        content = read_yaml(text.encode(), "x.yaml").content
    except Refused:
        return
    assert _only_plain(content)


_LEAVES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_LEAVES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_LEAVES, _TREES, min_size=1, max_size=4))
def test_what_was_written_comes_back_as_text(tree: dict[str, object]) -> None:
    assert read_yaml(dump(tree).encode(), "x.yaml").content == tree


def _only_plain(content: object) -> bool:
    if isinstance(content, dict):
        return all(isinstance(k, str) and _only_plain(v) for k, v in content.items())
    if isinstance(content, list):
        return all(_only_plain(v) for v in content)
    return content is None or isinstance(content, str)
