"""A problem laid bare: what each machine has of hours until some moments, and who could use them.

It promises cells for prices and routing; those of `bounding` cost no more and weigh no more than
any plan can make of them, so that what their prices prove holds for the problem.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from scheduling import board
from scheduling.board import Facts
from scheduling.cards import Cards, lenient
from scheduling.cells import Cells, Ints
from scheduling.compiled import AtOnce
from scheduling.prices import capacity_prices
from scheduling.problem import merged
from scheduling.routing import served
from scheduling.sequencing import overlap, without

HOUR_S: Final = 3600
_ENDS_H: Final = (4, 8, 12, 18, 24, 32, 40, 48, 60, 72, 84, 96, 120, 144, 168, 216, 264, 336)
_USED: Final = 0.8
_GUIDING: Final = 30
_SWEEPS: Final = 300
_DEAR: Final = 10**12


def bounding(cards: Cards) -> Cells:
    """Every way of every job, at the least that it can cost by the end of each row."""
    facts, _ = lenient(cards)
    return _cells(cards, facts, _ends_s(cards), most=10**9, middle=False)


def tolled(cards: Cards, workers: int = 1, at_once: AtOnce = map) -> Facts:
    """Facts by which a job pays for the hours that it takes from others, by prices of hours.

    Made for insertion: whoever comes first no longer takes what others need more.
    """
    facts = cards.facts
    if not len(facts.ways):
        return facts
    cells = _cells(cards, facts, _ends_s(cards), _GUIDING, middle=True)
    cells = replace(cells, capacity=(cells.capacity * _USED).astype(np.int64))
    toll = capacity_prices(cells, _SWEEPS, None, workers, at_once).toll
    paid = np.where(cells.bins >= 0, toll[cells.bins, cells.row] * cells.weight, np.inf)
    priced = (paid + cells.cost).reshape(len(facts.jobs), -1, cells.rows)
    row = priced.argmin(axis=2)[:, :, None]
    toll_of_way = np.take_along_axis(paid.reshape(priced.shape), row, axis=2)[:, :, 0]
    jobs, ways = facts.jobs.copy(), facts.ways.copy()
    jobs[:, board.VALUE] += _DEAR
    ways[:, board.LEAST] = -_DEAR
    for at in range(len(jobs)):
        mine, tolls = cards.ways(at), toll_of_way[at][np.isfinite(toll_of_way[at])]
        some = ways[mine.start : mine.stop, board.MINOR]
        some[: len(tolls)] += tolls.astype(np.int64)
        some[len(tolls) :] += int(tolls.max(initial=0))
    return facts._replace(jobs=jobs, ways=ways)


def _ends_s(cards: Cards) -> Ints:
    """Moments that divide the plan's time, the last its end."""
    now, horizon = (int(each) for each in cards.facts.whole[[board.NOW, board.HORIZON]])
    ends = [now + hours * HOUR_S for hours in _ENDS_H]
    return np.array([*(each for each in ends if each < horizon), horizon], np.int64)


def _cells(cards: Cards, facts: Facts, ends_s: Ints, most: int, *, middle: bool) -> Cells:
    jobs, ways, rows = facts.jobs, facts.ways, len(ends_s)
    many = np.minimum(jobs[:, board.WAY_TO] - jobs[:, board.WAY], most)
    wide = max(1, int(many.max(initial=0)))
    at = jobs[:, board.WAY][:, None] + np.arange(wide)
    there = np.arange(wide) < many[:, None]
    at = np.where(there, at, 0)
    ways = ways if len(ways) else np.zeros((1, ways.shape[1]), np.int64)
    begins_s = np.r_[facts.whole[board.NOW], ends_s[:-1]]
    end_s = (ways[at, board.READY] + ways[at, board.TAKES])[:, :, None]
    fits = there[:, :, None] & (end_s <= ends_s)
    late = (begins_s + ends_s) // 2 if middle else begins_s
    end_s = np.maximum(end_s, late)
    cost = ways[at, board.MINOR][:, :, None] + _timed(facts, end_s)
    weight = np.broadcast_to(ways[at, board.TAKES][:, :, None], cost.shape)
    bins = np.where(fits, ways[at, board.MACHINE][:, :, None], -1)
    row = np.broadcast_to(np.arange(rows), cost.shape)
    flat = (len(jobs), wide * rows)
    bins, row, cost, weight = (
        np.ascontiguousarray(table.reshape(flat)) for table in (bins, row, cost, weight)
    )
    value = jobs[:, board.VALUE].copy()
    return Cells(bins, row, cost, weight, _capacity(cards, ends_s), value)


def _timed(facts: Facts, end_s: Ints) -> Ints:
    """As `board.timed`, for tables of jobs × ways × rows."""
    since, due = (facts.jobs[:, each][:, None, None] for each in (board.SINCE, board.DUE))
    waited = -((since - end_s) * facts.whole[board.WAIT] // HOUR_S)
    late = np.where(due >= 0, np.maximum(end_s - due, 0), 0)
    return waited - (-late * facts.whole[board.LATE] // HOUR_S)


def _capacity(cards: Cards, ends_s: Ints) -> Ints:
    """Seconds of each machine until each end; of unattended ones all from the first opening on."""
    problem, rows = cards.problem, np.zeros((len(cards.machines), len(ends_s)), np.int64)
    horizon = problem.horizon_s
    for at, machine in enumerate(cards.machines):
        since = max(problem.now_s, machine.available_from_s)
        spans = [each or ((since, horizon),) for each in served(problem, machine)]
        open_ = merged(span for some in spans for span in some if span[1] > since)
        if machine.unattended and open_:
            open_ = ((max(since, open_[0][0]), horizon),)
        free = without(open_, problem.busy.get(machine.id, ()))
        for row, end in enumerate(ends_s):
            until = ((since, int(end)),) if since < end else ()
            rows[at, row] = sum(b - a for a, b in overlap(free, until))
    return rows
