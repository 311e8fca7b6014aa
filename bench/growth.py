"""How seconds and gap grow from 100 jobs to 100,000: one plot and its slopes

Cities of ten jobs a machine and ten machines a lab, routed as `./run bench city` does, each in a
process of its own. The search ends after as many kicks a job, not by the clock, so that seconds
tell how much work a job is. The slope is that of the straight line through the logarithms: 1 is
linear.

    ./run bench growth --out growth.svg
"""

import argparse
import json
import multiprocessing
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import at_least_one
from bench.cities.generator import Asked
from bench.city import run, warm

SIZES: Final = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
_KICKS_PER_JOB: Final = 1
_LONGEST_S: Final = 600.0
WIDTH: Final = 760
HEIGHT: Final = 520
_LEFT: Final = 70
_RIGHT: Final = 70
_TOP: Final = 40
_BOTTOM: Final = 60


@dataclass(frozen=True)
class Series:
    """One line of the plot; `right`: on the axis of per cents, not of seconds."""

    name: str
    colour: str
    values: tuple[float, ...]
    right: bool = False

    def slope(self, sizes: tuple[int, ...]) -> float:
        """Of its logarithm over that of the size; what is 0 has none and is left out."""
        points = [
            (size, value) for size, value in zip(sizes, self.values, strict=True) if value > 0
        ]
        if len(points) < 2:
            return float("nan")
        x, y = np.log10(np.array(points)).T
        return float(np.polyfit(x, y, 1)[0])


def measured(jobs: int, seed: int, load: float) -> dict[str, Any]:
    """In a process of its own, so that memory and caches are a single city's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (jobs, seed, load))


def _measured(jobs: int, seed: int, load: float) -> dict[str, Any]:
    warm()
    asked = Asked(seed, jobs, max(1, jobs // 10), max(1, jobs // 100), load)
    one = run(asked, _LONGEST_S, kicks=_KICKS_PER_JOB * jobs)
    wall_s, cpu_s = one.clock.total()
    return {
        "jobs": jobs,
        "wall_seconds": round(wall_s, 4),
        "cpu_seconds": round(cpu_s, 4),
        "gap_percent": round(one.gap_percent, 4),
        "peak_mb": round(one.peak_mb),
    }


def series_of(rows: list[dict[str, Any]]) -> tuple[Series, ...]:
    def column(name: str) -> tuple[float, ...]:
        return tuple(float(row[name]) for row in rows)

    return (
        Series("CPU seconds", "#b3541e", column("cpu_seconds")),
        Series("wall seconds", "#1f5fa8", column("wall_seconds")),
        Series("gap to the bound, %", "#3b7d3b", column("gap_percent"), right=True),
    )


# ---- the plot


@dataclass(frozen=True)
class Axis:
    """From powers of ten to pixels; `at` both ends."""

    low: int
    high: int
    at: tuple[float, float]

    def __call__(self, value: float) -> float:
        share = (np.log10(value) - self.low) / (self.high - self.low)
        return float(self.at[0] + share * (self.at[1] - self.at[0]))

    def powers(self) -> list[int]:
        return list(range(self.low, self.high + 1))


def _axis(values: list[float], at: tuple[float, float]) -> Axis:
    logs = np.log10([value for value in values if value > 0] or [1.0])
    low, high = int(np.floor(logs.min())), int(np.ceil(logs.max()))
    return Axis(low, max(high, low + 1), at)


def svg_of(sizes: tuple[int, ...], lines: tuple[Series, ...]) -> str:
    """A log-log plot: sizes below, seconds on the left, per cents on the right."""
    upright = (float(HEIGHT - _BOTTOM), float(_TOP))
    x = _axis([float(size) for size in sizes], (float(_LEFT), float(WIDTH - _RIGHT)))
    left = _axis([v for line in lines if not line.right for v in line.values], upright)
    right = _axis([v for line in lines if line.right for v in line.values], upright)
    size, font = f'viewBox="0 0 {WIDTH} {HEIGHT}"', 'font-family="sans-serif" font-size="13"'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {font}>',
        "<title>Seconds and gap by the number of jobs, logarithmic</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_grid(x, left, right),
    ]
    for place, line in enumerate(lines):
        drawn += _line(sizes, line, x, right if line.right else left)
        drawn.append(_legend(place, line, sizes))
    return "\n".join([*drawn, "</svg>", ""])


def _grid(x: Axis, left: Axis, right: Axis) -> list[str]:
    (x0, x1), (y0, y1) = x.at, left.at
    drawn: list[str] = []
    for power in x.powers():
        at = x(10.0**power)
        drawn.append(f'<path d="M{at:.1f} {y0:.1f}V{y1:.1f}" stroke="#ddd"/>')
        drawn.append(_text(at, y0 + 20, f"{10**power:,}", "middle"))
    for power in left.powers():
        at = left(10.0**power)
        drawn.append(f'<path d="M{x0:.1f} {at:.1f}H{x1:.1f}" stroke="#ddd"/>')
        drawn.append(_text(x0 - 8, at + 4, f"{10.0**power:g} s", "end"))
    drawn += [
        _text(x1 + 8, right(10.0**power) + 4, f"{10.0**power:g} %", "start")
        for power in right.powers()
    ]
    drawn.append(_text((x0 + x1) / 2, y0 + 44, "jobs (ten a machine)", "middle"))
    return drawn


def _line(sizes: tuple[int, ...], line: Series, x: Axis, y: Axis) -> list[str]:
    points = [
        (x(size), y(value)) for size, value in zip(sizes, line.values, strict=True) if value > 0
    ]
    way = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    dots = (f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{line.colour}"/>' for a, b in points)
    dash = ' stroke-dasharray="6 4"' if line.right else ""
    return [
        f'<polyline points="{way}" fill="none" stroke="{line.colour}" stroke-width="2"{dash}/>',
        *dots,
    ]


def _legend(place: int, line: Series, sizes: tuple[int, ...]) -> str:
    words = f"{line.name} (slope {line.slope(sizes):.2f})"
    return _text(_LEFT + 14, _TOP + 18 + 18 * place, words, "start", line.colour)


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run bench growth",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--out", type=Path, metavar="FILE.svg", required=True, help="the plot")
    parser.add_argument(
        "--most", type=at_least_one, default=SIZES[-1], help="jobs (default 100000)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the cities (default 1)")
    parser.add_argument("--json", action="store_true", help="one JSON line a size")
    asked = parser.parse_args()
    sizes = tuple(size for size in SIZES if size <= asked.most)
    if len(sizes) < 2:
        parser.error(f"a line needs two sizes; --most must be at least {SIZES[1]}")
    if not asked.out.parent.is_dir():
        parser.error(f"{asked.out.parent} is no folder")
    rows: list[dict[str, Any]] = []
    for jobs in sizes:
        rows.append(measured(jobs, asked.seed, 0.8))
        print(json.dumps(rows[-1]) if asked.json else _row(rows[-1]), flush=True)
        lines = series_of(rows)  # drawn each time: the last city takes most of the while
        asked.out.write_text(svg_of(sizes[: len(rows)], lines), encoding="utf-8")
    for line in series_of(rows):
        print(f"{line.name}: slope {line.slope(sizes):.2f}", file=sys.stderr)
    return 0


def _row(row: dict[str, Any]) -> str:
    return (
        f"{row['jobs']:7} jobs  {row['wall_seconds']:8.3f} s wall {row['cpu_seconds']:8.3f} s CPU"
        f"  gap {row['gap_percent']:.3f} %  {row['peak_mb']} MB"
    )


if __name__ == "__main__":
    sys.exit(main())
