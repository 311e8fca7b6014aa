"""The OctoPrint driver against the real OctoPrint and its virtual printer."""

import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from bench.proof import octoprint_jobs
from demo import octoprint
from demo.environment import CannotInstallError
from firmware_bridge.driver import (
    Condition,
    Driver,
    Ended,
    Event,
    Outcome,
    Paused,
    Picture,
    Program,
    Resumed,
    Sees,
    Started,
)
from firmware_bridge.drivers.octoprint import appkeys, codec
from firmware_bridge.errors import LinkLost, NeedsPerson, ProtocolError, Refused
from firmware_bridge.registry import open_driver
from firmware_bridge.serving.answers import read
from firmware_bridge.serving.http import Http, Reply
from tests.firmware_bridge.drivers.conftest import JPEG, Shown
from tests.runs import follow, kinds, once, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("octoprint")]


@dataclass
class Server:
    url: str
    key: str
    process: subprocess.Popen[bytes]
    folder: Path
    drivers: list[Driver] = field(default_factory=list[Driver])

    def driver(self, **more: object) -> Driver:
        entry = {"driver": "octoprint", "link": self.url, "api_key": self.key, **more}
        self.drivers.append(open_driver(entry))
        return self.drivers[-1]

    def close(self) -> None:
        for driver in self.drivers:
            driver.close()
        octoprint.stop(self.process)

    def ask(self, path: str, **how: object) -> httpx.Response:
        header = {"X-Api-Key": self.key}
        return httpx.request("POST", f"{self.url}{path}", headers=header, timeout=10, **how)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Server]]:
    try:
        octoprint.ensure_installed()
    except CannotInstallError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the real OctoPrint is not here: {error}")
    running: list[Server] = []

    def begin() -> Server:
        folder = tmp_path_factory.mktemp("octoprint")
        running.append(Server(*octoprint.start(folder, octoprint.free_port()), folder))
        return running[-1]

    yield begin
    for server in running:
        server.close()


@pytest.fixture(scope="module")
def server(start: Callable[[], Server]) -> Server:
    return start()


@pytest.fixture
def driver(server: Server) -> Iterator[Driver]:
    made = server.driver()
    made.connect()
    yield made
    made.close()


_count = iter(range(1000))


def program(folder: Path, rows: list[str]) -> Program:
    data = ("\n".join(["G28", *rows, "M104 S0", "M84"]) + "\n").encode()
    path = folder / "program.gcode"
    path.write_bytes(data)
    name = f"attempt-{next(_count)}"
    return Program(path, hashlib.sha256(data).hexdigest(), name, data.count(b"\n"))


QUICK = [f"G1 X{n % 20 / 10} Y{n % 18 / 10} F6000" for n in range(100)]
SLOW = ["G4 P200"] * 100


def test_a_print_runs_once_to_its_end_and_is_found_again(driver: Driver, tmp_path: Path) -> None:
    made = program(tmp_path, QUICK)
    status = driver.status()
    assert (status.condition, "OctoPrint" in status.firmware) == (Condition.IDLE, True)
    until(lambda: "tool0" in driver.status().temperatures_c)
    run = driver.start(made)
    assert run.handle == f"{made.attempt}-{made.sha256[:12]}.gcode"
    events = follow(run)
    assert kinds(events) == [Started, Ended]
    assert (events[-1].outcome, events[-1].last_line) == ("finished", made.lines)
    again = driver.recover(run.handle)
    assert again is not None
    assert follow(again)[-1].outcome == "finished"
    with pytest.raises(NeedsPerson, match="no longer has"):
        driver.recover("attempt-never-000000000000.gcode")
    twice = follow(driver.start(made))
    assert (twice[-1].outcome, "never started twice" in twice[-1].detail) == ("interrupted", True)


def test_pause_resume_and_recovery_in_the_middle(
    driver: Driver, server: Server, tmp_path: Path
) -> None:
    made = program(tmp_path, SLOW[:60])
    run = driver.start(made)
    events = run.events()
    assert isinstance(next(events), Started)
    events.close()  # type: ignore[attr-defined]
    other = server.driver()
    found = other.recover(run.handle)
    assert found is not None
    assert driver.status().condition in (Condition.RUNNING, Condition.ATTENTION)

    def act(event: Event) -> None:
        if isinstance(event, Paused):
            assert other.status().condition is Condition.PAUSED
            threading.Timer(0.5, found.resume).start()

    found.pause()
    heard = follow(found, act)
    assert kinds(heard) == [Started, Paused, Resumed, Ended]
    assert heard[-1].outcome == "finished"


