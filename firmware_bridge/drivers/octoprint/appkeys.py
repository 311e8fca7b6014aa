"""A key of our own for an OctoPrint: asked for here, allowed by a person on OctoPrint's page.

The key is returned once and shown nowhere; keeping it is the caller's business.
Source: docs.octoprint.org, bundled plugins, Application Keys.
"""

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from firmware_bridge.drivers.octoprint import codec, quirks
from firmware_bridge.errors import NeedsPerson, Refused
from firmware_bridge.serving import Http
from firmware_bridge.serving.answers import as_json, quoted, read

APP: Final = "Cosmolocal agent"


def request(
    url: str, user: str = "", *, say: Callable[[str], None], patience_s: float = 300.0
) -> str:
    """The key, once somebody allowed it; `say` is told what that person has to do.

    Raises `Refused` when it was denied or cannot be asked for, `NeedsPerson` when nobody answered
    in time, `LinkLost` when there is no OctoPrint.
    """
    http = Http(codec.WHOSE, url)
    try:
        if http.get("/plugin/appkeys/probe").status != 204:
            raise Refused(f"{http.whose} has no application keys: is that plugin switched off?")
        asked = http.ask("POST", "/plugin/appkeys/request", **as_json({"app": APP, "user": user}))
        pending = read(codec.Pending, http.good(asked), codec.WHOSE)
        where = quoted(pending.auth_dialog or http.address, 300)
        say(f"Open {where} and allow “{APP}”; waiting for up to {patience_s:.0f} s.")
        return _await(http, pending.app_token, time.monotonic() + patience_s)
    finally:
        http.close()


def _await(http: Http, token: str, ends: float) -> str:
    """OctoPrint forgets a request that nobody asks about for five seconds."""
    while time.monotonic() < ends:
        reply = http.get(f"/plugin/appkeys/request/{quote(token, safe='')}")
        if reply.status == 404:
            raise Refused("the key was denied, or the request ran out")
        decision = read(codec.Decision, http.good(reply), codec.WHOSE)
        if decision.api_key:
            return decision.api_key
        time.sleep(quirks.POLL_S)
    raise NeedsPerson("nobody allowed the key on OctoPrint's page; try again beside somebody")
