"""The simulated people of the demo: they clear beds and press start at the agents' consoles.

They use the same doors as a person with a browser, sign as simulated, and clear the simulated
bed itself before they say that it is clear.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from demo.world import NO_TLS, SIMULATED_PERSON, Lab, Machine

_HEADERS = {"X-Cosmolocal": "console"}


class People(threading.Thread):
    """One thread that walks from lab to lab."""

    def __init__(self, labs: list[Lab]) -> None:
        super().__init__(name="simulated people", daemon=True)
        self._labs = labs
        self._home = threading.Event()
        self._console = httpx.Client(timeout=5, headers=_HEADERS)

    def run(self) -> None:
        while not self._home.wait(0.25):
            for lab in self._labs:
                try:
                    self.visit(lab)
                except (httpx.HTTPError, OSError):
                    continue  # the agent is away: nobody can press a button there now

    def go_home(self) -> None:
        self._home.set()
        self.join(10)
        self._console.close()

    def visit(self, lab: Lab) -> None:
        cards = self._console.get(f"{lab.console}/api/machines").raise_for_status().json()
        for machine in cards:
            room = lab.machine(machine["machine"])
            match machine["waits_for"]:
                case "bed clear":
                    room.tell("clear-bed")
                    self._press(lab, f"machines/{machine['machine']}/bed-clear")
                case "start":
                    room.tell("clear-bed")
                    self._press(lab, f"machines/{machine['machine']}/start")
                case "unknown decision":
                    self._press(lab, f"attempts/{machine['attempt']}/attest", look(room))
                case _:
                    pass

    def _press(self, lab: Lab, door: str, said: Mapping[str, str] | None = None) -> None:
        person = f"{SIMULATED_PERSON} at {lab.spec.name}"
        self._console.post(f"{lab.console}/api/{door}", json={"person": person, **(said or {})})


def look(room: Machine) -> dict[str, str]:
    """What a person finds at a machine in doubt: a used bed, or one as it was cleared."""
    if room.tell("state")["bed"] == "clear":
        return {"outcome": "not_started", "evidence": "the bed is as I cleared it"}
    return {"outcome": "interrupted", "evidence": "there is an unfinished part on the bed"}


def consoles(labs: list[Lab]) -> Callable[[], list[str]]:
    """Who waits for a person, and at which console."""
    wants = {
        "bed clear": "clear its bed and say so",
        "start": "clamp the stock and start it",
        "unknown decision": "say what became of its job",
    }

    def look_round() -> list[str]:
        with httpx.Client(timeout=5, headers=_HEADERS, verify=NO_TLS) as client:
            return [
                f"{card['title']} at {lab.spec.name}, {wants[card['waits_for']]}: {lab.console}"
                for lab in labs
                for card in _cards(client, lab)
                if card["waits_for"] in wants
            ]

    return look_round


def _cards(console: httpx.Client, lab: Lab) -> list[dict[str, Any]]:
    try:
        return console.get(f"{lab.console}/api/machines").json()
    except httpx.HTTPError:
        return []  # the agent is away: nobody can press a button there now