def test_stop_and_what_the_history_says_of_it(driver: Driver, tmp_path: Path) -> None:
    run = driver.start(program(tmp_path, SLOW))
    end = follow(run, once(Started, lambda: run.stop("the maker cancelled")))[-1]
    assert (end.outcome, end.cause, end.detail) == ("interrupted", "stopped", "the maker cancelled")
    found = driver.recover(run.handle)
    assert found is not None
    assert follow(found)[-1].outcome == "interrupted"


def test_what_is_not_ours_is_left_alone(driver: Driver, server: Server, tmp_path: Path) -> None:
    rows = "\n".join(["G28", *SLOW[:40]]).encode()
    waiting = driver.start(program(tmp_path, QUICK))
    uploaded = server.ask("/api/files/local", files={"file": ("foreign.gcode", rows)})
    assert uploaded.status_code == 201
    go = {"command": "select", "print": True}
    assert server.ask("/api/files/local/foreign.gcode", json=go).status_code == 204
    time.sleep(0.5)
    assert driver.status().condition is Condition.ATTENTION
    with pytest.raises(NeedsPerson, match=r"foreign\.gcode"):
        driver.start(program(tmp_path, QUICK))
    late = follow(waiting)
    assert kinds(late) == [Ended]
    assert (late[-1].outcome, late[-1].cause) == ("not started", "not ready")
    assert driver.status().condition is Condition.ATTENTION  # the other print still runs
    server.ask("/api/job", json={"command": "cancel"})
    until(lambda: driver.status().condition is Condition.IDLE)


def test_a_wrong_key_a_wrong_address_and_a_wrong_server(server: Server) -> None:
    with pytest.raises(Refused, match="key"):
        server.driver(api_key="WRONG").connect()
    with pytest.raises(LinkLost):
        server.driver(link=f"http://127.0.0.1:{octoprint.free_port()}").connect()
    with pytest.raises(Refused, match="address"):
        server.driver(link="/dev/ttyUSB0")
    with pytest.raises(ProtocolError) as error:
        read(codec.Job, b'{"state": 5}', "OctoPrint")
    assert error.value.transcript == '{"state": 5}'


def test_a_driver_that_was_closed_asks_again() -> None:
    driver = open_driver(
        {"driver": "octoprint", "link": f"http://127.0.0.1:{octoprint.free_port()}", "api_key": "k"}
    )
    for _ in range(2):
        with pytest.raises(LinkLost):
            driver.connect()
        assert driver.status().condition is Condition.OFFLINE
        driver.close()


def test_the_server_dies_in_the_middle(start: Callable[[], Server], tmp_path: Path) -> None:
    server = start()
    driver = server.driver(timeouts={"silence_s": 2})
    driver.connect()
    run = driver.start(program(tmp_path, SLOW))
    end = follow(run, once(Started, server.process.kill))[-1]
    assert (end.outcome, end.cause) == ("unknown", "server lost")
    assert driver.status().condition is Condition.OFFLINE


def test_halt_kills_and_a_later_connect_brings_it_back(driver: Driver, tmp_path: Path) -> None:
    end = follow(driver.start(program(tmp_path, SLOW)), once(Started, driver.halt))[-1]
    assert end.outcome == "interrupted"
    assert driver.connect().condition is Condition.IDLE


