"""A mill or laser that speaks GRBL 1.1: met by its banner or its status, then told line by line.

It opens its port once and keeps it; it homes only where the shop's entry says so, and never unlocks
an alarm: that is a person's word.
"""

import contextlib
import time
from collections.abc import Iterator

from firmware_bridge import gcode, links
from firmware_bridge.driver import Condition, Program, Run, Status, Travel
from firmware_bridge.drivers.grbl import codec, quirks
from firmware_bridge.drivers.grbl.conversation import GrblConversation, Job
from firmware_bridge.drivers.grbl.ending import modes_after
from firmware_bridge.errors import LinkLost, NeedsPerson, ProtocolError, Refused
from firmware_bridge.streaming import Chat, SerialRun, Timeouts, read_program

_ASKS = 4
_QUIET_S = 0.15
_STUCK = "it is locked by an alarm and cannot home: look at it, then unlock it ($X) by hand"
_LOCKED = "it is locked and does not know where it is: home it"
_NO_SWITCHES = (
    "it has no homing switches ($22=0), so it cannot be moved from here: set it up by its own panel"
)
_CONDITIONS = {
    "Idle": (Condition.IDLE, ""),
    "Run": (Condition.ATTENTION, "it moves, but not for us"),
    "Jog": (Condition.ATTENTION, "somebody jogs it"),
    "Home": (Condition.ATTENTION, "it is homing"),
    "Hold": (Condition.ATTENTION, "it is held"),
    "Door": (Condition.ATTENTION, "its door is open"),
    "Check": (Condition.ATTENTION, "it is in check mode"),
    "Alarm": (Condition.ATTENTION, _LOCKED),
    "Sleep": (Condition.FAULT, "it sleeps: reset it"),
}


