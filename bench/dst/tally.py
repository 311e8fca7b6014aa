"""How many schedules were played, and what was wrong; kept, so that a long range can go on."""

import contextlib
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import pydantic

from bench.dst.story import Verdict

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / ".tools" / "dst"
_SOURCES: Final = ("fablab_agents", "orchestrator", "firmware_bridge", "bench/dst", "bench/proof")


@dataclass
class Tally:
    schedules: int = 0
    starts: int = 0
    made: int = 0
    wrong: Counter[str] = field(default_factory=Counter[str])
    seeds: dict[str, int] = field(default_factory=dict[str, int])
    """The first of each kind of violation."""
    before: int = 0
    """How many of the schedules were played in an earlier run."""

    def add(self, verdict: Verdict) -> None:
        self.schedules += 1
        self.starts += verdict.starts
        self.made += verdict.made
        for fault in sorted(set(verdict.faults)):
            self.wrong[fault] += 1
            self.seeds.setdefault(fault, verdict.seed)

    def join(self, other: "Tally") -> None:
        self.schedules += other.schedules
        self.starts += other.starts
        self.made += other.made
        self.before += other.before
        self.wrong.update(other.wrong)
        for fault, seed in other.seeds.items():
            self.seeds[fault] = min(seed, self.seeds.get(fault, seed))


class Played:
    """Chunks of seeds in which nothing was wrong, a line each; what was wrong is played again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clean: dict[range, Tally] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            with contextlib.suppress(json.JSONDecodeError):  # cut off where a run was killed
                told = json.loads(line)
                seeds = range(*told.pop("seeds"))
                self._clean[seeds] = Tally(**told, before=len(seeds))

    def find(self, chunk: range) -> Tally | None:
        return self._clean.get(chunk)

    def keep(self, chunk: range, tally: Tally) -> None:
        if tally.wrong:
            return
        counts = {name: asdict(tally)[name] for name in ("schedules", "starts", "made")}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"seeds": (chunk.start, chunk.stop), **counts}) + "\n")


def played(*, fresh: bool, folder: Path = FOLDER, root: Path = ROOT) -> Played:
    """By just these sources; `fresh` forgets it."""
    path = folder / f"{_fingerprint(root, _SOURCES)}.jsonl"
    for other in folder.glob("*.jsonl"):
        if fresh or other != path:
            other.unlink()
    return Played(path)


def _fingerprint(root: Path, folders: Sequence[str]) -> str:
    digest = hashlib.sha256(sys.version.encode() + pydantic.VERSION.encode())
    for folder in folders:
        for file in sorted((root / folder).rglob("*.py")):
            digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
