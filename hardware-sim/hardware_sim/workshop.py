"""Promises one machine that lives behind a port until it is told to stop.
Never decides what firmware answers; it moves bytes, time, bad luck and the physical world.
"""

import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Protocol

from pydantic import ValidationError

from hardware_sim.clock import Clock
from hardware_sim.config import ConfigRefused, Fault, Machine, MarlinMachine
from hardware_sim.control import Answer, Control
from hardware_sim.faults import ACKS, LINES, Troubles
from hardware_sim.grbl import Grbl
from hardware_sim.marlin import Marlin
from hardware_sim.port import Edge, Port
from hardware_sim.records import How, Journal
from hardware_sim.tcp import TcpPort
from hardware_sim.wire import ADAPTER_BYTES, Lane

BOOT_MIN_S = 0.1  # wall seconds: even a fast clock leaves the host time to set up its port
LULL_S = 0.02  # wall seconds of silence after which a jumping clock lets queued moves end
JUMPS_PER_TURN = 64
MOMENTS_PER_TURN = 10_000
LEAST_WAIT_S = 0.0002
FLUSH_S = 0.02


class Firmware(Protocol):
    """What a board offers to the world around it; all moments are simulated seconds."""

    dead: bool

    def power_up(self, now_s: float) -> None: ...
    def power_off(self, now_s: float) -> None: ...
    def receive(self, data: bytes, now_s: float) -> None: ...
    def run(self, now_s: float) -> None: ...
    def settle(self, now_s: float) -> None: ...
    def take_output(self) -> bytes: ...
    def wake_s(self) -> float | None: ...
    def jam(self) -> None: ...
    def press(self) -> None: ...
    def deeds(self) -> Mapping[str, Callable[[], None]]: ...
    def state(self, now_s: float) -> dict[str, object]: ...
    @property
    def blocked(self) -> bool: ...
    @property
    def wants_person(self) -> bool: ...
    @property
    def still(self) -> bool: ...
    @property
    def moving(self) -> bool: ...


def build(machine: Machine, journal: Journal) -> Firmware:
    """The board that the description asks for."""
    if isinstance(machine, MarlinMachine):
        return Marlin(machine, journal)
    return Grbl(machine, journal)


