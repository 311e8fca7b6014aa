"""Workers with a world each, who try the points that they are given; what they found is kept."""

import json
import multiprocessing
import queue
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain, count
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Final

from bench.crash.lane import lane
from bench.crash.points import Point, Result, Victim, try_point

_ENDS: Final = 2
"""So many lives in a row that end untouched show that there is no further point."""
_PROCESSES = multiprocessing.get_context("spawn")


class Found:
    """Results by their point, in a file that grows by a line each; so a long proof can go on."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.results: dict[Point, Result] = {}
        if path is not None and path.exists():
            for row in path.read_text().splitlines():
                told = json.loads(row)
                if not told["faults"]:  # what was wrong is tried again
                    self.put(Result(**{**told, "point": Point(**told["point"])}), write=False)

    def put(self, result: Result, *, write: bool = True) -> None:
        self.results[result.point] = result
        if write and self._path is not None:
            self._path.parent.mkdir(exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")


class Crew:
    def __init__(self, workers: int, found: Found) -> None:
        self._found = found
        self._todo: Queue[Point | None] = _PROCESSES.Queue()
        self._done: Queue[Result] = _PROCESSES.Queue()
        self._workers = workers
        self._people: list[BaseProcess] = []

    def go_home(self) -> None:
        for _ in self._people:
            self._todo.put(None)
        for each in self._people:
            each.join()

    def every(self, victim: Victim, what: str) -> list[Result]:
        """Every point there is, in order."""
        ended, results = 0, list[Result]()
        for result in self._try(Point(victim, what, at) for at in count(1)):
            ended = 0 if result.where else ended + 1
            results.append(result)
            if ended == _ENDS:
                break
        return sorted((each for each in results if each.where), key=lambda each: each.point.at)

    def these(self, points: Iterable[Point]) -> list[Result]:
        return [result for result in self._try(iter(points)) if result.where]

    def _try(self, points: Iterator[Point]) -> Iterator[Result]:
        """As many at once as there are workers; what is known already is not tried again."""
        known, begun = self._found.results, 0
        try:
            for point in points:
                if point in known:
                    yield known[point]
                    continue
                self._begin(point)
                begun += 1
                if begun == self._workers:
                    begun -= 1
                    yield self._wait()
            while begun:
                begun -= 1
                yield self._wait()
        finally:
            for _ in range(begun):
                self._wait()

    def _begin(self, point: Point) -> None:
        """The workers come when there is something to do."""
        for _ in range(self._workers - len(self._people)):
            hired = _PROCESSES.Process(target=_work, args=(self._todo, self._done))
            hired.start()
            self._people.append(hired)
        self._todo.put(point)

    def _wait(self) -> Result:
        while True:
            try:
                result = self._done.get(timeout=4)
            except queue.Empty:
                if not all(each.is_alive() for each in self._people):
                    raise RuntimeError("a worker broke; see above") from None
                continue
            self._found.put(result)
            print(line(result), file=sys.stderr, flush=True)
            return result


@contextmanager
def crew(workers: int, found: Found) -> Iterator[Crew]:
    hired = Crew(workers, found)
    try:
        yield hired
    finally:
        hired.go_home()


def line(result: Result) -> str:
    point = result.point
    at = f"{point.at}" + (f"+{point.again_at}" if point.again_at else "")
    where = f"{result.where or 'not reached'}, {result.phase or 'before'}"
    asked = " (a person was asked)" if result.asked else ""
    wrong = f"  WRONG: {'; '.join(result.faults)}" if result.faults else ""
    return (
        f"{point.victim:13}{at:>6}  {where:44}{result.came_back}{asked}"
        f"  {result.seconds:.1f} s{wrong}"
    )


def _work(todo: "Queue[Point | None]", done: "Queue[Result]") -> None:
    """A new world after every fault, so that none is blamed on the next point."""
    points = iter(todo.get, None)
    for first in points:
        with lane() as place:
            for point in chain((first,), points):
                result = try_point(place, point)
                done.put(result)
                if result.faults:
                    break
