"""A printer behind OctoPrint: its news come over its push socket, or by asking where that is shut.

It never decides anything by news alone that a question could settle.
"""

import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from firmware_bridge.drivers.octoprint import codec, quirks
from firmware_bridge.errors import BridgeError, LinkLost, NeedsPerson, Refused
from firmware_bridge.serving import Doing, Http, Look, Past, SeeingDriver
from firmware_bridge.serving.answers import as_json, read
from firmware_bridge.serving.http import form, seconds_for
from firmware_bridge.serving.push import Push
from firmware_bridge.streaming import Timeouts, Wish

_ASKS: Final = {
    Wish.PAUSE: {"command": "pause", "action": "pause"},
    Wish.RUN: {"command": "pause", "action": "resume"},
    Wish.STOP: {"command": "cancel"},
}


class OctoPrint:
    """The requests we make of one OctoPrint, and what it told of its printer."""

    name = codec.WHOSE

    def __init__(self, link: str, api_key: str) -> None:
        self.firmware = ""
        header = {"X-Api-Key": api_key}
        self._http = Http(self.name, link, headers=header, secrets=[api_key])
        self._push = Push(self._http.whose, self._http.address, quirks.SOCKET, {})
        self._current: codec.Current | None = None
        self._heat: Mapping[str, tuple[float, float]] = {}
        self._heard_at = 0.0
        self._tried_at = -quirks.PUSH_AGAIN_S

    def connect(self) -> None:
        self.close()
        self.firmware = read(codec.Version, self._get("/api/version"), self.name).text
        connection = self._connection()
        if connection.doing in (Doing.CLOSED, Doing.BROKEN):
            self._post("/api/connection", connection.wish())
        ends = time.monotonic() + quirks.CONNECT_S
        while (now := self._connection()).doing in (Doing.CLOSED, Doing.CHANGING):
            if time.monotonic() > ends:
                state = now.current.state
                raise NeedsPerson(f"OctoPrint does not reach its printer: {state}; is it on?")
            time.sleep(quirks.POLL_S)
        self._listen()

    def close(self) -> None:
        self._push.close()
        self._http.close()
        self._current = None
        self._tried_at = -quirks.PUSH_AGAIN_S

    # ------------------------------------------------------------------ looking

    def look(self) -> Look:
        self._drain()
        fresh = time.monotonic() - self._heard_at < quirks.STALE_S
        if self._push.open and self._current is not None and fresh:
            return replace(self._current.look(), heat=self._heat)
        job = read(codec.Job, self._get("/api/job"), self.name)
        heat: Mapping[str, tuple[float, float]] = {}
        if job.doing is Doing.READY:
            with suppress(Refused):  # not operational any more: the next look tells
                heat = read(codec.Printer, self._get("/api/printer"), self.name).temperatures_c
        return job.look(heat)

    def past(self, name: str) -> Past | None:
        file = self._file(name)
        if file is None or file.prints.last is None:
            return None
        if file.prints.last.success:
            return Past("finished", "complete")
        return Past("interrupted", "stopped at OctoPrint")

    def never_began(self, name: str) -> bool:
        """The file is there, and no print of it was ever counted."""
        file = self._file(name)
        return file is not None and file.prints.last is None

    def _file(self, name: str) -> codec.StoredFile | None:
        reply = self._http.get(f"/api/files/local/{quote(name)}")
        if reply.status == 404:
            return None
        return read(codec.StoredFile, self._http.good(reply), self.name)

    def _connection(self) -> codec.Connection:
        return read(codec.Connection, self._get("/api/connection"), self.name)

    # ------------------------------------------------------------------ news

    def _listen(self) -> None:
        """Try for the push socket now and then; without it we ask."""
        now = time.monotonic()
        if self._push.open or now - self._tried_at < quirks.PUSH_AGAIN_S:
            return
        self._tried_at = now
        with suppress(BridgeError):
            login = self._http.ask("POST", "/api/login", **as_json({"passive": True}))
            session = read(codec.Login, self._http.good(login), self.name)
            self._push.begin()
            for text in codec.greeting(session):
                self._push.send(text)

    def wait(self, seconds: float) -> None:
        self._listen()
        if not self._push.open:
            time.sleep(seconds)
            return
        self._hear(seconds)

    def _drain(self) -> None:
        with suppress(LinkLost):
            for _ in range(quirks.BACKLOG):
                if not self._push.open or not self._hear(0.0):
                    return

    def _hear(self, seconds: float) -> bool:
        text = self._push.receive(seconds)
        if text is None:
            return False
        current = codec.hear(text)
        if current is not None:
            self._current, self._heard_at = current, time.monotonic()
            self._heat = current.look().heat or self._heat
        return True

    # ------------------------------------------------------------------ doing

    def hand_over(self, name: str, data: bytes) -> None:
        body, header = form({}, name, data)
        seconds = seconds_for(len(body))
        path = "/api/files/local"
        self._http.good(self._http.ask("POST", path, content=body, headers=header, seconds=seconds))
        stored = self._file(name)
        digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        if stored is None or (stored.hash is not None and stored.hash != digest):
            raise Refused("OctoPrint did not keep the file as it was sent")
        self._current = None

    def ask_to_start(self, name: str) -> None:
        self._post(f"/api/files/local/{quote(name)}", {"command": "select", "print": True})

    def take_back(self, name: str) -> None:
        """OctoPrint keeps (409) what it prints."""
        self._http.good(self._http.ask("DELETE", f"/api/files/local/{quote(name)}"))

    def ask(self, wish: Wish) -> None:
        self._post("/api/job", _ASKS[wish])

    def leave_cold(self) -> None:
        """OctoPrint's own script after a cancelled print switches everything off."""

    def halt(self) -> None:
        """Cancel, then kill: OctoPrint closes its port after an M112."""
        try:
            self._post("/api/job", {"command": "cancel"})
        except Refused:
            pass
        finally:
            self._post("/api/printer/command", {"commands": ["M112"]})

    # ------------------------------------------------------------------ seeing

    @property
    def address(self) -> str:
        return self._http.address

    def camera(self) -> str:
        return read(codec.Settings, self._get("/api/settings"), self.name).snapshot

    # ------------------------------------------------------------------ talking

    def _get(self, path: str) -> bytes:
        return self._http.good(self._http.get(path))

    def _post(self, path: str, body: Mapping[str, object]) -> None:
        self._current = None  # what it said before is old now
        self._http.good(self._http.ask("POST", path, **as_json(body)))


def octoprint_driver(link: str, api_key: str, timeouts: Timeouts) -> SeeingDriver:
    return SeeingDriver(OctoPrint(link, api_key), timeouts)
