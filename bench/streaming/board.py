"""A board without a body behind a pseudo-terminal: fast, paced like a UART, mean on request.

It keeps the exact list of executed commands, and it imports nothing of the product.

Bytes arrive at baud/10 a second and answers leave at the same pace, both reckoned in virtual time:
a byte's arrival follows from the byte before it, never from when this process woke up. So a host
that keeps the line full is measured to the microsecond, and only a host that lets the line fall
idle pays this process's waking (some 0.1 ms, less than any USB adapter).
"""

import argparse
import ctypes
import errno
import json
import os
import select
import signal
import sys
import time
import tty
from collections import deque
from pathlib import Path
from typing import Final, Protocol

from bench.streaming.faults import Dirt

RX_BYTES: Final = 128
_BITS_PER_BYTE: Final = 10
_HOST_QUEUE_BYTES: Final = 4096  # what a serial driver of the host takes before its write blocks
_LOOK_S: Final = 0.01
_BOOT_S: Final = 0.1
_ALIVE_S: Final = 2.0
_PR_SET_TIMERSLACK: Final = 29
_REAL_TIME: Final = 2


class Language(Protocol):
    """A firmware's side: told what arrived and when (virtual seconds), it answers by `say`."""

    banner: bytes

    def reset(self, at: float) -> None: ...
    def take(self, line: bytes, at: float) -> None: ...
    def realtime(self, data: bytes, at: float) -> bytes: ...
    def idle(self, now: float) -> float | None: ...


class Planner:
    """Blocks of one duration each; it knows how long it stood still for want of a next block."""

    def __init__(self, block_s: float, blocks: int = 15) -> None:
        self.block_s = block_s
        self.blocks = blocks
        self.dry_s = 0.0
        self.begun: float | None = None
        self.ends: deque[float] = deque()
        self.last_end = 0.0

    def add(self, at: float) -> float:
        """A block comes at `at`; the moment it found room."""
        ends = self.ends
        while ends and ends[0] <= at:
            ends.popleft()
        if len(ends) >= self.blocks:
            at = ends[len(ends) - self.blocks]
        if self.begun is None:
            self.begun = self.last_end = at
        elif at > self.last_end:
            self.dry_s += at - self.last_end
        self.last_end = max(at, self.last_end) + self.block_s
        ends.append(self.last_end)
        return at

    def clear(self) -> None:
        self.ends.clear()

    @property
    def share_dry(self) -> float:
        """Of the whole time from the first block's start to the last one's end."""
        whole = self.last_end - (self.begun or 0.0)
        return self.dry_s / whole if self.begun is not None and whole > 0 else 0.0


class Wire:
    """Both directions of the line, the receive buffer, and the account of what was executed."""

    def __init__(self, baud: int, delay_s: float, dirt: Dirt, expect: int) -> None:
        self.byte_s = _BITS_PER_BYTE / baud if baud else 0.0
        self.delay_s = delay_s
        self.dirt = dirt
        self.expect = expect
        self.rx_free = 0.0
        self.tx_free = 0.0
        self.deaf_until = 0.0
        self.partial = b""
        self.out: deque[tuple[float, bytes]] = deque()
        self.buffered: deque[tuple[float, int]] = deque()
        self.overruns = 0
        self.executed: list[bytes] = []
        self.moves = 0
        self.move_bytes = 0
        self.first_at = 0.0
        self.last_at = 0.0
        self.tell_at = 0.0
        self.language: Language

    # -- towards the board

    @property
    def room(self) -> float:
        """Virtual time until which the host's serial driver still takes bytes."""
        return self.rx_free - _HOST_QUEUE_BYTES * self.byte_s

    def receive(self, data: bytes, now: float) -> None:
        """Bytes that the host wrote, found at `now`."""
        start = max(self.rx_free, now)
        byte_s = self.byte_s
        self.rx_free = start + len(data) * byte_s
        data = self.language.realtime(data, self.rx_free)
        begin = 0
        while (end := data.find(b"\n", begin) + 1) > 0:
            line = self.partial + data[begin:end]
            self.partial = b""
            begin = end
            self._arrived(line, start + end * byte_s)
        self.partial += data[begin:]

    def _arrived(self, line: bytes, at: float) -> None:
        if at - len(line) * self.byte_s <= self.deaf_until:
            line = line[self._unheard(line, at) :]
            if not line:
                return
        if self.dirt.armed:
            line = self.language.realtime(self.dirt.line(line), at)
        self.language.take(line, at)

    def _unheard(self, line: bytes, at: float) -> int:
        """How many of its bytes fell into a receive buffer that was then emptied."""
        if at <= self.deaf_until:
            return len(line)
        return min(len(line), int((self.deaf_until - at) / self.byte_s + len(line)))

    def store(self, line: bytes, at: float, read_at: float) -> bool:
        """Keep a line in the receive buffer until it is read; False when its end did not fit."""
        buffered = self.buffered
        while buffered and buffered[0][0] <= at:
            buffered.popleft()
        if read_at <= at:
            return True
        too_much = sum(size for _, size in buffered) + len(line) - RX_BYTES
        if self.byte_s and too_much > 0:
            self.overruns += min(too_much, len(line))
            self.partial = line[: max(0, len(line) - too_much)]
            return False
        buffered.append((read_at, len(line)))
        return True

    # -- what was executed

    def ran(self, command: bytes, size: int, at: float) -> None:
        """A command was executed; moves of the job (G1 with words) are what speed is counted in."""
        self.executed.append(command)
        if command.startswith((b"G1 X", b"G1X")):
            self.moves += 1
            self.move_bytes += size
            self.last_at = at
            if self.moves == 1:
                self.first_at = at
                self.dirt.armed = self.dirt.lines > 0 or self.dirt.acks > 0
                tell({"event": "first"})
                self.tell_at = at
            elif self.moves == self.expect:
                tell({"event": "last"})
            if at >= self.tell_at:
                self.tell_at = at + _ALIVE_S
                tell({"event": "alive"})

    # -- towards the host

    def say(self, data: bytes, at: float) -> None:
        """Answer at `at` or as soon as the line is free; the host has it when its end arrives."""
        self.tx_free = max(self.tx_free, at) + len(data) * self.byte_s
        self.out.append((self.tx_free + self.delay_s, data))

    def acknowledge(self, data: bytes, at: float) -> None:
        """As `say`, for what a dirty line may spoil."""
        if self.dirt.armed:
            data = self.dirt.ack(data)
        if data:
            self.say(data, at)


