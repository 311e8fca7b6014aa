"""Boards as strangers write them: small, each odd in one way, behind a pseudo-terminal."""

import os
import select
import threading
import time
import tty
from dataclasses import dataclass, field
from functools import reduce
from operator import xor

GREETINGS = {"marlin": b"start\n", "grbl": b"\r\nGrbl 1.1h ['$' for help]\r\n"}


@dataclass
class Board:
    """`boot_s`: deaf for so long after it was opened, then its greeting. `name`: told for M115.

    `heat`: M105 is answered with temperatures. `late_s`, `line_s`, `m400_s`: seconds that an
    answer, a move and M400 take. `unplugged_after`: the port is gone after so many
    lines. `knows_all`: says ok to anything, as no real board does.
    """

    language: str = "marlin"
    greets: bool = True
    boot_s: float = 0.0
    name: bytes = b"FIRMWARE_NAME:Marlin 2.1\n"
    heat: bool = True
    advanced: bool = False
    late_s: float = 0.0
    line_s: float = 0.0
    m400_s: float = 0.0
    busy: bool = False
    babbles: bool = False
    knows_all: bool = True
    unplugged_after: int = 0
    got: list[str] = field(default_factory=list[str])
    last: int = 0

    def __post_init__(self) -> None:
        self._board, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        os.close(slave)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        opened = select.poll()
        opened.register(self._board, select.POLLHUP)
        while opened.poll(0):
            time.sleep(0.005)
        try:
            self._session()
        except OSError:
            return

    def _session(self) -> None:
        if self.boot_s:
            time.sleep(self.boot_s)
            if select.select([self._board], [], [], 0)[0]:
                os.read(self._board, 65536)
        if self.greets:
            self._say(GREETINGS[self.language])
        rest = b""
        while not self.unplugged_after or len(self.got) < self.unplugged_after:
            *lines, rest = (rest + os.read(self._board, 65536)).split(b"\n")
            for line in filter(None, map(bytes.strip, lines)):
                self._take(line)
        os.close(self._board)

    def _say(self, words: bytes) -> None:
        time.sleep(self.late_s)
        os.write(self._board, words)

    def _take(self, line: bytes) -> None:
        if self.babbles:
            self._say(bytes((byte * 7 + 3) % 256 for byte in line))
        elif line[:1] == b"N":
            self._numbered(line)
        else:
            self._do(line, b"ok\n")

    def _numbered(self, line: bytes) -> None:
        body, _, told = line.rpartition(b"*")
        digits, _, command = body[1:].partition(b" ")
        number = int(digits)
        if command.startswith(b"M110"):
            self.last = int(command.rpartition(b"N")[2]) if b"N" in command else number
            self._say(b"ok\n")
        elif number != self.last + 1 or reduce(xor, body) != int(told):
            said = b"Error:Line Number is not Last Line Number+1, Last Line: %d\nResend: %d\nok\n"
            self._say(said % (self.last, self.last + 1))
        else:
            self.last = number
            self.got.append(command.decode())
            self._do(command, b"ok N%d P15 B3\n" % number if self.advanced else b"ok\n")

    def _do(self, command: bytes, ok: bytes) -> None:
        word = command.split(b" ")[0]
        if not self.knows_all and word[:1] not in b"GM":
            self._say(b'echo:Unknown command: "' + command + b'"\n')
        time.sleep(self.m400_s if word == b"M400" else self.line_s if word == b"G1" else 0)
        if word == b"M115":
            self._say(self.name)
        if word == b"G28" and self.busy:
            self._say(b"echo:busy: processing\n")
        heat = word == b"M105" and self.heat
        self._say(b"ok T:20.0 /0.0 B:20.0 /0.0 @:0 B@:0\n" if heat else ok)
