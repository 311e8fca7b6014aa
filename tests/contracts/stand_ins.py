"""A stand-in for the machine behind each driver, so that one suite can be held against them all.

Serial boards and print servers are simulated machines in processes of their own; OctoPrint is the
real one, before a simulated printer; the machine that only people reach has a scripted person.
"""

import contextlib
import functools
import hashlib
import os
import pty
import shutil
import signal
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from demo import octoprint
from demo.environment import CannotInstallError
from firmware_bridge.driver import (
    ByPerson,
    Driver,
    Ended,
    Event,
    Program,
    Progress,
    Run,
    Started,
    Waiting,
)
from firmware_bridge.errors import BridgeError, LinkLost
from firmware_bridge.registry import open_driver
from tests.runs import Act, follow
from tests.simulated import MACHINES, Simulated

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"banner_s": 1.5, "answer_s": 2.0, "probe_s": 0.3, "silence_s": 1.5, "stop_s": 4.0}
KEY = "a-key-nobody-may-see"


class StandIn:
    """What the suite asks of every stand-in; what one cannot play is exempt in quality.toml."""

    name = ""
    survives_unplugging = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drivers: list[Driver] = []
        self.closing: list[Callable[[], object]] = []

    # what there is to talk to
    def entry(self) -> dict[str, object]:
        raise NotImplementedError

    def wrong(self) -> dict[str, object]:
        """The entry of this driver with another kind of machine at its link."""
        raise NotImplementedError

    def driver(self, entry: Mapping[str, object] | None = None) -> Driver:
        self.drivers.append(open_driver({"timeouts": QUICK, **(entry or self.entry())}))
        return self.drivers[-1]

    # what is made
    def rows(self, length: int) -> list[str]:
        raise NotImplementedError

    def program(self, length: int = 200, attempt: str = "attempt-1") -> Program:
        data = ("\n".join(self.rows(length)) + "\n").encode()
        path = self.folder / f"{attempt}.gcode"
        path.write_bytes(data)
        return Program(path, hashlib.sha256(data).hexdigest(), attempt, data.count(b"\n"))

    def follow(self, run: Run, act: Act = lambda _: None) -> list[Event]:
        rescue = threading.Timer(40, run.stop, ["the test lost patience"])
        rescue.start()
        try:
            return follow(run, act)
        finally:
            rescue.cancel()

    def amid(self, event: Event) -> bool:
        """The job is well under way."""
        raise NotImplementedError

    def starts(self) -> int:
        raise NotImplementedError

    def exact(self, program: Program) -> bool:
        """The machine carried out the program, all of it and nothing else."""
        raise NotImplementedError

    # what may happen to it
    def unplug(self) -> None:
        raise NotImplementedError

    def replug(self) -> None:
        raise NotImplementedError

    def foreign(self) -> None:
        raise NotImplementedError

    def lies(self) -> Iterator[tuple[str, Callable[[], Ended | None]]]:
        """Each kind of hostile answer, as a deed: how a job ended under it, or None when the
        machine was not even met.
        """
        raise NotImplementedError

    def close(self) -> None:
        for driver in self.drivers:
            driver.close()
        for each in reversed(self.closing):
            each()

    def ended(self, deed: Callable[[], list[Event]]) -> Ended:
        events = deed()
        assert isinstance(events[-1], Ended)
        return events[-1]


# ---- serial boards


class Serial(StandIn):
    machine = ""
    other = ""
    after: tuple[str, ...] = ()
    truth: ClassVar[Mapping[bytes, bytes]] = {}

    def __init__(self, folder: Path, speed: float, more: str = "") -> None:
        super().__init__(folder)
        shipped = MACHINES / f"{self.machine}.toml"
        self.link = folder / "port"
        text = f"{more}\n{shipped.read_text()}"
        self.sim = Simulated(folder / "sim", text, speed, self.link)
        self.closing.append(self.sim.close)

    def entry(self) -> dict[str, object]:
        return {"driver": self.name, "link": str(self.link)}

    def wrong(self) -> dict[str, object]:
        return {
            "driver": self.other,
            "link": str(self.link),
            "timeouts": {**QUICK, "answer_s": 0.7},
        }

    def amid(self, event: Event) -> bool:
        return isinstance(event, Progress) and event.line > 20

    def starts(self) -> int:
        return self.sim.starts()

    def exact(self, program: Program) -> bool:
        lines = self._but_questions(self.sim.received().decode().splitlines())
        while lines and lines[-1] in self.after:
            lines.pop()
        return lines == self._but_questions(self._wanted(program))

    def _wanted(self, program: Program) -> list[str]:
        rows = program.path.read_text().splitlines()
        return [bare for row in rows if (bare := row.split(";")[0].strip())]

    def _but_questions(self, lines: list[str]) -> list[str]:
        """M105 moves nothing, and a driver in doubt on a slow computer asks it at any time."""
        return [line for line in lines if line != "M105"]

    def unplug(self) -> None:
        self.sim.act("unplug")

    def replug(self) -> None:
        self.sim.act("replug")

    def lies(self) -> Iterator[tuple[str, Callable[[], Ended | None]]]:
        for name, (what, flood) in LIES.items():
            yield name, functools.partial(self._under, what, flood)

    def _under(self, what: bytes, flood: bool) -> Ended:
        liar = Liar(self.truth, self.name == "grbl", what, flood=flood)
        quick = {**QUICK, "banner_s": 0.2, "silence_s": 1.0, "stop_s": 1.0}
        driver = open_driver({"driver": self.name, "link": liar.link, "timeouts": quick})
        try:
            driver.connect()
            run = driver.start(self.program(3000))
            return self.ended(lambda: self.follow(run))
        finally:
            driver.close()
            liar.close()


