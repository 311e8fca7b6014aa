"""The simulated people of the demo: they clear beds and press start at the agents' consoles.

They use the same doors as a person with a browser, sign as simulated, and clear the simulated
bed itself before they say that it is clear.
"""

import threading

import httpx

from demo.world import SIMULATED_PERSON, Lab

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
        for machine in self._console.get(f"{lab.console}/api/machines").json():
            wish = machine["waits_for"]
            if wish in {"bed clear", "start"}:
                lab.machine(machine["machine"]).tell("clear-bed")
                door = "bed-clear" if wish == "bed clear" else "start"
                self._press(lab, f"machines/{machine['machine']}/{door}")

    def _press(self, lab: Lab, door: str) -> None:
        person = f"{SIMULATED_PERSON} at {lab.spec.name}"
        self._console.post(f"{lab.console}/api/{door}", json={"person": person})
