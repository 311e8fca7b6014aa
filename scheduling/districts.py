"""Cuts a city into districts that share no bin, so that each may be searched by itself, at once.

A district is a number of bins that the same jobs like, the jobs that sit there, and of their cells
those that lie within. Whatever is found in one keeps every capacity of the whole; it never looks
over its border, so the next cut should go elsewhere.
"""

from typing import NamedTuple

import numpy as np

from scheduling.cells import Ints
from scheduling.chains import Work
from scheduling.compiled import compiled
from scheduling.dice import dice_for, drawn


class District(NamedTuple):
    """`jobs`: who they are; `slot`: where they sit within `work`; `via`: its slots in the whole."""

    work: Work
    jobs: Ints
    slot: Ints
    via: Ints


def districts(work: Work, slots: Ints, halvings: int, keep: int, seed: int) -> list[District]:
    """Two to the power of `halvings`, of like numbers of jobs; `keep`: cells of each job."""
    dice = dice_for(seed)
    home = _homes(work.bins, slots, dice)
    owner = np.zeros(len(work.capacity), np.int64)
    for halving in range(halvings):
        _halve(home, owner, _walked(work.bins, home, owner, dice), 1 << halving)
    walk = _walked(work.bins, home, owner, dice)
    place = np.empty_like(walk)
    place[walk] = np.arange(len(walk))
    jobs = np.argsort(np.where(home >= 0, place[home], -1), kind="stable")
    where = np.where(home >= 0, owner[home], 0)
    return [
        _district(work, slots, walk[owner[walk] == piece], jobs[where[jobs] == piece], keep)
        for piece in range(1 << halvings)
    ]


@compiled
def _homes(bins: Ints, slots: Ints, dice: Ints) -> Ints:
    """The bin of each job; of who is left out, one that it might go to, or -1."""
    home = np.full(len(bins), -1, np.int64)
    for j in range(len(bins)):
        slot = slots[j]
        if slot < 0 and bins.shape[1] > 0:
            many = 0
            while many < bins.shape[1] and bins[j, many] >= 0:
                many += 1
            slot = drawn(dice, max(1, many))
        if slot >= 0:
            home[j] = bins[j, slot]
    return home


@compiled
def _walked(bins: Ints, home: Ints, owner: Ints, dice: Ints) -> Ints:
    """All bins in the order of a walk: from any one on to those that its jobs would like as well.

    It stays within the district where it began until that is done.
    """
    many, ways = len(owner), min(6, bins.shape[1])
    first, after = np.full(many, -1, np.int64), np.full(len(bins), -1, np.int64)
    for j in range(len(bins)):
        if home[j] >= 0:
            after[j] = first[home[j]]
            first[home[j]] = j
    order, met = np.empty(many, np.int64), np.zeros(many, np.bool_)
    done, known, begun = 0, 0, drawn(dice, many)
    for step in range(many):
        root = (begun + step) % many
        if not met[root]:
            met[root] = True
            order[known] = root
            known += 1
        while done < known:
            i = order[done]
            done += 1
            j = first[i]
            while j >= 0:
                for q in range(ways):
                    near = bins[j, q]
                    if near >= 0 and not met[near] and owner[near] == owner[i]:
                        met[near] = True
                        order[known] = near
                        known += 1
                j = after[j]
    return order


@compiled
def _halve(home: Ints, owner: Ints, order: Ints, pieces: int) -> None:
    """Of each district the half that was walked last becomes another; halves by jobs."""
    lives, all_of, so_far = (np.zeros(len(owner), np.int64), np.zeros(pieces, np.int64),
                             np.zeros(pieces, np.int64))  # fmt: skip
    for j in range(len(home)):
        if home[j] >= 0:
            lives[home[j]] += 1
            all_of[owner[home[j]]] += 1
    for i in order:
        piece = owner[i]
        if 2 * so_far[piece] >= all_of[piece]:
            owner[i] = piece + pieces
        so_far[piece] += lives[i]


@compiled
def _district(work: Work, slots: Ints, within: Ints, jobs: Ints, keep: int) -> District:
    """Cells within the district, the best of each job and where it sits now."""
    local = np.full(len(work.capacity), -1, np.int64)
    local[within] = np.arange(len(within))
    many, ways = len(jobs), work.bins.shape[1]
    bins, via = np.full((many, keep), -1, np.int64), np.zeros((many, keep), np.int64)
    row, weight = np.zeros((many, keep), np.int64), np.zeros((many, keep), np.int64)
    excess, slot = np.zeros((many, keep)), np.full(many, -1, np.int64)
    for at in range(many):
        job, count = jobs[at], 0
        for q in range(ways):
            i, sits = work.bins[job, q], slots[job] == q
            if i < 0 or (count == keep and slot[at] >= 0) or (count == keep and slots[job] < q):
                break
            if local[i] < 0 or (count == keep and not sits):
                continue
            put = min(count, keep - 1)
            bins[at, put], row[at, put], via[at, put] = local[i], work.row[job, q], q
            weight[at, put], excess[at, put] = work.weight[job, q], work.excess[job, q]
            if sits:
                slot[at] = put
            count = put + 1
    part = Work(bins, row, weight, excess, work.capacity[within], work.price[within],
                work.toll[within], work.penalty[jobs])  # fmt: skip
    return District(part, jobs, slot, via)