class Marlin(Serial):
    name, other, machine = "marlin", "grbl", "printer-220"
    after = ("M400", "M105")
    truth: ClassVar[Mapping[bytes, bytes]] = {
        b"M105": b"ok T:20.0 /0.0 B:20.0 /0.0 @:0\n",
        b"M115": b"FIRMWARE_NAME:Marlin 2.1\nok\n",
    }

    def rows(self, length: int) -> list[str]:
        head = ["; no machine sees this: ! ~ ? \u00e9", "G28", "M104 S175 ; heat", "M109 S175"]
        body = [f"G1 X{50 + n % 5} Y{50 + n * 7 % 90} E0.0{n % 9 + 1} F1500" for n in range(length)]
        return [*head, "G90", "M83", "G1 X50 Y50 Z1 F6000", *body, "M104 S0", "M84"]


class Grbl(Serial):
    name, other, machine = "grbl", "marlin", "mill-3018"
    truth: ClassVar[Mapping[bytes, bytes]] = {
        b"$I": b"[VER:1.1h.2019:]\r\nok\r\n",
        b"$G": b"[GC:G0 G54 G17 G21 G90 G94 M5 M9]\r\nok\r\n",
    }

    def rows(self, length: int) -> list[str]:
        body = [f"G1 X{50 + n % 2 * 5} Y{50 + n * 7 % 90}.5 F1500" for n in range(length)]
        return ["G21", "G90", "G0 Z5", "M3 S8000", "G1 Z-1 F300", *body, "G0 Z5", "M5", "M30"]


LIES = {
    "silence": (b"", False),
    "a line without end": (b"x" * 3000, True),
    "a flood of ok": (b"ok\n" * 50, True),
    "terminal escapes": (b"\x1b[2J\x1b[31mok\x1b[0m\x07\x00\xff\n", False),
    "start me": (b"//action:start\n//action:resume\n", True),
    "noise": (bytes(range(256)) * 3, True),
}


class Liar:
    """Answers like a board until the job begins, then misbehaves as it was told to."""

    def __init__(
        self, truth: Mapping[bytes, bytes], grbl: bool, lie: bytes, *, flood: bool
    ) -> None:
        self.truth, self.grbl, self.lie, self.flood = truth, grbl, lie, flood
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.link = os.ttyname(self.slave)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._live)
        self.thread.start()

    def _live(self) -> None:
        heard, lying = b"", False
        os.set_blocking(self.master, False)
        while not self.over.is_set():
            with contextlib.suppress(BlockingIOError, OSError):
                heard += os.read(self.master, 4096)
            lines = heard.split(b"\n")
            heard = lines.pop()
            lying = lying or any(b"G28" in line or b"G21" in line for line in lines)
            out = b"" if lying else b"".join(self._answer(line) for line in lines)
            if self.grbl and not lying and b"?" in heard:
                heard, out = b"", out + b"<Idle|MPos:0.000,0.000,0.000|FS:0,0|WCO:0,0,0>\r\n"
            if lying and (self.flood or any(lines)):
                out += self.lie
            with contextlib.suppress(BlockingIOError, OSError):
                os.write(self.master, out)
            self.over.wait(0.005)

    def _answer(self, line: bytes) -> bytes:
        line = line.replace(b"?", b"").strip()
        known = next((said for word, said in self.truth.items() if word in line), None)
        return b"" if not line else known or (b"ok\r\n" if self.grbl else b"ok\n")

    def close(self) -> None:
        self.over.set()
        self.thread.join()
        os.close(self.master)
        os.close(self.slave)


# ---- print servers


