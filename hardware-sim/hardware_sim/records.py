"""Promises an account of what physically happened: every start, its program lines, its end.
Never decides anything for the firmware; it is the oracle that crash tests are judged by.
"""

import json
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

How = Literal["complete", "reset", "hangup", "killed", "stopped"]
Bed = Literal["clear", "occupied"]
SETTLED_S = 0.5  # wall seconds of silence after a program's own end
QUIET_S = 30.0  # wall seconds of silence of a cold, still machine without such an end
PRELUDE_LINES = 1000


class Journal:
    """Starts and ends of jobs on one machine, and whether its bed is occupied.

    A start is the first heating, motion, spindle or laser command after idle. It ends
    `complete` when the program said so (all heaters off and M84 or M400; M2 or M30 on GRBL)
    or when the cold machine stood still and silent for QUIET_S. If the first command of a
    start came with a line number, only numbered lines are taken as its program. `dry_s` is the
    time that the machine stood, between its first and its last move, only because no move had
    come: waits that the program asked for (heat, dwell) do not count.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._prelude: deque[tuple[str, bool]] = deque(maxlen=PRELUDE_LINES)
        self._after: list[tuple[str, bool]] = []
        self._program: TextIO | None = None
        self._numbered_only = False
        self._ending = False
        self.running = False
        self.starts = 0
        self.lines = 0
        self.bed: Bed = "clear"
        self.started_s = 0.0
        self._moved = False
        self.dry_s = 0.0
        self._dry_times = 0
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._take_up(folder)

    def _take_up(self, folder: Path) -> None:
        starts, bed = folder / "starts.jsonl", folder / "bed"
        if starts.is_file():
            self.starts = len(starts.read_text("utf-8").splitlines())
        if bed.is_file() and bed.read_text("utf-8") == "occupied":
            self.bed = "occupied"

    def physical(self, sim_s: float, *, numbered: bool) -> None:
        """The machine is about to heat, move, spin or burn."""
        if self.running and self._ending:
            # What came after the program's own end was already the next one's beginning.
            self._prelude.extend(self._after)
            self._after.clear()
            self.end("complete", sim_s)
        if self.running:
            return
        self.starts += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        start = {"start": self.starts, "at": at, "sim_s": round(sim_s, 3), "bed": self.bed}
        self._append("starts.jsonl", start)
        self._set_bed("occupied")
        self.running, self._ending, self._numbered_only = True, False, numbered
        self.lines, self._moved, self.dry_s, self._dry_times = 0, False, 0.0, 0
        self.started_s = sim_s
        if self._folder is not None:
            path = self._folder / f"job-{self.starts}.gcode"
            self._program = path.open("w", encoding="utf-8", newline="\n")
        prelude = list(self._prelude)
        self._prelude.clear()
        for line, was_numbered in prelude:
            self.executed(line, numbered=was_numbered)

    def executed(self, line: str, *, numbered: bool) -> None:
        """One line was carried out; numbers and checksums are stripped already."""
        if not self.running:
            self._prelude.append((line, numbered))
        elif self._ending:
            self._after.append((line, numbered))
        elif numbered or not self._numbered_only:
            self.lines += 1
            if self._program is not None:
                self._program.write(line + "\n")

    def moves_on(self, stood_s: float) -> None:
        """The machine moves again after it stood `stood_s` for want of a next move."""
        if self._moved and stood_s > 0:
            self.dry_s += stood_s
            self._dry_times += 1
        self._moved = True

    def renumbered(self) -> None:
        """A host begins to count anew: what it said before belongs to no program."""
        if not self.running or self._ending:
            self._prelude.clear()
            self._after.clear()

    def program_over(self) -> None:
        """The program itself said that it is over; the machine is cold."""
        self._ending = True

    def silent(self, wall_s: float, sim_s: float) -> None:
        """Nothing was heard for `wall_s` of a machine that is cold and still."""
        if self.running and wall_s >= (SETTLED_S if self._ending else QUIET_S):
            self.end("complete", sim_s)

    def end(self, how: How, sim_s: float) -> None:
        """The running job, if any, is over; one whose program was over is complete."""
        if not self.running:
            return
        how = "complete" if self._ending else how
        self._ending = False
        for line, numbered in self._after:
            self.executed(line, numbered=numbered)
        self._after.clear()
        self.running = False
        if self._program is not None:
            self._program.close()
            self._program = None
        dry = {"dry_s": round(self.dry_s, 6), "dry_times": self._dry_times}
        end = {"start": self.starts, "how": how, "sim_s": round(sim_s, 3), "lines": self.lines}
        self._append("ends.jsonl", {**end, **dry})

    def clear_bed(self) -> None:
        """A person took the part away."""
        self._set_bed("clear")

    def flush(self) -> None:
        """Hand the program lines to the operating system."""
        if self._program is not None:
            self._program.flush()

    def _set_bed(self, bed: Bed) -> None:
        self.bed = bed
        if self._folder is not None:
            (self._folder / "bed").write_text(bed, "utf-8")

    def _append(self, name: str, record: Mapping[str, object]) -> None:
        if self._folder is not None:
            with (self._folder / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
