"""A bench's session: the hosts it may use, the runs it makes in turn, and everything it found.

It goes round all hosts before it repeats one, so that a machine that grows busy grows busy for all;
a host that cannot be had is left out, with the reason in words.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.peers import octoprint
from bench.peers.cncjs import Cncjs
from bench.peers.process import ROOT, CannotHaveError, ours, plain, printcore
from bench.streaming.measure import Host, Line, Result, measure
from bench.streaming.programs import Job

OURS: Final = "cosmolocal"
TUNED: Final = octoprint.TUNED.name
AS_INSTALLED: Final = octoprint.AS_INSTALLED.name
NEXT: Final = octoprint.NEXT.name
PRINTCORE: Final = "printcore 2.2.0"
CNCJS: Final = Cncjs.name
WINDOWED: Final = "pyserial windowed"
ONE_BY_ONE: Final = "pyserial send-and-wait"
COUNTING: Final = "pyserial counting"

_MARLIN: Final[Mapping[str, Callable[[], Host]]] = {
    OURS: lambda: ours("marlin"),
    TUNED: lambda: octoprint.OctoPrint(octoprint.TUNED),
    AS_INSTALLED: lambda: octoprint.OctoPrint(octoprint.AS_INSTALLED),
    NEXT: lambda: octoprint.OctoPrint(octoprint.NEXT),
    PRINTCORE: printcore,
    WINDOWED: lambda: plain("windowed"),
    ONE_BY_ONE: lambda: plain("send-and-wait"),
}
_GRBL: Final[Mapping[str, Callable[[], Host]]] = {
    OURS: lambda: ours("grbl"),
    CNCJS: Cncjs,
    COUNTING: lambda: plain("grbl-counting"),
    ONE_BY_ONE: lambda: plain("grbl-send-and-wait"),
}
CATALOGUE: Final = {"marlin": _MARLIN, "grbl": _GRBL}


@dataclass(frozen=True)
class Case:
    """One question: this job, over this line, by these hosts."""

    name: str
    line: Line
    job: Job
    hosts: tuple[str, ...]
    limit_s: float = 150.0


@dataclass
class Session:
    """Hosts by language and name, started when first needed; results by case and host."""

    patience_s: float = 0.0
    hosts: dict[tuple[str, str], Host] = field(default_factory=dict[tuple[str, str], Host])
    missing: dict[str, str] = field(default_factory=dict[str, str])
    results: dict[tuple[str, str], list[Result]] = field(
        default_factory=dict[tuple[str, str], list[Result]]
    )

    def run(self, cases: Sequence[Case], runs: int) -> None:
        """Each case with each of its hosts in turn, and all of that `runs` times."""
        for turn in range(runs):
            for case in cases:
                for name in case.hosts:
                    self._once(case, name, f"{turn + 1}/{runs}")

    def _once(self, case: Case, name: str, turn: str) -> None:
        host = self.host(case.line.language, name)
        if host is None:
            return
        label = f"{case.name}: {name}, run {turn}"
        print(label, file=sys.stderr, flush=True)
        if not case.name.startswith("loaded"):
            wait_for_quiet(self.patience_s)
        try:
            result = measure(host, case.line, case.job, limit_s=case.limit_s, label=label)
        except CannotHaveError as error:
            self.leave_out(name, str(error))
            return
        print(f"  {said(result)}", file=sys.stderr, flush=True)
        self.results.setdefault((case.name, name), []).append(result)

    def host(self, language: str, name: str) -> Host | None:
        """The host, started, or None where it cannot be had."""
        key = (language, name)
        if name in self.missing:
            return None
        if key not in self.hosts:
            print(f"starting {name}", file=sys.stderr, flush=True)
            try:
                host = CATALOGUE[language][name]()
                host.start()
            except CannotHaveError as error:
                self.leave_out(name, str(error))
                return None
            self.hosts[key] = host
        return self.hosts[key]

    def leave_out(self, name: str, why: str) -> None:
        print(f"without {name}: {why}", file=sys.stderr, flush=True)
        self.missing[name] = why

    def of(self, case: str, host: str) -> list[Result]:
        return self.results.get((case, host), [])

    def median(
        self, case: str, host: str, what: Callable[[Result], float | None], *, any_end: bool = False
    ) -> float | None:
        """Over the runs that finished exactly (`any_end`: over all); None where there was none."""
        good = [
            result
            for result in self.of(case, host)
            if any_end or (result.compared.exact and result.ended == "finished")
        ]
        values = [value for result in good if (value := what(result)) is not None]
        return statistics.median(values) if values else None

    def close(self) -> None:
        for host in self.hosts.values():
            host.stop()
        self.hosts.clear()


def wait_for_quiet(patience_s: float) -> None:
    """Until the processors rest for nine tenths of half a second, or patience ends."""
    ends = time.monotonic() + patience_s
    while time.monotonic() < ends:
        before = _idle_ticks()
        time.sleep(0.5)
        after = _idle_ticks()
        if (after[0] - before[0]) > 0.9 * (after[1] - before[1]):
            return


def _idle_ticks() -> tuple[int, int]:
    """Of all processors so far: idle, and all."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def said(result: Result) -> str:
    """One run in a line of words, for whoever watches."""
    wire = f", {result.wire:.1%} of the wire" if result.wire else ""
    exact = "exact" if result.compared.exact else "NOT exact"
    dry = f", dry {result.dry:.3%}" if result.dry is not None else ""
    return f"{result.lines_per_s:,.0f} lines/s{wire}{dry}, {exact}, {result.ended}"