class Server(StandIn):
    """A print server; unplugged, it no longer answers, and nobody hangs up either."""

    def __init__(self, folder: Path, speed: float, text: str) -> None:
        super().__init__(folder)
        self.sim = Simulated(folder / "sim", text, speed)
        self.closing.append(self.sim.close)

    def rows(self, length: int) -> list[str]:
        body = [f"G1 X{50 + n % 2 * 5} Y{50 + n * 7 % 90} F1500" for n in range(length)]
        return ["G28", "G90", "M104 S60", *body, "M104 S0", "M84"]

    def wrong(self) -> dict[str, object]:
        other = "prusalink" if self.name == "moonraker" else "moonraker"
        there = Simulated(self.folder / "other", _server_text(other), 0)
        self.closing.append(there.close)
        return {**self.entry(), "link": there.port}

    def amid(self, event: Event) -> bool:
        return isinstance(event, Progress)

    def starts(self) -> int:
        return self.sim.starts()

    def exact(self, program: Program) -> bool:
        rows = program.path.read_text().splitlines()
        return self.sim.received().decode().splitlines() == rows

    def process(self) -> int:
        return self.sim.process.pid

    def unplug(self) -> None:
        os.kill(self.process(), signal.SIGSTOP)

    def replug(self) -> None:
        os.kill(self.process(), signal.SIGCONT)

    def foreign(self) -> None:
        self.sim.act("foreign")

    def lies(self) -> Iterator[tuple[str, Callable[[], Ended | None]]]:
        for name, answer in ANSWERS.items():
            yield name, functools.partial(self._met, answer)

    def _met(self, answer: bytes) -> None:
        """A server that lies from its first word on is not even met."""
        with _lying(answer) as link:
            driver = self.driver({**self.entry(), "link": link})
            with pytest.raises(Exception) as error:
                driver.connect()
        raise error.value


def _server_text(kind: str) -> str:
    more = f'api_key = "{KEY}"' if kind == "moonraker" else f'password = "{KEY}"'
    return f'kind = "{kind}"\nname = "test"\n{more}\n'


class Moonraker(Server):
    name = "moonraker"

    def __init__(self, folder: Path, speed: float) -> None:
        super().__init__(folder, speed, _server_text("moonraker"))

    def entry(self) -> dict[str, object]:
        return {"driver": "moonraker", "link": self.sim.port, "api_key": KEY}

    def lies(self) -> Iterator[tuple[str, Callable[[], Ended | None]]]:
        yield from super().lies()
        for lie in ("html", "flood", "drip"):
            yield f"{lie} in mid-job", functools.partial(self._amid, lie)

    def _amid(self, lie: str) -> Ended:
        self.sim.act("honest")
        driver = self.driver()
        if driver.connect().condition.value != "idle":
            self.sim.act("panel-stop")
        run = driver.start(self.program(3000, f"attempt-{lie}"))
        said: list[object] = []

        def act(event: Event) -> None:
            if self.amid(event) and not said:
                said.append(self.sim.act(f"lie-{lie}"))

        ended = self.ended(lambda: self.follow(run, act))
        self.sim.act("honest")
        self.sim.act("panel-stop")
        driver.close()
        return ended


class PrusaLink(Moonraker):
    name = "prusalink"

    def __init__(self, folder: Path, speed: float) -> None:
        Server.__init__(self, folder, speed, _server_text("prusalink"))

    def entry(self) -> dict[str, object]:
        user = {"user": "maker", "password": KEY}
        return {"driver": "prusalink", "link": self.sim.port, **user}


class OctoPrint(Server):
    """The real server with a simulated printer at its port; what it adds itself is known."""

    name = "octoprint"
    OWN = (
        "M105",
        "M110",
        "M115",
        "M21",
        "M20",
        "M27",
        "M155",
        "M114",
        "M400",
        "M106 S0",
        "M113",
        "T0",
    )

    def __init__(self, folder: Path, speed: float) -> None:
        StandIn.__init__(self, folder)
        try:
            octoprint.ensure_installed()
        except CannotInstallError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"the real OctoPrint is not here: {error}")
        shipped = ROOT / "hardware-sim/hardware_sim/machines/printer-220.toml"
        # OctoPrint needs a second for what the others do at once: a job has to last that long.
        self.sim = Simulated(folder / "sim", shipped.read_text(), min(speed, 8), folder / "port")
        self.closing.append(self.sim.close)
        base = folder / "octoprint"
        shutil.copytree(_octoprint_base(), base)
        port, printer = octoprint.free_port(), str(folder / "port")
        self.url, self.key, self.server = octoprint.start(base, port, printer=printer)
        self.closing.append(lambda: octoprint.stop(self.server))

    def entry(self) -> dict[str, object]:
        return {"driver": "octoprint", "link": self.url, "api_key": self.key}

    def process(self) -> int:
        return self.server.pid

    def exact(self, program: Program) -> bool:
        wanted = program.path.read_text().splitlines()
        theirs = [
            line
            for line in self.sim.received().decode().splitlines()
            if not line.startswith(self.OWN)
        ]
        return theirs == [row for row in wanted if not row.startswith(self.OWN)]

    def foreign(self) -> None:
        import httpx

        header = {"X-Api-Key": self.key}
        rows = "\n".join(self.rows(3000)).encode()
        sent = {"file": ("somebody-elses.gcode", rows)}
        go = {"select": "true", "print": "true"}
        url = f"{self.url}/api/files/local"
        answer = httpx.post(url, headers=header, files=sent, data=go, timeout=10)
        assert answer.status_code == 201, answer.text

    def close(self) -> None:
        self.replug()
        super().close()


