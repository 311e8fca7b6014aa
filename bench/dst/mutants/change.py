"""A mutant: what one guard promises, and the sources without it."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.altered import Altered

ROOT: Final = Path(__file__).resolve().parents[3]
_OURS: Final = ("fablab_agents", "orchestrator", "bench.dst")
_KEPT: Final = "bench.dst.mutants"
LISTS: Final = sorted(Path(__file__).parent.glob("*.txt"))


class Stale(Exception):
    """The source is no longer as the list of mutants has it."""


@dataclass(frozen=True)
class Change:
    """Whole lines of one file and what stands in their place."""

    file: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """`text` with this change; raises Stale unless `old` stands in it exactly once."""
        lines = re.compile(f"^{re.escape(self.old)}", re.MULTILINE)
        if (found := len(lines.findall(text))) != 1:
            raise Stale(f"{self.file} has these lines {found} times, not once:\n{self.old}")
        return lines.sub(lambda _: self.new, text)


@dataclass(frozen=True)
class Mutant:
    name: str
    guard: str
    changes: tuple[Change, ...]

    def install(self) -> None:
        """From now on this process imports the core without the guard; it has to do so anew."""
        sys.meta_path[:0] = self.altered()
        forget_ours()

    def altered(self) -> list[Altered]:
        """Finders for `sys.meta_path`; raises Stale or SyntaxError."""
        sources = dict[str, str]()
        for change in self.changes:
            text = sources.get(change.file) or (ROOT / change.file).read_text(encoding="utf-8")
            try:
                sources[change.file] = change.applied(text)
            except Stale as stale:
                raise Stale(f"mutant {self.name!r}: {stale}") from None
        return [_altered(file, text) for file, text in sources.items()]


def forget_ours() -> None:
    """Whoever imports the core or its simulation after this gets it anew."""
    for name in list(sys.modules):
        if name.startswith(_OURS) and not name.startswith(_KEPT):
            del sys.modules[name]


def _altered(file: str, text: str) -> Altered:
    name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Altered(name, ROOT / file, compile(text, str(ROOT / file), "exec"))


def read(text: str) -> Iterator[Mutant]:
    """The mutants of one list; a comment before the first is for people."""
    _, *each = ("\n" + text).split("\n== ")
    for part in each:
        head, *lines = part.rstrip("\n").split("\n")
        name, guard = head.split(": ", maxsplit=1)
        yield Mutant(name, guard, tuple(_changes([line for line in lines if line])))


def _changes(lines: list[str]) -> Iterator[Change]:
    file, hunk = "", list[str]()
    for line in [*lines, "..."]:
        if line[0] in " -+":
            hunk.append(line)
            continue
        if hunk:
            yield Change(file, _side(hunk, "-"), _side(hunk, "+"))
        file, hunk = file if line == "..." else line, []


def _side(hunk: list[str], side: str) -> str:
    return "".join(f"{line[1:]}\n" for line in hunk if line[0] in (" ", side))