@contextlib.contextmanager
def session(patience_s: float = 0.0) -> Generator[Session]:
    """A session whose servers end with it."""
    made = Session(patience_s)
    try:
        yield made
    finally:
        made.close()


def arguments(about: str | None, parts: Sequence[str], *, runs: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short jobs, one run, fewer peers")
    parser.add_argument(
        "--only", choices=parts, action="append", help="this part alone (may repeat)"
    )
    parser.add_argument("--runs", type=int, help=f"of which the median counts (default {runs})")
    parser.add_argument(
        "--json", action="store_true", help="on standard output JSON and nothing else"
    )
    parser.add_argument(
        "--patience", type=float, default=0, metavar="S",
        help="before each run wait at most so long for the rest of this machine to be quiet",
    )  # fmt: skip
    parser.add_argument(
        "--undisturbed", action="store_true",
        help="every host alike at real-time priority: other work here does not count (root)",
    )  # fmt: skip
    asked = parser.parse_args()
    if asked.undisturbed:
        undisturbed(parser)
        parts = [part for part in parts if part != "loaded"]
    asked.only = asked.only or list(parts)
    asked.runs = asked.runs or (1 if asked.quick else runs)
    return asked


def undisturbed(parser: argparse.ArgumentParser) -> None:
    """This process and all that it starts go before whatever else runs on this machine."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        parser.error("--undisturbed needs the right to real-time priority: run it as root")


def machine() -> dict[str, Any]:
    """What the figures were taken on, without naming it."""
    return {
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "python": sys.version.split()[0],
        "undisturbed": os.sched_getscheduler(0) == os.SCHED_RR,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def keep(name: str, text: str, found: Mapping[str, Any]) -> Path:
    """Words and figures below `.bench/`; the path of the words."""
    folder = ROOT / ".bench"
    folder.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    (folder / f"{name}-{stamp}.json").write_text(json.dumps(found, indent=1))
    path = folder / f"{name}-{stamp}.txt"
    path.write_text(text)
    return path


def as_json(results: Mapping[tuple[str, str], Iterable[Result]]) -> list[dict[str, Any]]:
    return [
        {"case": case, **dataclasses.asdict(result), "exact": result.compared.exact}
        for (case, _), found in results.items()
        for result in found
    ]