class GrblDriver:
    def __init__(
        self, link: str, baud: int, timeouts: Timeouts, *, homing: bool = False, check: bool = False
    ) -> None:
        self._where, self._baud, self._timeouts = link, baud, timeouts
        self._homing, self._check = homing, check
        self._homed = self._can_home = False
        self._link: links.Link | None = None
        self._chat: Chat[codec.Reply] | None = None
        self._run: SerialRun | None = None
        self._status = Status(Condition.OFFLINE)
        self._firmware = ""
        self._rx_bytes = quirks.RX_BYTES

    # ------------------------------------------------------------------ the seam

    def connect(self) -> Status:
        if self._link is not None:
            return self.status()
        self._homed = False
        self._link = links.open_link(self._where, self._baud)
        self._chat = Chat(self._link, codec.Codec().feed)
        try:
            self._greet(self._chat, resets=self._link.resets)
        except Exception:
            self.close()
            raise
        return self.status()

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = self._chat = None
        self._status = Status(Condition.OFFLINE, "closed", firmware=self._firmware)

    def status(self) -> Status:
        if self._chat is None:
            return self._status
        if self._run is not None and not self._run.over:
            return self._run.status()
        try:
            report = self._asked(self._chat)
        except ProtocolError as error:
            return Status(Condition.FAULT, str(error), firmware=self._firmware)
        except LinkLost as error:
            self.close()
            self._status = Status(Condition.OFFLINE, str(error), firmware=self._firmware)
            return self._status
        return self._judge(report[-1])

    def _asked(self, chat: Chat[codec.Reply]) -> list[codec.Reply]:
        """Twice within the patience: a question in the half second after an alarm is lost."""
        half_s = self._timeouts.answer_s / 2
        with contextlib.suppress(ProtocolError):
            return chat.ask(quirks.STATUS, half_s, codec.Report)
        return chat.ask(quirks.STATUS, half_s, codec.Report)

    def start(self, program: Program) -> Run:
        link = self._ready()
        data = read_program(program)
        job = Job(
            rows=lambda: gcode.commands(data),
            lines=program.lines,
            end=gcode.end_position(self._allowed(data)),
            modes=modes_after(gcode.commands(data)),
            home=self._homing and not self._homed,
            check=self._check,
            rx_bytes=self._rx_bytes,
        )
        self._homed = self._homing
        self._run = SerialRun(link, GrblConversation(job, self._timeouts), program.remote_name)
        return self._run

    def recover(self, handle: str) -> Run | None:
        """A killed serial job cannot go on: its lines lived in the process that died."""
        del handle

    def halt(self) -> None:
        """Reset at once: everything off; a machine that moved has lost its position."""
        if self._link is None:
            raise LinkLost(f"{self._where} is not open")
        self._homed = False
        self._link.write(quirks.RESET)

    # ------------------------------------------------------------------ behind it

    def _greet(self, chat: Chat[codec.Reply], *, resets: bool) -> None:
        """Wait for a board that restarts on opening, then ask who it is."""
        wait_s = self._timeouts.banner_s if resets else _QUIET_S
        heard = list(chat.listen(wait_s, codec.Banner))
        self._refuse_marlin(" ".join(row.text for row in heard if isinstance(row, codec.Note)))
        for _ in range(_ASKS):
            try:
                if not any(isinstance(reply, codec.Banner) for reply in heard):
                    until = (codec.Report, codec.Banner)
                    heard += chat.ask(b"\n" + quirks.STATUS, self._timeouts.answer_s, *until)
                told = chat.ask(b"$I\n", self._timeouts.answer_s, codec.Ok, codec.Error)
                self._meet([*heard, *told])
                self._read_settings(chat)
            except ProtocolError as error:
                self._refuse_marlin(error.transcript)
                continue
            return
        raise NeedsPerson(
            f"no GRBL answers on {self._where} at {self._baud} baud: is it the right port and "
            "speed, is the machine switched on?"
        )

    def _refuse_marlin(self, said: str) -> None:
        if quirks.MARLIN.search(said):
            raise NeedsPerson(f"{self._where} is a printer with Marlin, not a GRBL controller")

    def _meet(self, replies: list[codec.Reply]) -> None:
        told = {reply.key: reply.value for reply in replies if isinstance(reply, codec.Build)}
        greeted = [reply.version for reply in replies if isinstance(reply, codec.Banner)]
        version = told.get("VER", *greeted[-1:] or [""]).rstrip(":")
        if not version.startswith("1.1"):
            family = "FluidNC" if "FluidNC" in version else "GRBL"
            raise NeedsPerson(
                f"{self._where} says it is {family} {version or 'of no version'}; this driver is "
                "proven with GRBL 1.1 and what speaks exactly like it (grblHAL), not with that"
            )
        self._firmware = f"{told.get('FIRMWARE', 'Grbl')} {version}"
        sizes = told.get("OPT", "").split(",")
        if len(sizes) >= 3 and sizes[2].isdigit():
            self._rx_bytes = min(max(int(sizes[2]) - 1, 64), 1023)

    def _read_settings(self, chat: Chat[codec.Reply]) -> None:
        """Whether it can home ($22), and that its positions are millimetres ($13)."""
        replies = chat.ask(b"$$\n", self._timeouts.answer_s, codec.Ok, codec.Error)
        told = {reply.number: reply.value for reply in replies if isinstance(reply, codec.Setting)}
        self._can_home = told.get(22, "0") != "0"
        if told.get(13, "0") != "0":
            raise NeedsPerson(f"{self._where} reports inches: set $13=0, then connect again")

    def _ready(self) -> links.Link:
        if self._run is not None and not self._run.over:
            raise Refused("this machine is already running a program")
        status = self.status()
        if self._link is None:
            raise LinkLost(status.detail or f"{self._where} is not connected")
        locked = status.detail == _LOCKED and self._homing and not self._homed
        if status.condition is not Condition.IDLE and not locked:
            raise NeedsPerson(f"the machine is not ready: {status.detail}")
        return self._link

    def _allowed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        try:
            for line, command in gcode.commands(data):
                if quirks.NEVER.search(command):
                    raise Refused(
                        f"line {line} holds a character that is not for a program on GRBL"
                    )
                if len(command) > quirks.LINE_MAX_BYTES:
                    raise Refused(
                        f"line {line} is longer than the {quirks.LINE_MAX_BYTES} it reads"
                    )
                yield line, command
        except ValueError as error:
            raise Refused(str(error)) from error

    @property
    def no_switches(self) -> bool:
        return self._chat is not None and not self._can_home

    def home(self) -> Status:
        """Home it now, and unlock it by that; it moves: only when a person said so."""
        status = self.status()
        if self.no_switches:
            raise Refused(_NO_SWITCHES)
        if self._chat is None or (self._run is not None and not self._run.over):
            raise Refused("it cannot home now: " + (status.detail or "it is not connected"))
        ends = (codec.Ok, codec.Error, codec.Alarm)
        answer = self._chat.ask(b"$H\n", self._timeouts.homing_s, *ends)[-1]
        if not isinstance(answer, codec.Ok):
            raise NeedsPerson(f"{self._where} did not home: {_words(answer)}")
        self._homed = True
        return self.status()

    def jog(self, by_mm: tuple[float, float, float], travel: Travel) -> Status:
        """One `$J=` move, relative, in machine coordinates judged; waited for until it stands."""
        status = self.status()
        if self._chat is None or status.condition is not Condition.IDLE:
            raise Refused("it cannot be moved now: " + (status.detail or status.condition.value))
        report = self._chat.ask(quirks.STATUS, self._timeouts.answer_s, codec.Report)[-1]
        at = report.machine_mm if isinstance(report, codec.Report) else None
        if self.no_switches:
            raise Refused(_NO_SWITCHES)
        if at is None or not self._homed:
            raise Refused("it does not know its place: home it first")
        travel.refuse(tuple(map(sum, zip(at[:3], by_mm, strict=True))))
        answer = self._chat.ask(
            quirks.jog(by_mm, travel.feed_mm_min), self._timeouts.answer_s, codec.Ok, codec.Error
        )[-1]
        if not isinstance(answer, codec.Ok):
            raise Refused(f"it did not move: {_words(answer)}")
        return self._stands(time.monotonic() + quirks.jog_s(by_mm, travel.feed_mm_min))

    def _stands(self, ends: float) -> Status:
        """When the jog is over; one that does not end is cancelled."""
        while (status := self.status()).detail == _CONDITIONS["Jog"][1]:
            if time.monotonic() > ends:
                self.stop_jog()
                raise NeedsPerson("it did not come to its place in time; its jog was cancelled")
            time.sleep(quirks.POLL_S)
        return status

    def stop_jog(self) -> None:
        """It brakes, and knows its place."""
        if self._link is None:
            raise LinkLost(f"{self._where} is not open")
        self._link.write(quirks.JOG_CANCEL)

    def _judge(self, report: codec.Reply) -> Status:
        assert isinstance(report, codec.Report)
        unknown = (Condition.ATTENTION, f"it is in the state {report.state}")
        condition, detail = _CONDITIONS.get(report.state, unknown)
        if report.state == "Alarm":
            self._homed = False
            if not (self._can_home or self._homing):
                condition, detail = Condition.FAULT, _STUCK
        place = report.machine_mm or report.work_mm
        return Status(condition, detail, {}, place, self._firmware, detail == _LOCKED)


def _words(answer: codec.Reply) -> str:
    match answer:
        case codec.Alarm(number):
            return f"alarm {number}, {quirks.ALARMS.get(number, 'see its manual')}"
        case codec.Error(number):
            return f"error {number}, {quirks.ERRORS.get(number, 'see its manual')}"
        case _:
            return str(answer)