def test_news_are_pushed_and_without_them_we_ask(
    driver: Driver, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    send = Http.get

    def count(http: Http, path: str, **how: float) -> Reply:
        asked.append(path)
        return send(http, path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Http, "get", count)
    run = driver.start(program(tmp_path, SLOW[:30]))
    follow(run, once(Started, asked.clear))
    # Only the history of the file is asked for, at the end.
    assert "/api/job" not in asked
    assert asked
    monkeypatch.setattr("firmware_bridge.drivers.octoprint.quirks.SOCKET", "/nowhere")
    deaf = server.driver()
    deaf.connect()
    asked.clear()
    assert follow(deaf.start(program(tmp_path, SLOW[:10])))[-1].outcome == "finished"
    assert "/api/job" in asked


def test_a_start_that_octoprint_refuses_is_proven_by_its_file(
    driver: Driver, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Any = driver._server  # type: ignore[attr-defined]
    ask, rows = asked.ask_to_start, "\n".join(["G28", *SLOW]).encode()

    def too_late(name: str) -> None:
        """Somebody at OctoPrint's page is quicker."""
        file, go = {"file": ("foreign.gcode", rows)}, {"select": "true", "print": "true"}
        assert server.ask("/api/files/local", files=file, data=go).status_code == 201
        until(lambda: driver.status().condition is Condition.ATTENTION)
        ask(name)

    monkeypatch.setattr(asked, "ask_to_start", too_late)
    over = follow(driver.start(program(tmp_path, QUICK)))[-1]
    assert isinstance(over, Ended)
    assert (over.outcome, over.cause) == ("not started", "refused"), over
    with pytest.raises(Refused, match="currently in use"):
        asked.take_back("foreign.gcode")  # what prints is not given back
    server.ask("/api/job", json={"command": "cancel"})
    until(lambda: driver.status().condition is Condition.IDLE)


def test_the_picture_comes_from_the_camera_that_octoprint_names(
    driver: Driver, server: Server, shown: Shown
) -> None:
    assert isinstance(driver, Sees)
    with pytest.raises(Refused, match="no camera"):
        driver.snapshot()
    where = f"http://127.0.0.1:{shown.port}/webcam/?action=snapshot"
    told = {"plugins": {"classicwebcam": {"snapshot": where}}, "webcam": {"webcamEnabled": True}}
    assert server.ask("/api/settings", json=told).is_success
    assert driver.snapshot() == Picture(JPEG, "image/jpeg")


def test_a_key_is_asked_for_and_allowed_by_a_person(server: Server) -> None:
    with connect(f"{server.url.replace('http', 'ws')}/sockjs/websocket") as page:
        login = server.ask("/api/login", json={"passive": True}).json()
        page.send(json.dumps({"auth": f"{login['name']}:{login['session']}"}))
        said: list[str] = []
        keys: list[str] = []
        asking = threading.Thread(
            target=lambda: keys.append(appkeys.request(server.url, say=said.append, patience_s=30))
        )
        asking.start()
        token = ""
        while not token:
            told = json.loads(page.recv(20)).get("plugin", {}).get("data", {})
            token = told.get("user_token", "") if told.get("type") == "request_access" else ""
        decision = {"decision": True}
        answer = server.ask(f"/plugin/appkeys/decision/{token}", json=decision)
        assert answer.status_code == 204, answer.text
        asking.join(20)
    assert "allow" in said[0]
    assert server.driver(api_key=keys[0]).connect().condition is Condition.IDLE
    assert keys[0] not in said[0]


def test_a_key_that_nobody_allows(server: Server) -> None:
    with pytest.raises(NeedsPerson, match="nobody allowed"):
        appkeys.request(server.url, "somebody", say=lambda _: None, patience_s=1)
    with pytest.raises(LinkLost):
        appkeys.request(f"http://127.0.0.1:{octoprint.free_port()}", say=lambda _: None)


# ---- a sample of `./run proof octoprint_jobs`: the virtual printer misbehaves as it is told to

SAMPLE = ("noisy line", "cable out", "thermal runaway", "agent killed")


@pytest.mark.parametrize("what", SAMPLE)
def test_a_sample_of_the_hundred_jobs_on_a_dirty_printer(what: str, server: Server) -> None:
    shop = octoprint_jobs.Shop(server.folder, server.url, server.key)
    case = octoprint_jobs.case_of(10 * len(octoprint_jobs.CASES) + octoprint_jobs.CASES.index(what))
    assert case.what == what
    result = shop.play(case)
    assert result.verdict in ("exact", "honest"), result
    harmless = what not in ("cable out", "thermal runaway")
    assert (result.verdict == "exact") == harmless, result


SENT = "<<< N1 M110 N0*1\n<<< N1 G28*2\n<<< N2 G1 X1*3\n<<< N3 M105*4\n<<< N4 G1 X2*5\n"


@pytest.mark.parametrize(
    ("log", "outcome", "verdict"),
    [
        (SENT, "finished", "exact"),
        (SENT + "<<< N2 G1 X1*3\n", "finished", "exact"),
        (SENT + "<<< N2 G1 X9*3\n", "finished", "WRONG"),
        (SENT + "<<< N6 G1 X3*3\n", "unknown", "WRONG"),
        (SENT + "<<< N5 G1 X3*3\n", "finished", "WRONG"),
        (SENT.replace("X2", "X3"), "interrupted", "WRONG"),
        ("<<< N1 G28*2\n", "finished", "WRONG"),
        ("<<< N1 G28*2\n", "interrupted", "honest"),
        ("<<< N1 G28*2\n", "unknown", "honest"),
        (SENT + "<<< N1 M110 N0*1\n<<< N1 M84*2\n", "interrupted", "honest"),
    ],
)
def test_the_judge_of_the_wire(log: str, outcome: Outcome, verdict: str) -> None:
    wanted = ["G28", "G1 X1", "G1 X2"]
    said, _ = octoprint_jobs.judge(wanted, log, Ended(outcome, "", 0))
    assert said.split(":")[0] == verdict
