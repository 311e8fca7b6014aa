"""Promises one machine that lives behind a port until it is told to stop.
Never decides what firmware answers; it moves bytes, time, bad luck and the physical world.
"""

import random
import select
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Protocol

from hardware_sim.clock import Clock
from hardware_sim.config import Faults, Machine, MarlinMachine
from hardware_sim.control import Answer, Control
from hardware_sim.grbl import Grbl
from hardware_sim.marlin import Marlin
from hardware_sim.port import Port
from hardware_sim.records import Journal

BOOT_MIN_S = 0.1  # wall seconds: even a fast clock leaves the host time to set up its port
LULL_S = 0.02  # wall seconds of silence after which a jumping clock lets queued moves end
JUMPS_PER_TURN = 64


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


class Noise:
    """Alters received lines and swallows acknowledgements, seeded."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._chance = random.Random(faults.seed)  # noqa: S311 - bad luck, not secrets

    def received(self, data: bytes) -> bytes:
        """One random byte of about one line in `corrupt_every` becomes another."""
        every = self._faults.corrupt_every
        if not every:
            return data
        lines = data.splitlines(keepends=True)
        return b"".join(self._alter(x) if self._chance.random() * every < 1 else x for x in lines)

    def _alter(self, line: bytes) -> bytes:
        body = line.rstrip(b"\r\n")
        if not body:
            return line
        place = self._chance.randrange(len(body))
        other = self._chance.choice([c for c in range(32, 127) if c != body[place]])
        return body[:place] + bytes([other]) + line[place + 1 :]

    def said(self, data: bytes) -> bytes:
        """About one `ok` in `drop_ok_every` never arrives."""
        every = self._faults.drop_ok_every
        if not every or b"ok" not in data:
            return data
        lines = data.splitlines(keepends=True)
        return b"".join(
            x for x in lines if not (x.startswith(b"ok") and self._chance.random() * every < 1)
        )


class Workshop:
    """The loop around one machine."""

    def __init__(self, machine: Machine, clock: Clock, journal: Journal, link: Path | None) -> None:
        self.machine, self.clock, self.journal = machine, clock, journal
        self._link = link
        self.firmware = build(machine, journal)
        self._noise = Noise(machine.faults)
        self.port: Port | None = Port(link)
        self._boots_at: float | None = None
        self._heard_at = time.monotonic()
        self._wanted = True
        self.firmware.power_up(clock.now())
        self.firmware.take_output()

    # --- the physical world ------------------------------------------------------------------

    def act(self, verb: str) -> Answer:
        """Carry out one request of the control channel."""
        deeds = {
            "state": lambda: None,
            "clear-bed": self.journal.clear_bed,
            "unplug": self._unplug,
            "replug": self._replug,
            "reset": self._reset,
            "brownout": self._reset,
            "jam": self.firmware.jam,
            "press": self.firmware.press,
        }
        if verb not in deeds:
            raise ValueError(f"unknown request {verb!r}; known: {', '.join(deeds)}")
        deeds[verb]()
        self._send()
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
            self._host_gone()

    def _replug(self) -> None:
        if self.port is None:
            self.port = Port(self._link)

    def _reset(self) -> None:
        now_s = self.clock.now()
        self.firmware.power_off(now_s)
        self.journal.end("reset", now_s)
        self._boots_at = time.monotonic() + self._boot_wall_s()

    def _boot_wall_s(self) -> float:
        speed = 0.0 if self.clock.jumps else self.clock.wall_s_until(self.clock.now() + 1.0)
        return max(BOOT_MIN_S, self.machine.boot_s * speed)

    # --- the host ----------------------------------------------------------------------------

    def _host_came(self) -> None:
        if self.machine.reset_on_open:
            self._reset()

    def _host_gone(self) -> None:
        if self.machine.reset_on_open:
            self.journal.end("hangup", self.clock.now())

    def _hear(self, port: Port) -> None:
        data = port.read()
        if not data:
            return
        self._heard_at = time.monotonic()
        if self._boots_at is None:
            self.firmware.receive(self._noise.received(data), self.clock.now())

    def _send(self) -> None:
        said = self.firmware.take_output()
        if self.port is not None and (said or self.port.pending):
            self.port.write(self._noise.said(said))

    # --- time --------------------------------------------------------------------------------

    def _live(self) -> None:
        if self._boots_at is not None:
            if time.monotonic() < self._boots_at:
                return
            self._boots_at = None
            self.firmware.power_up(self.clock.now())
        self.firmware.run(self.clock.now())
        if self.clock.jumps:
            self._jump()

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
        wait_s = 0.2 if wake_s is None else min(0.2, self.clock.wall_s_until(wake_s))
        return max(wait_s, 0.0005)

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
        self.journal.end("reset", self.clock.now())
        if self.port is not None:
            self.port.close()
        if control is not None:
            control.close()

    def _turn(self, control: Control | None) -> None:
        port = self.port
        wanted = [] if port is None else port.filenos()
        doors = [] if control is None else control.filenos()
        ready_list, _, _ = select.select(wanted + doors, [], [], self._patience_s())
        ready = set(ready_list)
        if port is not None:
            self._listen(port, ready)
        self._live()
        self._send()
        self._note_silence()
        self.journal.flush()
        if control is not None:
            control.serve(ready & set(doors))

    def _listen(self, port: Port, ready: set[int]) -> None:
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