def tell(fact: dict[str, object]) -> None:
    """A line of JSON for whoever started this board."""
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


class Port:
    """The pseudo-terminal: a board resets when somebody opens it, as an Arduino's does."""

    def __init__(self, wire: Wire, language: Language) -> None:
        self.wire = wire
        self.language = language
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self.master, False)
        self.resets = 0
        self.unsent = b""

    def serve(self) -> None:
        """Until the signal comes that ends this process."""
        hung_up = select.poll()
        hung_up.register(self.master, select.POLLHUP)
        while True:
            if any(what & select.POLLHUP for _, what in hung_up.poll(0)):
                time.sleep(_LOOK_S)
                continue
            self._boot()
            self._session()

    def _boot(self) -> None:
        self.resets += 1
        wire = self.wire
        wire.partial, wire.deaf_until = b"", 0.0
        wire.out.clear()
        wire.buffered.clear()
        self.unsent = b""
        now = time.monotonic()
        wire.rx_free = wire.tx_free = now
        self.language.reset(now)
        wire.say(self.language.banner, now + _BOOT_S)

    def _session(self) -> None:
        clock, wait, master, wire = time.monotonic, select.select, self.master, self.wire
        while True:
            now = clock()
            self._deliver(now)
            timeout = self._sleep_s(now)
            listening = [master] if wire.room <= now else []
            if not wait(listening, [], [], timeout)[0]:
                continue
            try:
                data = os.read(master, 65536)
            except OSError as error:
                if error.errno == errno.EIO:
                    return
                raise
            wire.receive(data, clock())

    def _sleep_s(self, now: float) -> float:
        wire = self.wire
        ends = now + 0.5
        if wire.out:
            ends = min(ends, wire.out[0][0])
        if wire.room > now:
            ends = min(ends, wire.room)
        if (wish := self.language.idle(now)) is not None:
            ends = min(ends, wish)
        return max(0.0, ends - now)

    def _deliver(self, now: float) -> None:
        out = self.wire.out
        due = [self.unsent]
        while out and out[0][0] <= now:
            due.append(out.popleft()[1])
        data = b"".join(due)
        if not data:
            return
        try:
            self.unsent = data[os.write(self.master, data) :]
        except BlockingIOError:
            self.unsent = data
        except OSError as error:
            if error.errno != errno.EIO:
                raise


def quiet_hardware() -> bool:
    """A board is not slowed by a busy host: exact timers, and real-time priority if allowed."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_REAL_TIME))
    except PermissionError:
        return False
    return True


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.streaming.board", description=__doc__)
    parser.add_argument("language", choices=["marlin", "grbl"])
    parser.add_argument("--baud", type=int, default=0, help="0: as fast as it can")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="every answer comes so late")
    parser.add_argument("--bad-lines", type=float, default=0.0, help="share of lines altered")
    parser.add_argument("--bad-acks", type=float, default=0.0, help="share of acks spoilt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--block-ms", type=float, default=0.0, help="what one move takes; 0: no body"
    )
    parser.add_argument("--advanced-ok", action="store_true")
    parser.add_argument("--homing-s", type=float, default=0.0)
    parser.add_argument("--expect", type=int, default=0, help="moves of the job")
    parser.add_argument("--record", type=Path, required=True)
    return parser.parse_args()


def main() -> int:
    from bench.streaming.grbl import Grbl
    from bench.streaming.marlin import Marlin

    args = arguments()
    calm = quiet_hardware()
    dirt = Dirt(args.seed, args.bad_lines, args.bad_acks)
    wire = Wire(args.baud, args.delay_ms / 1000, dirt, args.expect)
    planner = Planner(args.block_ms / 1000) if args.block_ms else None
    language = (
        Marlin(wire, planner, advanced_ok=args.advanced_ok, homing_s=args.homing_s)
        if args.language == "marlin"
        else Grbl(wire, planner)
    )
    wire.language = language
    port = Port(wire, language)

    def end(_number: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    tell({"port": port.path, "priority": calm})
    try:
        port.serve()
    finally:
        args.record.write_text(json.dumps(record(port, planner)))
    return 0


def record(port: Port, planner: Planner | None) -> dict[str, object]:
    wire = port.wire
    return {
        "executed": [command.decode("latin-1") for command in wire.executed],
        "moves": wire.moves,
        "move_bytes": wire.move_bytes,
        "seconds": wire.last_at - wire.first_at,
        "overruns": wire.overruns,
        "resets": port.resets,
        "altered": wire.dirt.altered,
        "spoilt": wire.dirt.spoilt,
        "dry": planner.share_dry if planner else None,
        "facts": getattr(port.language, "facts", {}),
    }


if __name__ == "__main__":
    raise SystemExit(main())
