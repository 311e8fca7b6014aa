"""Promises when acceleration-limited moves begin and end, through a short look-ahead queue.
Never runs in real time: moments come in, moments go out.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

Vector = tuple[float, ...]


class Junction(Protocol):
    """How fast a corner may be taken."""

    def __call__(self, before: "Block", after: "Block") -> float: ...


@dataclass(slots=True)
class Block:
    """One straight move; speeds in mm/s along it, squared where the name says so."""

    start: Vector
    end: Vector
    unit: Vector
    length_mm: float
    speed: float
    accel: float
    added_s: float
    entry_max_sq: float = 0.0
    entry_sq: float = 0.0
    asked: float = 0.0
    """The speed that was asked for, before overrides."""
    rapid: bool = False
    power: float = 0.0
    """Spindle or beam while this move runs."""


@dataclass(slots=True)
class _Running:
    block: Block
    exit_sq: float
    starts_s: float
    ends_s: float


def profile_s(block: Block, exit_sq: float) -> float:
    """Seconds a trapezoid takes: v² = v0² + 2·a·s on the ramps, cruise between."""
    entry, exit_v = math.sqrt(block.entry_sq), math.sqrt(exit_sq)
    peak_sq = (block.entry_sq + exit_sq) / 2 + block.accel * block.length_mm
    if peak_sq <= block.speed * block.speed:
        return max(0.0, 2 * math.sqrt(peak_sq) - entry - exit_v) / block.accel
    ramps_mm = (2 * block.speed**2 - block.entry_sq - exit_sq) / (2 * block.accel)
    ramps_s = (2 * block.speed - entry - exit_v) / block.accel
    return ramps_s + (block.length_mm - ramps_mm) / block.speed


def reached(block: Block, exit_sq: float, elapsed_s: float) -> tuple[float, float]:
    """Along one move after that time: millimetres, and the speed there."""
    entry, exit_v, accel = math.sqrt(block.entry_sq), math.sqrt(exit_sq), block.accel
    peak = min(block.speed, math.sqrt((block.entry_sq + exit_sq) / 2 + accel * block.length_mm))
    peak = max(peak, entry, exit_v)
    up_s = (peak - entry) / accel
    if elapsed_s < up_s:
        return (entry + accel * elapsed_s / 2) * elapsed_s, entry + accel * elapsed_s
    left_s = profile_s(block, exit_sq) - elapsed_s
    if left_s < (peak - exit_v) / accel:
        left_s = max(left_s, 0.0)
        return block.length_mm - (exit_v + accel * left_s / 2) * left_s, exit_v + accel * left_s
    return (entry + peak) / 2 * up_s + peak * (elapsed_s - up_s), peak


class Planner:
    """A ring of `capacity` blocks as firmware keeps it; the head is being moved.

    `first_delay_s`: from rest, firmware lets the queue fill a little before it starts, or waits
    until `enough` moves have come.
    """

    def __init__(
        self,
        capacity: int,
        junction: Junction,
        at: Vector,
        first_delay_s: float = 0.1,
        dry: Callable[[float], None] = lambda _: None,
        enough: int | None = None,
    ) -> None:
        self._first_delay_s = first_delay_s
        self._enough = enough or capacity
        self._dry = dry
        self._excused_s = 0.0
        self._capacity = capacity
        self._junction = junction
        self._blocks: deque[Block] = deque()
        self._running: _Running | None = None
        self._free_s = 0.0
        self._rest: Vector = at
        self._last: Block | None = None
        self._held_s: float | None = None
        self.travelled_mm = 0.0

    @property
    def waiting(self) -> int:
        """Blocks in the queue, the moving one included."""
        return len(self._blocks) + (self._running is not None)

    @property
    def full(self) -> bool:
        return self.waiting >= self._capacity

    def add(self, block: Block) -> None:
        """Queue a move (the caller has seen that there is room) and look ahead."""
        if self._last is not None and self._blocks:  # what moves already will stop at its end
            block.entry_max_sq = self._junction(self._last, block) ** 2
        self._last = block
        self._blocks.append(block)
        self._look_ahead()

    def _look_ahead(self) -> None:
        blocks = self._blocks
        newest = blocks[-1]
        newest.entry_sq = min(newest.entry_max_sq, 2 * newest.accel * newest.length_mm)
        last = len(blocks) - 1
        index = last
        after_sq = newest.entry_sq
        # the first block's entry is settled: its predecessor is moving already
        while index > 1:
            block = blocks[index - 1]
            if block.entry_sq == block.entry_max_sq:
                break
            index -= 1
            after_sq = min(block.entry_max_sq, after_sq + 2 * block.accel * block.length_mm)
            block.entry_sq = after_sq
        for place in range(max(index, 1), last + 1):
            before, block = blocks[place - 1], blocks[place]
            reach_sq = before.entry_sq + 2 * before.accel * before.length_mm
            block.entry_sq = min(block.entry_sq, reach_sq)

    def advance(self, now_s: float, *, flush: bool = False) -> None:
        """Let everything end that has ended by now; `flush` starts a half-filled queue."""
        while self._held_s is None:
            running = self._running
            if running is None:
                if not self._blocks or not self._start_next(now_s, flush):
                    return
            elif running.ends_s > now_s:
                return
            else:
                self._finish(running)

    def _finish(self, running: _Running) -> None:
        self._free_s, self._rest = running.ends_s, running.block.end
        self.travelled_mm += running.block.length_mm
        self._running = None

    def _start_next(self, now_s: float, flush: bool) -> bool:
        head = self._blocks[0]
        starts_s = max(self._free_s, head.added_s)
        if self._free_s < head.added_s:
            starts_s = self._from_rest_s(head)
            if not (flush or self.full) and starts_s > now_s:
                return False
            self._dry(max(0.0, head.added_s - self._free_s - self._excused_s))
        self._excused_s = 0.0
        self._blocks.popleft()
        exit_sq = 0.0
        if self._blocks:
            after = self._blocks[0]
            exit_sq = after.entry_sq
            after.entry_max_sq = exit_sq
        self._running = _Running(head, exit_sq, starts_s, starts_s + profile_s(head, exit_sq))
        return True

    def _from_rest_s(self, head: Block) -> float:
        delayed_s = head.added_s + self._first_delay_s
        if len(self._blocks) < self._enough:
            return delayed_s
        return min(delayed_s, self._blocks[self._enough - 1].added_s)

    def excuse(self, wait_s: float) -> None:
        """The firmware itself waits that long (heat, dwell): no host could have fed the queue."""
        self._excused_s += wait_s

    def rescale(self, speed: Callable[[Block], float]) -> None:
        """An override changed: the moves that wait get new speeds, the moving one keeps its own."""
        for block in self._blocks:
            block.speed = speed(block)
            block.entry_max_sq = min(block.entry_max_sq, block.speed * block.speed)
            block.entry_sq = min(block.entry_sq, block.entry_max_sq)
        if self._blocks:
            self._look_ahead()

    @property
    def moving(self) -> Block | None:
        """The block that is being moved."""
        return None if self._running is None else self._running.block

    def next_end_s(self) -> float | None:
        """When the next block gives its place free; None when nothing moves (or is held)."""
        if self._held_s is not None:
            return None
        if self._running is not None:
            return self._running.ends_s
        if self._blocks:
            return max(self._free_s, self._from_rest_s(self._blocks[0]))
        return None

    def position(self, now_s: float) -> Vector:
        """Where the tool is."""
        running = self._running
        if running is None:
            return self._rest
        far_mm, _ = self._reached(running, now_s)
        length_mm = running.block.length_mm
        share = min(1.0, far_mm / length_mm) if length_mm else 1.0
        ends = zip(running.block.start, running.block.end, strict=True)
        return tuple(a + (b - a) * share for a, b in ends)

    def _reached(self, running: _Running, now_s: float) -> tuple[float, float]:
        moment = now_s if self._held_s is None else min(now_s, self._held_s)
        moment = min(max(moment, running.starts_s), running.ends_s)
        return reached(running.block, running.exit_sq, moment - running.starts_s)

    def speed(self, now_s: float) -> float:
        """How fast the tool moves, in mm/s; 0 at rest and while braking into a hold."""
        if self._running is None or self._held_s is not None:
            return 0.0
        return self._reached(self._running, now_s)[1]

    def hold(self, now_s: float) -> float:
        """Brake; answers when the machine stands (v/a later, v²/2a on). Queued blocks stay."""
        self.advance(now_s)
        running = self._running
        brake_s = self.speed(now_s) / running.block.accel if running else 0.0
        self._held_s = min(now_s + brake_s / 2, running.ends_s) if running else now_s
        return now_s + brake_s

    def release(self, now_s: float) -> None:
        """Go on after a hold: what was left of the moving block begins now."""
        if self._held_s is None:
            return
        if self._running is not None:
            shift = max(0.0, now_s - self._held_s)
            self._running.starts_s += shift
            self._running.ends_s += shift
        self._free_s = max(self._free_s, now_s) if self._running is None else self._free_s
        self._held_s = None

    def stop(self, now_s: float) -> Vector:
        """Drop everything at once (reset, kill); answers where the machine stands."""
        self._rest = self.position(now_s)
        self._blocks.clear()
        self._running, self._last, self._held_s = None, None, None
        self._free_s, self._excused_s = now_s, 0.0
        return self._rest

    def settle_at(self, position: Sequence[float]) -> None:
        """The controller renames the place where the machine rests (homing, G92)."""
        self._rest = tuple(position)
