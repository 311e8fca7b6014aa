"""Promises bad luck by script: which line, which acknowledgement, which moment, what happens.
Never carries anything out: bytes come in and go out altered, and what happens to the machine is
only named.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from hardware_sim.config import Fault, Faults

LINES = ("lose-line", "garble-line", "late-line", "double-line", "join-line")
ACKS = ("lose-ack", "garble-ack", "late-ack", "double-ack", "join-ack")
_ACK = (b"ok", b"error:")


@dataclass
class _Armed:
    """One fault of the script and what it has seen so far."""

    fault: Fault
    chance: random.Random
    seen: int = 0
    left: float = field(default=0.0)

    def strikes(self, in_job: int, job_s: float | None) -> bool:
        """One more of its kind came by: is it the one?"""
        self.seen += 1
        if self.left <= 0 or not self._is_due(in_job, job_s):
            return False
        self.left -= 1
        return True

    def _is_due(self, in_job: int, job_s: float | None) -> bool:
        fault = self.fault
        if fault.probability:
            return self.chance.random() < fault.probability
        if fault.at_line is not None:
            return in_job >= fault.at_line
        if fault.at_s is not None:
            return job_s is not None and job_s >= fault.at_s
        return fault.after_n is None or self.seen > fault.after_n


class Troubles:
    """The script of one machine; `job` is told how far the running job is."""

    def __init__(self, faults: Faults, script: tuple[Fault, ...]) -> None:
        self._armed: list[_Armed] = []
        self._on_lines: list[_Armed] = []
        self._on_acks: list[_Armed] = []
        self._deeds: list[_Armed] = []
        self._partial = bytearray()
        for fault in (*_every(faults), *script):
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """One more fault, from now on."""
        chance = random.Random(fault.seed)  # noqa: S311 - bad luck, not secrets
        armed = _Armed(fault, chance, left=fault.times or float("inf"))
        kind = (
            self._on_lines
            if fault.what in LINES
            else self._on_acks
            if fault.what in ACKS
            else self._deeds
        )
        for group in (self._armed, kind):
            group.append(armed)

    @property
    def any(self) -> bool:
        return bool(self._armed)

    def deeds(self, in_job: int, job_s: float | None, *, line: bool) -> Iterator[str]:
        """What happens to the machine now; `line`: one more line has just come."""
        for armed in self._deeds:
            by_time = armed.fault.at_s is not None
            if by_time == line:
                continue
            if armed.strikes(in_job, job_s):
                yield armed.fault.what

    def received(self, data: bytes, in_job: int) -> list[tuple[float, bytes]]:
        """What of the host's bytes reaches the board, with what holds each up, in s."""
        if not self._on_lines:
            return [(0.0, data)]
        self._partial += data
        whole, newline, rest = self._partial.rpartition(b"\n")
        self._partial = bytearray(rest)
        pieces = [
            piece
            for line in (bytes(whole) + bytes(newline)).splitlines(keepends=True)
            for piece in self._hit(line, self._on_lines, in_job)
        ]
        if rest and not rest.strip(b"?!~\x18"):  # a real-time byte does not wait for its line
            pieces.append((0.0, bytes(rest)))
            self._partial.clear()
        return pieces

    def said(self, data: bytes, in_job: int) -> list[tuple[float, bytes]]:
        """What of the board's bytes reaches the host, with what holds each up, in s."""
        if not self._on_acks:
            return [(0.0, data)]
        pieces: list[tuple[float, bytes]] = []
        for line in data.splitlines(keepends=True):
            hits = self._on_acks if line.startswith(_ACK) else []
            pieces += self._hit(line, hits, in_job)
        return pieces

    def _hit(self, line: bytes, armed: list[_Armed], in_job: int) -> Iterator[tuple[float, bytes]]:
        late_s, copies = 0.0, 1
        for one in armed:
            if not one.strikes(in_job, None):
                continue
            kind = one.fault.what.partition("-")[0]
            if kind == "lose":
                return
            if kind == "late":
                late_s += one.fault.late_s
            elif kind == "double":
                copies += 1
            elif kind == "join":
                line = line.rstrip(b"\r\n")
            else:
                line = _garbled(line, one.chance)
        for _ in range(copies):
            yield late_s, line
            late_s = 0.0


def _garbled(line: bytes, chance: random.Random) -> bytes:
    """One byte of the line becomes another printable one; its newline stays."""
    body = line.rstrip(b"\r\n")
    if not body:
        return line
    place = chance.randrange(len(body))
    other = chance.choice([c for c in range(32, 127) if c != body[place]])
    return body[:place] + bytes([other]) + line[place + 1 :]


def _every(faults: Faults) -> Iterator[Fault]:
    """The short form: on average one line, or one ok, in N."""
    if faults.corrupt_every:
        share = 1 / faults.corrupt_every
        yield Fault(what="garble-line", probability=share, seed=faults.seed, times=0)
    if faults.drop_ok_every:
        share = 1 / faults.drop_ok_every
        yield Fault(what="lose-ack", probability=share, seed=faults.seed, times=0)