@functools.cache
def _octoprint_base() -> Path:
    """Settings with a user in them, made once: that alone takes OctoPrint seconds."""
    import tempfile

    base = Path(tempfile.mkdtemp(prefix="octoprint-base-"))
    octoprint._write_settings(base, 1, "VIRTUAL")
    return base


_PAGE = b"<!doctype html><title>Router</title><p>Please log in"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWERS = {
    "a web page": _HEAD + b"Content-Length: %d\r\n\r\n" % len(_PAGE) + _PAGE,
    "wrong JSON": _HEAD + b'Content-Length: 11\r\n\r\n{"state":5}',
    "an endless body": _HEAD + b"\r\n" + b'{"a": "' + b"x" * 6_000_000,
    "errors only": b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
    "elsewhere": b"HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"\x1b[2J ok ok ok\r\n\r\n",
    "silence": b"",
}


@contextlib.contextmanager
def _lying(answer: bytes) -> Iterator[str]:
    class Door(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.connection.recv(65536)
                self.connection.sendall(answer)
                if not answer:
                    self.connection.recv(65536)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# ---- only people


class ByHand(StandIn):
    """A scripted person: takes what is handed out and says so, twice when a word was lost."""

    name = "by_hand"
    survives_unplugging = True

    def __init__(self, folder: Path, speed: float) -> None:
        del speed
        super().__init__(folder)
        self.out = folder / "hand-out"
        self.out.mkdir()
        self.taken: dict[str, bytes] = {}
        self.begun = 0

    def entry(self) -> dict[str, object]:
        return {"driver": "by_hand", "link": str(self.out)}

    def rows(self, length: int) -> list[str]:
        return ["G21", "G90", *(f"G1 X{n} F900" for n in range(length)), "M5"]

    def amid(self, event: Event) -> bool:
        return isinstance(event, Started)

    def follow(self, run: Run, act: Act = lambda _: None) -> list[Event]:
        assert isinstance(run, ByPerson)

        def person(event: Event) -> None:
            act(event)
            if isinstance(event, Waiting) and run.words:
                self._says(run)

        return super().follow(run, person)

    def _says(self, run: ByPerson) -> None:
        word = run.words[0]
        if run.asked:
            word = run.words[-1]
        try:
            if word == "started":
                [file] = self.out.glob("*.gcode")
                self.taken[file.name] = file.read_bytes()
            run.tell(word, "Ana")
            self.begun += word == "started"
        except (LinkLost, ValueError):
            self.replug()  # somebody mounts the share again, and the person says it once more

    def starts(self) -> int:
        return self.begun

    def exact(self, program: Program) -> bool:
        return self.taken == {program.remote_name: program.path.read_bytes()}

    def unplug(self) -> None:
        self.out.rename(self.out.with_name("away"))

    def replug(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.out.with_name("away").rename(self.out)

    def foreign(self) -> None:
        (self.out / "other-1-0123456789ab.gcode.record.jsonl").write_text("somebody else's\n")

    def lies(self) -> Iterator[tuple[str, Callable[[], Ended | None]]]:
        for count, what in enumerate((b"", b"not json\n", b"\x1b[2J\xff" * 9999, b"[" * 50_000)):
            yield f"record {count}", functools.partial(self._altered, what, f"attempt-{count}")

    def _altered(self, what: bytes, attempt: str) -> Ended:
        driver = self.driver()
        driver.connect()
        run = driver.start(self.program(9, attempt))
        record = self.out / f"{run.handle}.record.jsonl"

        def act(event: Event) -> None:
            if isinstance(event, Started):
                record.write_bytes(what)

        def told(event: Event) -> None:
            act(event)
            if isinstance(event, Waiting):
                assert isinstance(run, ByPerson)
                with contextlib.suppress(BridgeError):
                    run.tell(run.words[0], "Ana")

        ended = self.ended(lambda: follow(run, told))
        assert record.read_bytes() == what
        record.unlink()
        driver.close()
        return ended

    def close(self) -> None:
        self.replug()
        super().close()


STAND_INS: Mapping[str, Callable[[Path, float], StandIn]] = {
    "by_hand": ByHand,
    "grbl": Grbl,
    "marlin": Marlin,
    "moonraker": Moonraker,
    "octoprint": OctoPrint,
    "prusalink": PrusaLink,
}
