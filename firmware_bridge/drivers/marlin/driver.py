"""A printer that speaks Marlin: met by its banner or its answer to M115, then told line by line.

It opens its port once and keeps it, and never reopens it during a job: opening resets boards.
"""

from collections.abc import Iterator

from firmware_bridge import gcode, links
from firmware_bridge.driver import Condition, Program, Run, Status
from firmware_bridge.drivers.marlin import codec, quirks
from firmware_bridge.drivers.marlin.conversation import MarlinConversation
from firmware_bridge.errors import LinkLost, NeedsPerson, ProtocolError, Refused
from firmware_bridge.streaming import Chat, SerialRun, Timeouts, read_program

_ASKS = 3
_QUIET_S = 0.15
_ANSWERS = (codec.Ok, codec.Killed, codec.Busy)


class MarlinDriver:
    def __init__(self, link: str, baud: int, timeouts: Timeouts) -> None:
        self._where, self._baud, self._timeouts = link, baud, timeouts
        self._link: links.Link | None = None
        self._chat: Chat[codec.Reply] | None = None
        self._run: SerialRun | None = None
        self._status = Status(Condition.OFFLINE)
        self._firmware = ""
        self._reports_heat = False

    # ------------------------------------------------------------------ the seam

    def connect(self) -> Status:
        if self._link is not None:
            return self.status()
        self._link = links.open_link(self._where, self._baud)
        self._chat = Chat(self._link, codec.Codec().feed)
        try:
            self._greet(self._chat)
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
            replies = self._chat.ask(b"M105\n", self._timeouts.answer_s, *_ANSWERS)
        except ProtocolError as error:
            return Status(Condition.FAULT, str(error), firmware=self._firmware)
        except LinkLost as error:
            self.close()
            self._status = Status(Condition.OFFLINE, str(error), firmware=self._firmware)
            return self._status
        return self._judge(replies)

    def start(self, program: Program) -> Run:
        link = self._ready()
        data = read_program(program)
        for line, command in self._commands(data):
            if len(command) > quirks.COMMAND_MAX_BYTES:
                raise Refused(
                    f"line {line} is longer than the {quirks.COMMAND_MAX_BYTES} it can read"
                )
            if quirks.HOST_ONLY.match(command):
                raise Refused(
                    f"line {line}: {command.decode()!r} belongs to the host, not to a file"
                )
        talk = MarlinConversation(gcode.commands(data), program.lines, self._timeouts)
        self._run = SerialRun(link, talk, program.remote_name)
        return self._run

    def recover(self, handle: str) -> Run | None:
        """A killed serial job cannot go on: its lines lived in the process that died."""
        del handle

    def halt(self) -> None:
        """Kill at once: bare, and numbered so that a machine in mid-line also takes it."""
        if self._link is None:
            raise LinkLost(f"{self._where} is not open")
        self._link.write(quirks.KILL + codec.numbered(quirks.FIRST_NUMBER - 1, b"M112"))

    # ------------------------------------------------------------------ behind it

    def _greet(self, chat: Chat[codec.Reply]) -> None:
        """Wait for a board that restarts on opening, then ask who it is."""
        list(chat.listen(self._timeouts.banner_s, codec.Banner))
        list(chat.listen(_QUIET_S))
        for _ in range(_ASKS):
            try:
                replies = chat.ask(b"\nM115\n", self._timeouts.answer_s, codec.Firmware)
            except ProtocolError:
                continue
            self._meet(chat, replies)
            return
        raise NeedsPerson(
            f"no Marlin answers on {self._where} at {self._baud} baud: is it the right port and "
            "speed, is the printer switched on?"
        )

    def _meet(self, chat: Chat[codec.Reply], replies: list[codec.Reply]) -> None:
        for reply in (*replies, *chat.listen(_QUIET_S)):
            match reply:
                case codec.Firmware(name):
                    self._firmware = name
                case codec.Capability("AUTOREPORT_TEMP", on):
                    self._reports_heat = on
                case _:
                    pass
        if self._reports_heat:
            chat.ask(b"M155 S2\n", self._timeouts.answer_s, *_ANSWERS)

    def _ready(self) -> links.Link:
        if self._run is not None and not self._run.over:
            raise Refused("this machine is already running a program")
        status = self.status()
        if self._link is None:
            raise LinkLost(status.detail or f"{self._where} is not connected")
        if status.condition is not Condition.IDLE:
            raise NeedsPerson(f"the printer is not ready: {status.detail}")
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
                case codec.Busy(why):
                    return Status(Condition.ATTENTION, f"busy: {why}", firmware=self._firmware)
                case codec.Ok(temperatures, _):
                    heat.update(temperatures or {})
                case codec.Heat(temperatures):
                    heat.update(temperatures)
                case _:
                    pass
        return Status(Condition.IDLE, "", heat, firmware=self._firmware)
