"""A shop's own block of a program, written as its slicer has it: text with holes and conditions.

It turns that text into a pattern; it never fills a hole and never reads a program.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

Kind = Literal["hotend", "bed", "chamber", "number", "word", "quoted"]

_TOKEN: Final = re.compile(
    r"\{\s*(?P<control>if|elsif|elif|else|endif)\b[^{}]*\}"
    r"|\{(?P<braces>[^{}]*)\}"
    r"|\[(?P<brackets>[A-Za-z_]\w*(?:\[\w+\])?)\]"
    r"|(?P<comment>;)|(?P<newline>[ \t\r]*\n\s*)|(?P<blank>[ \t\r]+)|(?P<text>.)",
    re.DOTALL,
)
_STATEMENT: Final = re.compile(r"\s*(?:local|global)\b|[^=!<>~]=[^=~]")
_RANGE: Final = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*\.\.\s*(-?\d+(?:\.\d+)?)\s*")
_NO_RANGE: Final = re.compile(
    r"\s*(-?\d+(?:\.\d+)?)\s*(?:-|–|…|,|:|\.{3}|to)\s*(-?\d+(?:\.\d+)?)\s*"
)
_KEY: Final = re.compile(r"([A-Za-z_]+)=?[^A-Za-z_=]*$")
_CODE: Final = re.compile(r"[GMT]\d+(?:\.\d)?(?=\s|$)")
_SQUEEZED: Final = re.compile(r"G[0-3][A-Z]")
_BREAK: Final = r"(?:(?<=\n)|\n)"
# Left out only at a line's ends and beside another: `G1Z-5` is not the `G1 Z{…}` that was approved.
_BLANK: Final = r"(?: |(?<=[\n ])|(?=\n))"
_NUMBER: Final = r"-?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
_FORMS: Final[dict[Kind, str]] = {
    **dict.fromkeys(("hotend", "bed", "chamber", "number"), _NUMBER),
    "word": r"[A-Za-z0-9_.,+-]*",
    "quoted": r'[^"\n]*',
}
HEATS_BY_CODE: Final[dict[str, Kind]] = {
    **dict.fromkeys(("M104", "M109"), "hotend"),
    **dict.fromkeys(("M140", "M190"), "bed"),
    **dict.fromkeys(("M141", "M191"), "chamber"),
}


class BlockBrokenError(ValueError):
    """A block that cannot be understood; the message says why and where."""


_ANY: Final = 1e9


@dataclass(frozen=True, slots=True)
class Hole:
    kind: Kind
    low: float
    high: float
    shown: str


@dataclass(frozen=True)
class Block:
    """`form` matches whole lines of commands, each ended by a newline, blanks told as one;
    `holes[i]` belongs to its group `h{i}`.
    """

    form: re.Pattern[str]
    holes: tuple[Hole, ...]


@cache
def compile_block(text: str) -> Block:
    """A block's text as a pattern; raises `BlockBrokenError`."""
    maker = _Maker()
    maker.read(text)
    return maker.block()


@dataclass
class _Maker:
    parts: list[str] = field(default_factory=list[str])
    holes: list[Hole] = field(default_factory=list[Hole])
    line: str = ""
    # for each open condition: whether it has had its {else}
    open: list[bool] = field(default_factory=list[bool])
    in_comment: bool = False
    literal: bool = False

    def read(self, text: str) -> None:
        for token in _TOKEN.finditer(text.strip() + "\n"):
            self._token(token)

    def block(self) -> Block:
        if self.open:
            raise BlockBrokenError("an {if} without its {endif}")
        if not self.literal:
            raise BlockBrokenError("no command stands in it")
        form = re.compile(_BREAK + "".join(self.parts) + _BREAK)
        if form.match("\n"):
            raise BlockBrokenError("it could be empty: some line must stand in it always")
        return Block(form, tuple(self.holes))

    def _token(self, token: re.Match[str]) -> None:
        kind, said = token.lastgroup, token[0]
        if kind == "control":
            self._control(token["control"])
        elif kind == "newline":
            self.in_comment, self.line = False, ""
            self.parts.append(_BREAK)
        elif self.in_comment:
            return
        elif kind == "comment":
            self.in_comment = True
        elif kind in ("braces", "brackets"):
            self._hole(token[kind].strip(), said)
        elif kind == "blank":
            self.line += " "
            self.parts.append(_BLANK)
        else:
            self.literal, self.line = True, self.line + said
            self.parts.append(re.escape(said))

    def _control(self, word: str) -> None:
        if word == "if":
            self.open.append(False)
            self.parts.append("(?:")
            return
        if not self.open:
            raise BlockBrokenError(f"{{{word}}} without its {{if}}")
        if word == "endif":
            self.parts.append(")" if self.open.pop() else "|)")
            return
        self.open[-1] = self.open[-1] or word == "else"
        self.parts.append("|")

    def _hole(self, name: str, said: str) -> None:
        if _STATEMENT.search(name):
            return
        if self.line.strip() in ("G", "M"):
            raise BlockBrokenError(f"{said} stands for a code; write the code itself")
        if _SQUEEZED.match(self.line.lstrip()):
            raise BlockBrokenError(f"{said} in {self.line.strip()}: write a blank after the code")
        limits = _RANGE.fullmatch("0..0" if self.line.strip() == "T" else name)
        if wrong := _NO_RANGE.fullmatch(name):
            raise BlockBrokenError(f"{said} is no range; write {{{wrong[1]}..{wrong[2]}}}")
        low, high = (float(limits[1]), float(limits[2])) if limits else (-_ANY, _ANY)
        if limits and low > high:
            raise BlockBrokenError(f"{said} runs backwards; write {{{limits[2]}..{limits[1]}}}")
        kind: Kind = "number" if limits else self._kind(name)
        self.parts.append(f"(?P<h{len(self.holes)}>{_FORMS[kind]})")
        self.holes.append(Hole(kind, low, high, said))

    def _kind(self, name: str) -> Kind:
        """By the word it follows (M104 S, BED=), then by its own name."""
        if name in ("hotend", "bed", "chamber", "number", "word"):
            return name
        code = _CODE.match(self.line.lstrip())
        if self.line.count('"') % 2 or (code and code[0] == "M117"):
            return "quoted"
        key = _KEY.search(self.line)
        if code is not None:
            heats = HEATS_BY_CODE.get(code[0])
            return heats if heats and key and key[1] in ("S", "R") else "number"
        return kind_by_words(key[1] if key else "", name)


def kind_by_words(key: str, name: str) -> Kind:
    for words in (key.upper(), name.upper()):
        if "CHAMBER" in words:
            return "chamber"
        if "BED" in words and ("TEMP" in words or words == "BED"):
            return "bed"
        if any(part in words for part in ("EXTRUDER", "HOTEND", "NOZZLE", "TEMP")):
            return "number" if "DIAMETER" in words else "hotend"
    return "word"
