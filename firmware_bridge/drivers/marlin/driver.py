"""A printer that speaks Marlin: met by its banner or its answer to M115, then told line by line.

It opens its port once and keeps it, and never reopens it during a job: opening resets boards.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from firmware_bridge import gcode, links
from firmware_bridge.driver import Condition, Program, Run, Status, Travel
from firmware_bridge.drivers.marlin import codec, quirks
from firmware_bridge.drivers.marlin.conversation import QUESTION, MarlinConversation
from firmware_bridge.drivers.marlin.parking import Park, Parking
from firmware_bridge.errors import LinkLost, NeedsPerson, ProtocolError, Refused
from firmware_bridge.streaming import Chat, SerialRun, Timeouts, read_program

_ASKS = 4
_QUIET_S = 0.15
_ANSWERS = (codec.Ok, codec.Killed, codec.Busy)
_STOPPED = "it was stopped and its board restarts; home it again when it is back"
_HALTED = (
    "it was stopped and stays halted until its board is reset: press its reset button, or switch"
    " it off and on; it is connected again by itself"
)


class MarlinDriver:
    no_switches = False

    def __init__(
        self,
        link: str,
        baud: int,
        timeouts: Timeouts,
        *,
        park_mm: tuple[float, float] | None = None,
    ) -> None:
        self._park = None if park_mm is None else Park(*park_mm)
        self._where, self._baud, self._timeouts = link, baud, timeouts
        self._link: links.Link | None = None
        self._chat: Chat[codec.Reply] | None = None
        self._run: SerialRun | None = None
        self._status = Status(Condition.OFFLINE)
        self._firmware = ""
        self._can: dict[str, bool] = {}
        self._asks_card = self._tells_heat = True
        self._stranger = False  # it did not restart when we came: what it does is not known yet
        self._found = ""
        self._homed_at = -quirks.HOMED_S  # when it last moved under us since it was homed
        self._counts = True
        self._modes_left = False  # by a job or a person's move since it started
        self._halted = self._set_up_stopped = False

    # ------------------------------------------------------------------ the seam

    def connect(self) -> Status:
        if self._link is not None:
            return self.status()
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
            return self._look(self._chat)
        except ProtocolError as error:
            return Status(Condition.FAULT, str(error), firmware=self._firmware)
        except LinkLost as error:
            self.close()
            self._status = Status(Condition.OFFLINE, str(error), firmware=self._firmware)
            return self._status

    def start(self, program: Program) -> Run:
        link = self._ready()
        data = read_program(program)
        for line, command in self._commands(data):
            if len(command) > quirks.COMMAND_MAX_BYTES:
                raise Refused(
                    f"line {line} is longer than the {quirks.COMMAND_MAX_BYTES} it can read"
                )
            if quirks.UNREADABLE.search(command):
                raise Refused(f"line {line} has a character that machines do not read")
            if quirks.HOST_ONLY.match(command):
                raise Refused(
                    f"line {line}: {command.decode()!r} belongs to the host, not to a file"
                )
        self._set_first_modes()
        parking = None if self._park is None else Parking(self._park)
        rows = gcode.commands(data)
        talk = MarlinConversation(
            rows, program.lines, self._timeouts, parking, tells_heat=self._tells_heat
        )
        self._found, self._homed_at = "", -quirks.HOMED_S
        self._run = SerialRun(link, talk, program.remote_name)
        self._modes_left = True
        return self._run

    def recover(self, handle: str) -> Run | None:
        """A killed serial job cannot go on: its lines lived in the process that died."""
        del handle

    def halt(self) -> None:
        """Kill at once: bare, and numbered so that a machine in mid-line also takes it.

        A board without EMERGENCY_PARSER reads M112 only when it is its turn, after a heating wait
        perhaps; so its reset line is pulled as well.
        """
        if self._link is None:
            raise LinkLost(f"{self._where} is not open")
        self._homed_at, self._halted = -quirks.HOMED_S, True
        self._link.write(quirks.KILL)
        time.sleep(quirks.DRAIN_S)  # it may have ended a line whose refusal empties the buffer
        self._link.write(quirks.KILL + codec.numbered(quirks.FIRST_NUMBER - 1, b"M112"))
        if not self._can.get("EMERGENCY_PARSER"):
            self._link.pulse()

    # ------------------------------------------------------------------ for set-up

    def home(self) -> Status:
        """All axes to their switches; it moves: only when a person said so."""
        chat = self._free()
        self._homed_at, self._set_up_stopped = -quirks.HOMED_S, False
        self._told(chat, b"G28\n", self._timeouts.homing_s)
        self._keeps_its_place()
        return self._place(chat)

    def jog(self, by_mm: tuple[float, float, float], travel: Travel) -> Status:
        """One relative G1, waited for with M400; Marlin forgets its place when motors rest."""
        chat = self._free()
        if time.monotonic() - self._homed_at > quirks.HOMED_S:
            raise Refused("it may not know its place any more: home it first")
        at = self._place(chat).position_mm
        if at is None:
            raise Refused("it does not say where it is")
        travel.refuse(tuple(map(sum, zip(at[:3], by_mm, strict=True))))
        self._modes_left = True
        self._set_up_stopped = False
        for command in quirks.jog(by_mm, travel.feed_mm_min):
            self._told(chat, command, self._timeouts.homing_s)
        self._keeps_its_place()
        return self._place(chat)

    def stop_jog(self) -> None:
        """At once where the board reads M410 out of turn; else its board is reset, by reopening."""
        if self._run is not None and not self._run.over:
            raise Refused("a program runs: stop that")
        self._set_up_stopped, self._homed_at = True, -quirks.HOMED_S
        if self._chat is not None and not self._can.get("EMERGENCY_PARSER"):
            self.halt()
            self._chat.give_up(_STOPPED)
        elif self._link is not None:
            self._link.write(b"M410\n")

    def _set_first_modes(self) -> None:
        """A job begins as on a board that has just started, whatever was left behind."""
        if self._modes_left and self._chat is not None:
            for command in quirks.FIRST_MODES:
                self._told(self._chat, command, self._timeouts.answer_s)

    def _keeps_its_place(self) -> None:
        if not self._set_up_stopped:
            self._homed_at = time.monotonic()

    def _free(self) -> Chat[codec.Reply]:
        self._ready()
        assert self._chat is not None
        return self._chat

    def _told(self, chat: Chat[codec.Reply], command: bytes, seconds: float) -> list[codec.Reply]:
        """Say it and wait until it is done, however often the board says that it is busy."""
        heard = chat.ask(command, seconds, codec.Ok, codec.Killed, codec.Fault)
        if not isinstance(heard[-1], codec.Ok):
            if self._halted:
                raise LinkLost(_STOPPED)
            raise NeedsPerson(f"the printer stopped: {self._judge(heard[-1:]).detail}")
        return heard

    def _place(self, chat: Chat[codec.Reply]) -> Status:
        told = self._told(chat, b"M114\n", self._timeouts.answer_s)
        place = next((reply.xyz_mm for reply in told if isinstance(reply, codec.Position)), None)
        return replace(self.status(), position_mm=place)

    # ------------------------------------------------------------------ behind it

    def _greet(self, chat: Chat[codec.Reply], *, resets: bool) -> None:
        """Wait for a board that restarts on opening, then ask who it is."""
        self._found, self._can, self._asks_card = "", {}, True
        self._homed_at = -quirks.HOMED_S
        self._stranger = self._tells_heat = True
        wait_s = self._timeouts.banner_s if resets else _QUIET_S
        self._restarted(chat, chat.listen(wait_s, codec.Banner))
        for _ in range(_ASKS):
            try:
                told = self._ask_name(chat)
            except ProtocolError:
                continue
            if told is not None:
                self._meet(chat, told)
                self._counts = self._counts_lines(chat)
                self._halted = False
                return
        if self._halted:
            raise NeedsPerson(_HALTED)
        raise NeedsPerson(
            f"no Marlin answers on {self._where} at {self._baud} baud: is it the right port and "
            "speed, is the printer switched on?"
        )

    def _ask_name(self, chat: Chat[codec.Reply]) -> list[codec.Reply] | None:
        """Its answer to M115, or, from a board that has no name, its heat; None from a stranger."""
        until = (codec.Firmware, codec.Ok)
        told = chat.ask(b"\nM115\n", self._timeouts.answer_s, *until, codec.Banner)
        if self._restarted(chat, told):
            told = chat.ask(b"\nM115\n", self._timeouts.answer_s, *until)
        told += chat.listen(_QUIET_S)
        if any(isinstance(reply, codec.Firmware) for reply in told):
            return told
        warm = self._ask_heat(chat)
        takes_all = any(isinstance(reply, codec.Ok) for reply in told)
        known = takes_all and isinstance(warm[-1], codec.Ok)
        return [codec.Firmware("without a name"), *told] if known else None

    def _restarted(self, chat: Chat[codec.Reply], heard: Iterable[codec.Reply]) -> bool:
        """Whether its banner is among them; more words follow it, and it was deaf before."""
        replies = list(heard)
        if any(isinstance(row, codec.Note) and row.text.startswith("Grbl ") for row in replies):
            raise NeedsPerson(f"{self._where} is a GRBL controller, not a printer with Marlin")
        if not any(isinstance(reply, codec.Banner) for reply in replies):
            return False
        self._stranger = self._modes_left = False
        list(chat.listen(_QUIET_S))
        return True

    def _meet(self, chat: Chat[codec.Reply], replies: list[codec.Reply]) -> None:
        for reply in replies:
            match reply:
                case codec.Firmware(name):
                    self._firmware = name
                case codec.Capability(name, on):
                    self._can[name] = on
                case _:
                    pass
        if self._can.get("AUTOREPORT_TEMP"):
            chat.ask(b"M155 S2\n", self._timeouts.answer_s, *_ANSWERS)

    def _counts_lines(self, chat: Chat[codec.Reply]) -> bool:
        """False only for a firmware that carries out a line whose number cannot be the next one."""
        try:
            told = chat.ask(QUESTION, self._timeouts.answer_s, codec.Resend, codec.Ok)
        except ProtocolError:
            return True  # lost on its way, perhaps; a job that gets no answer ends by itself
        told += chat.listen(_QUIET_S)
        refused = any(isinstance(reply, codec.Resend | codec.LineRefused) for reply in told)
        done = any(isinstance(reply, codec.Ok) and reply.temperatures_c for reply in told)
        return refused or not done

    def _look(self, chat: Chat[codec.Reply]) -> Status:
        """How warm it is, whether it prints from its card; heat that nobody owns is ended."""
        status = self._judge([*self._ask_heat(chat), *self._ask_card(chat)])
        if status.condition is not Condition.IDLE or not self._stranger:
            return status
        self._stranger = False
        if all(not target for _, target in status.temperatures_c.values()):
            return status
        for command in quirks.COOL:
            chat.ask(command, self._timeouts.answer_s, *_ANSWERS)
        self._found = "its heaters were on when we came and are switched off now"
        return self._judge(self._ask_heat(chat))

    def _ask_heat(self, chat: Chat[codec.Reply]) -> list[codec.Reply]:
        replies = chat.ask(b"M105\n", self._timeouts.answer_s, *_ANSWERS)
        if isinstance(last := replies[-1], codec.Ok):
            self._tells_heat = bool(last.temperatures_c)
        return replies

    def _ask_card(self, chat: Chat[codec.Reply]) -> list[codec.Reply]:
        if not self._asks_card or self._can.get("SDCARD") is False:
            return []
        replies = chat.ask(b"M27\n", self._timeouts.answer_s, *_ANSWERS)
        self._asks_card = not any(isinstance(reply, codec.UnknownCommand) for reply in replies)
        return replies

    def _ready(self) -> links.Link:
        if self._run is not None and not self._run.over:
            raise Refused("this machine is already running a program")
        status = self.status()
        if self._link is None:
            raise LinkLost(status.detail or f"{self._where} is not connected")
        if status.condition is not Condition.IDLE:
            raise NeedsPerson(f"the printer is not ready: {status.detail}")
        if not self._counts:
            raise Refused(
                f"{self._firmware or 'its firmware'} does not check line numbers: a line lost on"
                " the wire would be missing without a word; drive it through its own print server"
            )
        return self._link

    def _commands(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        try:
            yield from gcode.commands(data)
        except ValueError as error:
            raise Refused(str(error)) from error

    def _judge(self, replies: list[codec.Reply]) -> Status:
        heat: dict[str, tuple[float, float]] = {}
        for reply in replies:
            match reply:
                case codec.Killed(text) | codec.Fault(text):
                    return Status(Condition.FAULT, text, firmware=self._firmware)
                case codec.CardPrint(on=True):
                    what = "it prints a file of its own card"
                    return Status(Condition.ATTENTION, what, firmware=self._firmware)
                case codec.Busy(why):
                    return Status(Condition.ATTENTION, f"busy: {why}", firmware=self._firmware)
                case codec.Ok(temperatures_c=temperatures):
                    heat.update(temperatures or {})
                case codec.Heat(temperatures_c=temperatures):
                    heat.update(temperatures)
                case _:
                    pass
        return Status(Condition.IDLE, self._found, heat, firmware=self._firmware)
