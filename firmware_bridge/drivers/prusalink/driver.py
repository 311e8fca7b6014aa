"""A printer with PrusaLink: asked once a second, as it pushes nothing; its jobs have numbers.

It has no emergency stop and keeps no history: what it cannot prove is said to be unknown.
"""

import hashlib
import time
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

import httpx

from firmware_bridge.drivers.prusalink import codec, quirks
from firmware_bridge.errors import NeedsPerson, Refused
from firmware_bridge.serving import Doing, Http, Look, Past, ServedDriver
from firmware_bridge.serving.answers import read
from firmware_bridge.serving.http import seconds_for
from firmware_bridge.streaming import Timeouts, Wish

_AMID = {Doing.WAITING: Doing.WAITING, Doing.CHANGING: Doing.ENDING}


@dataclass(frozen=True)
class _Seen:
    """The job that ran at the last look that showed one; without a number, our accepted start."""

    id: int | None
    name: str | None
    at: float
    look: Look | None = None

    def covers(self, look: Look) -> bool:
        """A board that catches itself, or asks a person, names no job: it is still this one.

        Only a started job can be caught in the middle; a question comes before the first line too.
        """
        recent = time.monotonic() - self.at < quirks.GAP_S
        amid = look.doing is Doing.WAITING or (look.doing is Doing.CHANGING and self.id is not None)
        return recent and amid


