"""Every hostile file is judged with a reason, in bounded time and memory

Each of some two hundred files (bombs, lies, loops, torn and renamed ones, made anew here) is looked
at as `cosmolocal check` does, in a child under limits; the table tells verdict, processor seconds
and peak memory of each. `./run test` tries a sample.
"""

import argparse
import json
import re
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from designs import bounded
from designs.check import name_findings, verdict
from designs.errors import DesignRefused, Finding
from tests.designs.geometry.hostile import CASES, Case

LIMITS = bounded.Limits(cpu_s=30, wall_s=110)
_BY_LIMIT = re.compile(r"it takes (more than|longer than)|our reader broke")


@dataclass(frozen=True)
class Judged:
    """`wrong` says what is not as it must be; `peak_mb` is the largest child's so far."""

    name: str
    verdict: str
    says: str
    cpu_s: float
    wall_s: float
    peak_mb: float
    wrong: tuple[str, ...]


def judged(name: str, case: Case, folder: Path) -> Judged:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(case.make())
    cpu_s, began_s = _children_s(), time.monotonic()
    found, facts = _looked(file)
    wall_s, peak = (
        time.monotonic() - began_s,
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    )
    file.unlink()
    words = "\n".join(str(f) for f in found)
    wrong = {
        f"it is called {verdict(found)}, not {case.verdict}": verdict(found) != case.verdict,
        "it has facts and is rejected, or none and is not": (facts is None)
        != (case.verdict == "reject"),
        f"nothing says {case.says!r}": re.search(case.says, words) is None,
        "a finding does not say what, where and what to do": not all(
            f.what and f.where and f.do for f in found
        ),
        "only a limit stopped it": _BY_LIMIT.search(words) is not None,
        "it tells of this machine": "/tmp" in words or "Traceback" in words,
    }
    return Judged(
        name, verdict(found), words.partition("\n")[0], round(_children_s() - cpu_s, 2),
        round(wall_s, 2), round(peak / 1024, 1), tuple(what for what, so in wrong.items() if so),
    )  # fmt: skip


def _looked(file: Path) -> tuple[list[Finding], dict[str, Any] | None]:
    found = name_findings(file.name)
    try:
        seen: Any = bounded.run(
            "designs.check:look", str(file), None, None, None, "", limits=LIMITS
        )
    except DesignRefused as refused:
        return [*found, *refused.findings], None
    return [*found, *(Finding.model_validate(f) for f in seen["findings"])], seen["facts"]


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run proof hostile_designs", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--only", default="", metavar="WORD", help="files with this in their name")
    parser.add_argument("--json", action="store_true", help="each file as one JSON line")
    asked = parser.parse_args()
    chosen = {name: case for name, case in CASES.items() if asked.only in name}
    if not chosen:
        parser.error(f"no file is called like {asked.only!r}")
    rows = list[Judged]()
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        for name, case in chosen.items():
            row = judged(name, case, Path(folder))
            rows.append(row)
            flag = f"  <-- {'; '.join(row.wrong)}" if row.wrong else ""
            line = f"{row.verdict:7} {row.cpu_s:6.2f} s  {_shown(name):44} {_shown(row.says)}{flag}"
            print(json.dumps(asdict(row)) if asked.json else line, flush=True)
    bad = sum(bool(row.wrong) for row in rows)
    told = (
        f"{len(rows)} files, {bad} not judged as they must be; slowest "
        f"{max(row.cpu_s for row in rows):.1f} s of computing, largest child "
        f"{max(row.peak_mb for row in rows):.0f} MB"
    )
    print(told, file=sys.stderr if asked.json else sys.stdout)
    return 1 if bad else 0


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in text)[:90]


if __name__ == "__main__":
    raise SystemExit(main())