class Plug(Protocol):
    """Where the host plugs in: a pseudo-terminal or a TCP address."""

    name: str

    @property
    def open(self) -> bool: ...
    @property
    def pending(self) -> bool: ...
    def filenos(self) -> list[int]: ...
    def edges(self) -> list[Edge]: ...
    def hung_up(self) -> bool: ...
    def read(self) -> bytes: ...
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class Workshop:
    """The loop around one machine; `tcp`: a TCP port of that number (0: any), not a pty."""

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        journal: Journal,
        link: Path | None,
        tcp: int | None = None,
    ) -> None:
        self.machine, self.clock, self.journal = machine, clock, journal
        self._link, self._tcp = link, tcp
        self.firmware = build(machine, journal)
        self._refuse_strangers(machine.fault)
        self._troubles = Troubles(machine.faults, machine.fault)
        baud = 0 if clock.jumps else machine.baud
        self._paced = bool(baud)
        self._incoming = Lane(baud)
        self._outgoing = Lane(baud, 0.0 if clock.jumps else machine.reply_late_s)
        self._direct = not baud and not (machine.reply_late_s and not clock.jumps)
        self.port: Plug | None = self._plug()
        self._boots_at: float | None = None
        self._heard_at = self._flushed_at = time.monotonic()
        self._wanted = True
        self._hung_up = False  # the running job's host has gone
        self.firmware.power_up(clock.now())
        self.firmware.take_output()

    def _plug(self) -> Plug:
        return Port(self._link) if self._tcp is None else TcpPort(self._tcp)

    # --- the physical world ------------------------------------------------------------------

    def act(self, verb: str) -> Answer:
        """Carry out one request of the control channel."""
        deeds = self._deeds()
        if verb not in deeds:
            raise ValueError(f"unknown request {verb!r}; known: {', '.join(deeds)}, fault")
        deeds[verb]()
        self._send(self.clock.now())
        return self._state()

    def _deeds(self) -> dict[str, Callable[[], None]]:
        return {
            "state": self.journal.flush,  # whoever asks also reads the records
            "clear-bed": self.journal.clear_bed,
            "unplug": self._unplug,
            "replug": self._replug,
            "reset": self._reset,
            "brownout": self._reset,
            "jam": self.firmware.jam,
            "press": self.firmware.press,
            **self.firmware.deeds(),
        }

    def _refuse_strangers(self, script: tuple[Fault, ...]) -> None:
        """A script may name only what can happen to this kind of machine."""
        known = {*self._deeds(), *LINES, *ACKS}
        for fault in script:
            if fault.what not in known:
                raise ConfigRefused(f"{fault.what} cannot happen to a {self.machine.kind}")

    def order(self, verb: str, more: Answer) -> Answer:
        """`{"do": "fault", "what": …, "at_line": …}`: one more entry of the fault script."""
        if verb != "fault":
            raise ValueError(f"{verb} takes nothing more; a fault is ordered with do = fault")
        try:
            fault = Fault.model_validate(more)
            self._refuse_strangers((fault,))
            self._troubles.add(fault)
        except ValidationError as error:
            raise ValueError(str(error)) from error
        return self._state()

    def _state(self) -> Answer:
        now_s = self.clock.now()
        return {
            "kind": self.machine.kind,
            "name": self.machine.name,
            "bed": self.journal.bed,
            "starts": self.journal.starts,
            "running": self.journal.running,
            "lines": self.journal.lines,
            "dry_s": self.journal.dry_s,
            "still": self.firmware.still,
            "connected": self.port is not None and self.port.open,
            "plugged": self.port is not None,
            "sim_s": round(now_s, 3),
            **self.firmware.state(now_s),
        }

    def _unplug(self) -> None:
        if self.port is not None:
            self.port.close()
            self.port = None
            self._cut()
            self._host_gone()

    def _replug(self) -> None:
        if self.port is None:
            self.port = self._plug()

    def _cut(self) -> None:
        self._incoming.clear()
        self._outgoing.clear()

    def _reset(self) -> None:
        now_s = self.clock.now()
        self.firmware.power_off(now_s)
        self._incoming.clear()
        self._end_job("reset")
        self._boots_at = time.monotonic() + self._boot_wall_s()

    def _boot_wall_s(self) -> float:
        speed = 0.0 if self.clock.jumps else self.clock.wall_s_until(self.clock.now() + 1.0)
        return max(BOOT_MIN_S, self.machine.boot_s * speed)

    # --- bad luck ------------------------------------------------------------------------------

    def _job(self, now_s: float) -> tuple[int, float | None]:
        """Lines and simulated seconds of the running job."""
        journal = self.journal
        return (journal.lines, now_s - journal.started_s) if journal.running else (0, None)

    def _strike(self, now_s: float, *, line: bool) -> None:
        lines, job_s = self._job(now_s)
        for verb in list(self._troubles.deeds(lines, job_s, line=line)):
            try:
                self.act(verb)
            except ValueError as error:
                sys.stderr.write(f"hardware_sim: {verb}: {error}\n")

    # --- the host ----------------------------------------------------------------------------

    def _host_came(self) -> None:
        self._cut()
        if self.machine.reset_on_open:
            self._reset()

    def _host_gone(self) -> None:
        """What lies in the board's buffers is still carried out: the job ends after that."""
        self._cut()
        self._hung_up = self.machine.reset_on_open and self.journal.running

    def _note_hangup(self) -> None:
        if self._hung_up and not self.firmware.moving and not self.firmware.blocked:
            self._end_job("hangup")

    def _end_job(self, how: How) -> None:
        self.journal.end("hangup" if self._hung_up else how, self.clock.now())
        self._hung_up = False

    def _hear(self, port: Plug) -> None:
        data = port.read()
        if not data:
            return
        self._heard_at = time.monotonic()
        now_s = self.clock.now()
        for late_s, piece in self._troubles.received(data, self._job(now_s)[0]):
            if self._direct and not late_s and not self._incoming.waiting:
                self._deliver(piece, now_s)
            else:
                self._incoming.put(piece, now_s, late_s)

    def _deliver(self, data: bytes, now_s: float) -> None:
        """Bytes arrive at the board, if it is awake; a script looks at every line."""
        if not self._troubles.any:
            if self._boots_at is None:
                self.firmware.receive(data, now_s)
            return
        for piece in data.splitlines(keepends=True):
            if self._boots_at is None:
                self.firmware.receive(piece, now_s)
            if piece.endswith(b"\n"):
                self._strike(now_s, line=True)

    def _send(self, now_s: float) -> None:
        said = self.firmware.take_output()
        if said:
            for late_s, piece in self._troubles.said(said, self._job(now_s)[0]):
                if self._direct and not late_s and not self._outgoing.waiting:
                    self._write(piece)
                else:
                    self._outgoing.put(piece, now_s, late_s)

    def _write(self, data: bytes) -> None:
        if self.port is not None:
            self.port.write(data)

    def _hand_over(self) -> None:
        """What the wire has carried by now reaches the host."""
        now_s = self.clock.now()
        while (due_s := self._outgoing.next_s()) is not None and due_s <= now_s:
            self._write(self._outgoing.take()[1])
        if self.port is not None and self.port.pending:
            self.port.write(b"")

    # --- time --------------------------------------------------------------------------------

    def _live(self) -> None:
        if self._boots_at is not None:
            if time.monotonic() < self._boots_at:
                return
            self._boots_at = None
            self.firmware.power_up(self.clock.now())
        now_s = self.clock.now()
        if self._troubles.any:
            self._strike(now_s, line=False)
        self._in_order(now_s)
        if self.clock.jumps:
            self._jump()

    def _in_order(self, now_s: float) -> None:
        """Bytes and the board's own moments, each at its time, up to now."""
        while (due_s := self._incoming.next_s()) is not None and due_s <= now_s:
            self._run_until(due_s)
            moment_s, data = self._incoming.take()
            self._deliver(data, moment_s)
            self._send(moment_s)
        self._run_until(now_s)

    def _run_until(self, until_s: float) -> None:
        last_s = -1.0
        for _ in range(MOMENTS_PER_TURN):
            wake_s = self.firmware.wake_s()
            if self._boots_at is not None or wake_s is None or not last_s < wake_s < until_s:
                break
            self.firmware.run(wake_s)
            self._send(wake_s)
            last_s = wake_s
        if self._boots_at is None:
            self.firmware.run(until_s)
            self._send(until_s)

    def _jump(self) -> None:
        for _ in range(JUMPS_PER_TURN):
            if not self.firmware.blocked or self.firmware.wants_person:
                break
            self._skip()
        lull = time.monotonic() - self._heard_at > LULL_S
        while lull and self.firmware.moving and not self.firmware.blocked:
            self.firmware.settle(self.clock.now())
            if not self._skip():
                break

    def _skip(self) -> bool:
        wake_s = self.firmware.wake_s()
        if wake_s is None:
            return False
        self.clock.jump_to(wake_s)
        self.firmware.run(max(wake_s, self.clock.now()))
        return True

    def _patience_s(self) -> float:
        if self._boots_at is not None:
            return max(0.0, self._boots_at - time.monotonic())
        wake_s = self.firmware.wake_s()
        if self.clock.jumps and wake_s is not None:
            if self.firmware.blocked and not self.firmware.wants_person:
                return 0.0
            if self.firmware.moving:
                return LULL_S
        moments = (wake_s, self._incoming.next_s(), self._outgoing.next_s())
        waits = [self.clock.wall_s_until(moment) for moment in moments if moment is not None]
        return max(min([0.2, *waits]), LEAST_WAIT_S)

    def _note_silence(self) -> None:
        if self.journal.running and self.firmware.still:
            self.journal.silent(time.monotonic() - self._heard_at, self.clock.now())

    # --- the loop ------------------------------------------------------------------------------

    def stop(self, _signum: int = 0, _frame: FrameType | None = None) -> None:
        """Leave the loop at its next turn."""
        self._wanted = False

    def live(self, control: Control | None) -> None:
        """Serve until `stop`."""
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        while self._wanted:
            self._turn(control)
        self._end_job("reset")
        if self.port is not None:
            self.port.close()
        if control is not None:
            control.close()

    def _turn(self, control: Control | None) -> None:
        port = self.port
        wanted = [] if port is None else port.filenos()
        if self._paced and self._incoming.waiting >= ADAPTER_BYTES:
            del wanted[1:]  # the adapter is full: the host's bytes stay with the host
        doors = [] if control is None else control.filenos()
        ready_list, _, _ = select.select(wanted + doors, [], [], self._patience_s())
        ready = set(ready_list)
        if port is not None and ready:
            self._listen(port, ready)
        self._live()
        self._send(self.clock.now())
        self._hand_over()
        self._note_hangup()
        self._note_silence()
        if not ready or time.monotonic() - self._flushed_at > FLUSH_S:
            self.journal.flush()
            self._flushed_at = time.monotonic()
        if control is not None:
            control.serve(ready & set(doors))

    def _listen(self, port: Plug, ready: set[int]) -> None:
        watch, *line = port.filenos()
        if line and line[0] in ready:
            self._hear(port)
        if watch in ready or (line and line[0] in ready and port.hung_up()):
            for edge in port.edges():
                if edge == "opened":
                    self._host_came()
                else:
                    self._hear(port)
                    self._host_gone()
