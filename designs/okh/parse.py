"""Bytes of a manifest become a plain table with line numbers, in bounded time and memory.

It knows TOML and the part of YAML that manifests need: no aliases, no tags, no objects. Dates
stay dates; a YAML number that would not print as it was written stays text (1.10 is not 1.1).
"""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, cast

from designs.okh.manifest import Plain

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 2**20
DEEPEST = 24
_YAML_CHARACTERS, _YAML_BRACKETS = 64_000, 200
_MOST_COMMENT_LINES = 100
Step = str | int
Where = tuple[Step, ...]


class Unreadable(ValueError):
    """It is no manifest; the message says why, `line` where if that is known."""

    def __init__(self, why: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(why)


@dataclass(frozen=True)
class Source:
    """`lines` gives the line of a place such as ("part", 0, "export"); `twice` are keys that YAML
    gave more than one value, with those that do not count.
    """

    table: Plain
    lines: Mapping[Where, int]
    comment: tuple[str, ...]
    is_yaml: bool
    twice: Mapping[Where, list[object]] = field(default_factory=dict[Where, list[object]])


def parse(manifest: bytes, name: str) -> Source:
    """Raises Unreadable."""
    if len(manifest) > MAX_BYTES:
        raise Unreadable("it is larger than 1 MiB")
    try:
        text = manifest.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8 text") from None
    try:
        source = _yaml(text) if name.lower().endswith((".yml", ".yaml")) else _toml(text)
        _check(source.table, 0)
    except Unreadable:
        raise
    except (ValueError, OverflowError, RecursionError) as broken:
        raise Unreadable(f"it cannot be read ({' '.join(str(broken).split())[:160]})") from None
    return source


def _check(value: object, deep: int) -> None:
    """Nothing that TOML could not hold again."""
    if deep > DEEPEST:
        raise Unreadable(f"its tables and lists are nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        for key, inner in cast("Plain", value).items():
            key.encode()
            _check(inner, deep + 1)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            _check(inner, deep + 1)
    elif isinstance(value, str):
        value.encode()
    elif isinstance(value, float) and not math.isfinite(value):
        raise Unreadable(f"{value} is no number")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Unreadable("a number has more than 64 bits")


def _comment(text: str) -> tuple[str, ...]:
    """The comments that the file begins with."""
    head: list[str] = []
    for line in re.split(r"\r\n|\r|\n", text)[:_MOST_COMMENT_LINES]:
        if line.strip() and not line.startswith("#"):
            break
        head.append(line.strip())
    while head and not head[-1]:
        head.pop()
    return tuple(head)


# TOML

# Each alternative matches to its end or to the end of what could hold it: once over the text.
_LONG = r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:"{3,5}+|\\?\Z)' + r"|'''.*?(?:'{3,5}+|\Z)"
_SHORT = r'"(?:[^"\\\n]++|\\[^\n]?)*+"?' + r"|'[^'\n]*+'?"
_SCRAP = re.compile(f"{_LONG}|{_SHORT}|#[^\\n]*", re.DOTALL)
_BLOCKS = re.compile(f"{_LONG}|#[^\\n]*", re.DOTALL)
_DOTTED = re.compile(rf"(?<![\w\"-])(?:[\w\"-]++[ \t]*+\.[ \t]*+){{{DEEPEST}}}")
_HEADER = re.compile(r"[ \t]*(\[\[?)[ \t]*([\w.\"'-]+)[ \t]*\]")
_KEY = re.compile(r"[ \t]*([\w.-]+)[ \t]*=")


def _toml(text: str) -> Source:
    # tomllib takes time that grows with the square of a dotted key's length.
    if _DOTTED.search(_SCRAP.sub('""', text)):
        raise Unreadable(f"its tables and lists are nested more than {DEEPEST} deep")
    try:
        table: Plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as broken:
        at = re.search(r"at line (\d+)", str(broken))
        raise Unreadable(
            f"it cannot be read ({str(broken)[:160]})", int(at[1]) if at else None
        ) from None
    return Source(table, dict(_toml_lines(text)), _comment(text), is_yaml=False)


def _toml_lines(text: str) -> Iterator[tuple[Where, int]]:
    """Good enough to point at: keys within a line or in quotes are not found."""
    prefix: Where = ()
    count: dict[str, int] = {}
    blanked = _BLOCKS.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(blanked.split("\n"), start=1):
        if header := _HEADER.match(line):
            name = header[2]
            prefix = tuple(step.strip("\"'") for step in name.split("."))
            if header[1] == "[[":
                count[name] = count.get(name, -1) + 1
                prefix = (*prefix, count[name])
            yield prefix, number
        elif key := _KEY.match(line):
            yield (*prefix, *key[1].split(".")), number


# YAML


def _yaml(text: str) -> Source:
    import yaml

    if len(text) > _YAML_CHARACTERS or text.count("[") + text.count("{") > _YAML_BRACKETS:
        raise Unreadable("it cannot be read (it is too long or too nested for a manifest)")
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            reader.take(event)
    except yaml.YAMLError as broken:
        mark: Any = getattr(broken, "problem_mark", None)
        why = " ".join(str(getattr(broken, "problem", None) or broken).split())
        raise Unreadable(
            f"it cannot be read ({why[:160]})", mark.line + 1 if mark else None
        ) from None
    if not isinstance(reader.result, dict):
        raise Unreadable("it is no table of names and values")
    table = cast("Plain", reader.result)
    return Source(table, reader.lines, _comment(text), is_yaml=True, twice=reader.twice)


@dataclass
class _Open:
    """A table or list whose end was not seen yet."""

    value: Plain | list[object]
    where: Where
    key: str | None = None


class _Reader:
    """Builds plain values from YAML's events; whatever could build anything else is refused."""

    def __init__(self) -> None:
        self.result: object = None
        self.lines: dict[Where, int] = {}
        self.twice: dict[Where, list[object]] = {}
        self._open: list[_Open] = []
        self._documents = 0

    def take(self, event: "yaml.Event") -> None:
        import yaml

        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise Unreadable("it uses YAML aliases", line)
        if getattr(event, "tag", None) is not None:
            raise Unreadable(f"it uses the YAML tag {str(getattr(event, 'tag', ''))[:60]}", line)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise Unreadable("it holds more than one document", line)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            empty: Plain | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
            self._open.append(_Open(empty, self._place(line)))
            if len(self._open) > DEEPEST:
                raise Unreadable(f"its tables and lists are nested more than {DEEPEST} deep", line)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._put(self._open.pop().value)

    def _scalar(self, event: "yaml.ScalarEvent", line: int) -> None:
        above = self._open[-1] if self._open else None
        if above and isinstance(above.value, dict) and above.key is None:
            above.key = event.value
            self.lines[(*above.where, event.value)] = line
            return
        self._place(line)
        value = _plain(event.value) if event.style is None else event.value
        self._put(value)

    def _place(self, line: int) -> Where:
        """Where the value that begins now will stand."""
        if not self._open:
            return ()
        above = self._open[-1]
        if isinstance(above.value, list):
            where = (*above.where, len(above.value))
            self.lines.setdefault(where, line)
            return where
        if above.key is None:
            raise Unreadable("a name in it is a list or a table", line)
        return (*above.where, above.key)

    def _put(self, value: object) -> None:
        if not self._open:
            self.result = value
            return
        above = self._open[-1]
        if isinstance(above.value, list):
            if value is not None:
                above.value.append(value)
            return
        key, above.key = cast("str", above.key), None
        if value is None:
            return
        if key in above.value:
            self.twice.setdefault((*above.where, key), []).append(above.value[key])
        above.value[key] = value


def _plain(text: str) -> object:
    """What an unquoted YAML word stands for; None where nothing is said."""
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float, date.fromisoformat):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text and value not in {math.inf, -math.inf} and value == value:  # noqa: PLR0124
            return value
    return text