class PrusaLink:
    """The requests we make of one PrusaLink, and the job it was last seen at."""

    name = codec.WHOSE

    def __init__(self, link: str, user: str, password: str, api_key: str) -> None:
        if not (password or api_key):
            raise Refused(
                "PrusaLink wants a password: the printer's panel shows it (Settings, Network, "
                'PrusaLink); write user = "maker" and password = "…" into its entry'
            )
        headers = {"X-Api-Key": api_key} if api_key else {}
        auth = httpx.DigestAuth(user or "maker", password) if password else None
        secrets = [password, api_key]
        self.firmware = ""
        self._http = Http(self.name, link, headers=headers, auth=auth, secrets=secrets)
        self._storage = ""
        self._seen: _Seen | None = None
        self._state = ""
        self._before = ""

    def connect(self) -> None:
        self.close()
        version = read(codec.Version, self._get("/api/version"), self.name)
        self.firmware = version.words
        self._choose_storage()

    def _choose_storage(self) -> None:
        storages = read(codec.Storages, self._get("/api/v1/storage"), self.name)
        chosen = storages.choose()
        if chosen is None:
            raise NeedsPerson("PrusaLink has no room for files: is its USB stick in?")
        self._storage = chosen.path.strip("/")

    def close(self) -> None:
        self._http.close()

    # ------------------------------------------------------------------ looking

    def look(self) -> Look:
        status = self._status()
        job = self._job() if status.job is not None else None
        if status.job is not None and job is None:
            status = self._status()  # it ended between the two questions
        self._state = status.printer.state
        look = status.look(job)
        if job is not None:
            self._before = ""
            self._seen = _Seen(job.id, job.name, time.monotonic(), look)
        elif self._seen is not None and self._seen.covers(look):
            self._seen = replace(self._seen, at=time.monotonic())
            return replace(
                self._seen.look or look,
                doing=_AMID[look.doing],
                said=look.said,
                file=self._seen.name,
            )
        elif look.doing.busy:
            self._seen = None  # something runs that it does not name
        return look

    def _status(self) -> codec.Status:
        return read(codec.Status, self._get("/api/v1/status"), self.name)

    def _job(self) -> codec.Job | None:
        reply = self._http.get("/api/v1/job")
        if reply.status == 204:
            return None
        return read(codec.Job, self._http.good(reply), self.name)

    def past(self, name: str) -> Past | None:
        """Only what was seen a moment ago is proven: it ran, and nothing else ran since.

        A start that was taken is as good as seen, when the state it left was another one: the
        last print's FINISHED stays until the next one begins.
        """
        seen = self._seen
        if self._state == self._before:
            return None
        if seen is None or seen.name != name or time.monotonic() - seen.at > quirks.GAP_S:
            return None
        known = {
            quirks.FINISHED: Past("finished", "complete"),
            quirks.STOPPED: Past("interrupted", "stopped at PrusaLink"),
            quirks.ERROR: Past("failed", "printer error", "the printer shows an error"),
        }
        return known.get(self._state)

    def never_began(self, name: str) -> bool:  # noqa: ARG002 - no PrusaLink can prove it
        return False

    def wait(self, seconds: float) -> None:
        time.sleep(max(seconds, quirks.POLL_S))

    # ------------------------------------------------------------------ doing

    def hand_over(self, name: str, data: bytes) -> None:
        self._choose_storage()  # and no nonce runs out in the middle of a file
        headers = {"Content-Type": quirks.GCODE_TYPE, "Print-After-Upload": "?0", "Overwrite": "?1"}
        seconds = seconds_for(len(data))
        path = self._path(name)
        self._http.good(self._http.ask("PUT", path, content=data, headers=headers, seconds=seconds))
        self._check(name, data, seconds)
        self._seen = None

    def _check(self, name: str, data: bytes, seconds: float) -> None:
        """Its size, and its bytes where the printer hands them back."""
        told = self._stored(name)
        kept = told.size in (None, len(data))
        where = told.refs.download or ""
        if kept and where.startswith("/") and not urlsplit(where).netloc:
            reply = self._http.get(quote(where), limit=len(data) + 1_000_000, seconds=seconds)
            if reply.status != 404:
                body = self._http.good(reply)
                kept = hashlib.sha256(body).digest() == hashlib.sha256(data).digest()
        if not kept:
            raise Refused("PrusaLink did not keep the file as it was sent")

    def _stored(self, name: str) -> codec.StoredFile:
        """What it says of the file; it may need a moment to find what it was just given."""
        ends = time.monotonic() + quirks.STORED_S
        while (reply := self._http.get(self._path(name))).status == 404:
            if time.monotonic() > ends:
                raise Refused("PrusaLink does not find the file that it was sent")
            time.sleep(quirks.STORED_S / 20)
        return read(codec.StoredFile, self._http.good(reply), self.name)

    def ask_to_start(self, name: str) -> None:
        before = self._state
        self._http.good(self._http.ask("POST", self._path(name)))
        self._seen, self._before = _Seen(None, name, time.monotonic()), before

    def take_back(self, name: str) -> None:
        """A printer keeps (409) what it prints."""
        self._http.good(self._http.ask("DELETE", self._path(name)))

    def ask(self, wish: Wish) -> None:
        """By the number of the job that was just seen: another's cannot be hit."""
        if self._seen is None or self._seen.id is None:
            return
        path = f"/api/v1/job/{self._seen.id}"
        if wish is Wish.STOP:
            reply = self._http.ask("DELETE", path)
        else:
            what = "pause" if wish is Wish.PAUSE else "resume"
            reply = self._http.ask("PUT", f"{path}/{what}")
        self._http.good(reply)

    def leave_cold(self) -> None:
        """The printer's firmware cools down by itself when a print is stopped."""

    def halt(self) -> None:
        """The job that runs is stopped; more PrusaLink does not offer."""
        self.look()
        self.ask(Wish.STOP)

    # ------------------------------------------------------------------ talking

    def _path(self, name: str) -> str:
        return f"/api/v1/files/{quote(self._storage)}/{quote(name)}"

    def _get(self, path: str) -> bytes:
        return self._http.good(self._http.get(path))


def prusalink_driver(
    link: str, user: str, password: str, api_key: str, timeouts: Timeouts
) -> ServedDriver:
    return ServedDriver(PrusaLink(link, user, password, api_key), timeouts)
