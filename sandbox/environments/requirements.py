"""Reads the requirements of a model strictly: lines of `name==version`, and nothing that leads elsewhere.

Assumes nothing of the text. What is accepted is written anew from its parts, so that no option, address or path of the
text can reach the resolver.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.intake.problems import Gathered

MOST_BYTES = 256 * 1024
MOST_LINES = 500

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_VERSION = r"[0-9A-Za-z]{1,40}(?:[.!+_-][0-9A-Za-z]{1,40}){0,12}"
_LINE = re.compile(
    rf"(?P<name>{_NAME})\s*(?P<extras>\[\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\])?\s*==\s*(?P<version>{_VERSION})"
    r"\s*(?:;\s*(?P<marker>[\w\s.'\"<>=!~()-]{1,300}?))?\s*(?P<hashes>(?:\s+--hash[=\s]sha256:[0-9a-f]{64})*)\s*"
)
_LOOSE = re.compile(rf"{_NAME}\s*(\[[^\]]*\])?\s*(?:[<>~!=(].*|;.*)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One package that a model asks for.

    Args:
        name: normalised, as in `scikit-learn`.
        version: exactly this one.
        extras: optional parts of the package, as written; may be empty.
        marker: the condition on the platform, as written; may be empty. The resolver judges it.
        hashes: SHA-256 of the files that may be installed; empty where none is stated.
    """

    name: str
    version: str
    extras: tuple[str, ...] = ()
    marker: str = ""
    hashes: frozenset[str] = frozenset()

    def line(self) -> str:
        """Write it for the resolver."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.name}{extras}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


def normalised(name: str) -> str:
    """Write the name of a package as an index does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_requirements(text: bytes, *, field: str, path: str, gathered: Gathered) -> tuple[Requirement, ...]:
    """Read the requirements of a model; every line that is refused is named with its number and why.

    Args:
        text: the file.
        field: where it was named, for problems.
        path: its path in the submission, for problems.
        gathered: takes the problems.

    Returns:
        What is asked for, in order; what was read so far where there are problems.
    """
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        gathered.add(field, "requirements.not_text", path=path)
        return ()
    if len(text) > MOST_BYTES or decoded.count("\n") > MOST_LINES * 10 or _CONTROL.search(decoded):
        gathered.add(field, "requirements.not_text", path=path)
        return ()
    found: dict[str, Requirement] = {}
    for number, line in _lines(decoded):
        fits = _LINE.fullmatch(line)
        if fits is None or "*" in fits["version"] or "--" in (fits["marker"] or ""):
            gathered.add(field, _why(line), path=path, line=number, text=line)
            continue
        made = Requirement(
            name=normalised(fits["name"]),
            version=fits["version"],
            extras=tuple(re.findall(_NAME, fits["extras"] or "")),
            marker=(fits["marker"] or "").strip(),
            hashes=frozenset(re.findall(r"sha256:([0-9a-f]{64})", fits["hashes"] or "")),
        )
        other = found.get(made.name)
        if other is not None and not (made.marker or other.marker) and made.version != other.version:
            gathered.add(field, "requirements.twice", path=path, line=number, text=line)
        found[made.name if other is None else f"{made.name} {number}"] = made
    if len(found) > MOST_LINES:
        gathered.add(field, "requirements.many", path=path, lines=len(found), most=MOST_LINES)
    return tuple(found.values())


def check_names(
    asked: tuple[Requirement, ...], allowed: frozenset[str], *, field: str, path: str, gathered: Gathered
) -> None:
    """See that the operator allows every package that is asked for by name.

    Args:
        asked: what was read.
        allowed: normalised names; empty where every name is.
        field: for problems.
        path: for problems.
        gathered: takes the problems.
    """
    for one in asked:
        if allowed and one.name not in allowed:
            gathered.add(field, "requirements.not_allowed", path=path, name=one.name)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Give the lines that say something, with the number of the first of them that were joined by a backslash."""
    joined, first = "", 0
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        first = first or number
        whole = raw.rstrip()
        if whole.endswith("\\"):
            joined += whole[:-1] + " "
            continue
        line = re.sub(r"(^|\s)#.*$", "", joined + whole).strip()
        if line:
            yield first, line
        joined, first = "", 0


def _why(line: str) -> str:
    """Name the reason for which a line is refused: a key of `refusals.yaml`."""
    if line.startswith(("-r", "--requirement", "-c", "--constraint")):
        return "requirements.other_file"
    if line.startswith(("-e", "--editable")):
        return "requirements.editable"
    if line.startswith("-"):
        return "requirements.option"
    if re.search(r"\b(git|hg|svn|bzr)\+", line):
        return "requirements.version_control"
    if "://" in line or " @ " in f" {line} " or re.match(rf"{_NAME}\s*(\[[^\]]*\])?\s*@", line):
        return "requirements.address"
    if line.startswith((".", "/", "~", "$", "%")) or re.search(r"[/\\]|\.(whl|zip|tar\.gz)\b", line):
        return "requirements.path"
    if "--" in line:
        return "requirements.option"
    return "requirements.not_pinned" if _LOOSE.fullmatch(line) else "requirements.unreadable"


LOCKED = re.compile(rf"(?P<name>{_NAME})==(?P<version>{_VERSION})(?P<rest>.*)", re.DOTALL)


def read_resolution(text: str, asked: tuple[Requirement, ...]) -> dict[str, tuple[str, frozenset[str]]] | None:
    """Read what the resolver settled on, believing nothing of its form.

    Args:
        text: as the builder's cell sent it.
        asked: what the model asked for; hashes that were stated there are the only ones that are kept.

    Returns:
        For each package its version and the hashes of its files, by name; None where the text is anything else, or
        holds a package without a hash.
    """
    stated: dict[str, frozenset[str]] = {}
    for one in asked:
        if one.hashes:
            stated[one.name] = stated.get(one.name, frozenset()) | one.hashes
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for _, line in _lines(text):
        fits = LOCKED.fullmatch(line.strip())
        hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})(?:\s|$)", line))
        if fits is None or not hashes or "://" in line:
            return None
        name = normalised(fits["name"])
        found[name] = (fits["version"], hashes & stated[name] if name in stated else hashes)
    return found


def written(resolution: Mapping[str, tuple[str, frozenset[str]]]) -> str:
    """Write a resolution in its one form: sorted, one package a line, with its hashes."""
    return "".join(
        f"{name}=={version} {' '.join(f'--hash=sha256:{one}' for one in sorted(hashes))}\n"
        for name, (version, hashes) in sorted(resolution.items())
    )
