"""A printer behind Moonraker: requests and news over one websocket, files over HTTP.

It never restarts a Klipper that shut itself down: why it did is for a person to see.
"""

import hashlib
import itertools
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from firmware_bridge.drivers.moonraker import codec, quirks
from firmware_bridge.errors import LinkLost, NeedsPerson, Refused
from firmware_bridge.serving import Doing, Http, Look, Past, SeeingDriver
from firmware_bridge.serving.answers import parse, quoted, read
from firmware_bridge.serving.http import REQUEST_S, form, seconds_for
from firmware_bridge.serving.push import Push
from firmware_bridge.streaming import Timeouts, Wish

_ASKS = {
    Wish.PAUSE: "printer.print.pause",
    Wish.RUN: "printer.print.resume",
    Wish.STOP: "printer.print.cancel",
}


class Moonraker:
    """The requests we make of one Moonraker, and what it told of its printer."""

    name = codec.WHOSE

    def __init__(self, link: str, api_key: str) -> None:
        headers = {"X-Api-Key": api_key} if api_key else {}
        self.firmware = ""
        self._http = Http(self.name, link, headers=headers, secrets=[api_key])
        self._push = Push(
            self._http.whose, self._http.address, "/websocket", headers, self._http.secrets
        )
        self._numbers = itertools.count(1)
        self._picture = codec.Picture({})
        self._klippy = quirks.GONE
        self._subscribed = False
        self._heard_at = 0.0
        self._moving_since: float | None = None

    def connect(self) -> None:
        self.close()
        ends = time.monotonic() + quirks.CONNECT_S
        while True:
            self._refresh()
            if self._klippy not in (quirks.GONE, quirks.STARTING):
                return
            if time.monotonic() > ends:
                raise NeedsPerson(f"Moonraker does not reach Klipper: {self._klippy}; is it on?")
            self.wait(quirks.POLL_S)
            self._subscribed = False

    def close(self) -> None:
        self._push.close()
        self._http.close()
        self._subscribed = False

    # ------------------------------------------------------------------ looking

    def look(self) -> Look:
        for _ in range(quirks.BACKLOG):
            if not self._push.open or self._hear(0.0) is None:
                break
        if not self._subscribed or time.monotonic() - self._heard_at > quirks.STALE_S:
            self._refresh()
        if self._klippy == quirks.GONE:
            return Look(Doing.CLOSED, "without its Klipper")
        if not self._subscribed:
            return Look(Doing.CHANGING, self._klippy)
        return self._picture.look(settling=self._settling())

    def _settling(self) -> bool:
        if not self._picture.complete_in_motion:
            self._moving_since = None
            return False
        now = time.monotonic()
        self._moving_since = self._moving_since or now
        return now - self._moving_since < quirks.SETTLE_S

    def past(self, name: str) -> Past | None:
        known = self._picture.past(name)
        if known is not None and self._settling():
            return None
        return known or self._history().of(name)

    def never_began(self, name: str) -> bool:
        """The file is there as it was sent, and no history names it."""
        reply = self._http.get(f"/server/files/metadata?filename={quote(name)}")
        return 200 <= reply.status < 300 and not self._history().names(name)

    def _history(self) -> codec.History:
        asked = {"limit": quirks.HISTORY_LIMIT, "order": "desc"}
        return parse(codec.History, self._ask("server.history.list", asked), self.name)

    def _refresh(self) -> None:
        """Ask how it stands; over a new line if need be, and with a subscription to all news."""
        if not self._push.open:
            self._push.begin()
            self._subscribed = False
        info = parse(codec.ServerInfo, self._ask("server.info"), self.name)
        self._klippy = info.klippy_state
        self.firmware = f"Moonraker {quoted(info.moonraker_version, 60)}"
        if self._klippy in (quirks.GONE, quirks.STARTING):
            self._subscribed = False
        elif not self._subscribed:
            self._subscribe()

    def _subscribe(self) -> None:
        self._picture = codec.Picture({})
        for _ in range(2):  # the first answer names the heaters
            wanted = {"objects": codec.watched(self._picture.heaters)}
            told = self._ask("printer.objects.subscribe", wanted)
            self._picture.merge(parse(codec.Subscribed, told, self.name).status)
        self._subscribed = True
        if self._klippy != quirks.READY:
            printer = parse(codec.PrinterInfo, self._ask("printer.info"), self.name)
            words = printer.state_message or self._klippy
            self._picture.merge({"webhooks": {"state": self._klippy, "state_message": words}})

    def wait(self, seconds: float) -> None:
        """Until there is news, at most so long."""
        if not self._push.open:
            time.sleep(seconds)
            return
        self._hear(seconds)

    # ------------------------------------------------------------------ doing

    def hand_over(self, name: str, data: bytes) -> None:
        """Send it with its hash, then read it back: Moonraker may rewrite what it was sent."""
        digest = hashlib.sha256(data).hexdigest()
        body, header = form({"root": "gcodes", "checksum": digest}, name, data)
        path, seconds = "/server/files/upload", seconds_for(len(body))
        self._http.good(self._http.ask("POST", path, content=body, headers=header, seconds=seconds))
        path = f"/server/files/gcodes/{quote(name)}"
        reply = self._http.get(path, limit=2 * len(data) + 1_000_000, seconds=seconds)
        if hashlib.sha256(self._http.good(reply)).hexdigest() != digest:
            raise Refused(
                "Moonraker did not keep the file as it was sent; switch enable_object_processing "
                "off in its moonraker.conf"
            )

    def ask_to_start(self, name: str) -> None:
        self._ask("printer.print.start", {"filename": name}, quirks.START_S)

    def take_back(self, name: str) -> None:
        """Moonraker keeps (403) what it prints."""
        self._http.good(self._http.ask("DELETE", f"/server/files/gcodes/{quote(name)}"))

    def ask(self, wish: Wish) -> None:
        """Asked, not waited for: Klipper answers when its macro is through, minutes later."""
        self._push.send(codec.request(next(self._numbers), _ASKS[wish], {}))

    def leave_cold(self) -> None:
        asked = {"script": quirks.COLD}
        self._push.send(codec.request(next(self._numbers), "printer.gcode.script", asked))

    def halt(self) -> None:
        """Klipper's emergency stop; over HTTP, which works when the websocket is stuck."""
        self._http.good(self._http.ask("POST", "/printer/emergency_stop"))

    # ------------------------------------------------------------------ seeing

    @property
    def address(self) -> str:
        return self._http.address

    def camera(self) -> str:
        """Over HTTP: a picture may be wanted while the websocket follows a print."""
        body = self._http.good(self._http.get("/server/webcams/list"))
        return read(codec.Webcams, body, self.name).snapshot

    # ------------------------------------------------------------------ talking

    def _ask(
        self, method: str, params: Mapping[str, object] | None = None, seconds: float = REQUEST_S
    ) -> Any:  # noqa: ANN401 - each caller parses its own
        number = next(self._numbers)
        self._push.send(codec.request(number, method, params or {}))
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            message = self._hear(left)
            if message is not None and message.id == number:
                if message.error is not None:
                    raise message.error.as_error(self._http.secrets)
                return message.result
        self._push.close()
        raise LinkLost(f"{self._http.whose} does not answer {method}")

    def _hear(self, seconds: float) -> codec.Message | None:
        """One message, taken note of; None when none came in time."""
        text = self._push.receive(seconds)
        if text is None:
            return None
        message = codec.hear(text)
        self._heard_at = time.monotonic()
        if message.method in quirks.KLIPPY_NEWS:
            self._subscribed = False
        elif message.method == "notify_status_update" and message.params:
            self._picture.merge(message.params[0])
        return message


def moonraker_driver(link: str, api_key: str, timeouts: Timeouts) -> SeeingDriver:
    return SeeingDriver(Moonraker(link, api_key), timeouts)
