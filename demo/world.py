"""Builds the demo's world from a city's description and takes it down again.

Everything is started by the commands a user would type; a machine is reached by bytes alone.
"""

import json
import random
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import httpx

from demo import octoprint
from demo.children import Child, python
from demo.city import LabSpec, MachineSpec

SIMULATED_PERSON = "simulated person"
NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that only speak HTTP: to read the system's certificates takes 30 ms each time."""


PORT_MAX = 65535
NEVER_LENT: Final = range(20_000, 32_000)
"""Ports that no system gives to an outgoing connection while who listens there is away."""


def free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens there, else any free port of 127.0.0.1 that stays free."""
    first = [wanted] if 0 < wanted <= PORT_MAX else []
    for port in (*first, *random.sample(NEVER_LENT, 50)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise OSError("no free port on 127.0.0.1")


def toml(table: dict[str, object]) -> str:
    """The lines of a flat TOML table; JSON's strings, numbers, lists and booleans are TOML's."""
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n"
        for key, value in table.items()
        if value is not None
    )


@dataclass
class Machine:
    """A simulated machine: its process, its port, and the record of what physically happened."""

    spec: MachineSpec
    child: Child
    link: Path
    record: Path
    control: Path

    def starts(self) -> list[dict[str, object]]:
        """Every physical start, as the machine itself recorded it: the oracle of all stories."""
        return _json_lines(self.record / "starts.jsonl")

    def ends(self) -> list[dict[str, object]]:
        return _json_lines(self.record / "ends.jsonl")

    def tell(self, do: str) -> dict[str, object]:
        """Something happens in the room: `clear-bed`, `unplug`, `replug`, `reset` …"""
        with socket.socket(socket.AF_UNIX) as room:
            room.settimeout(10)
            room.connect(str(self.control))
            room.sendall(json.dumps({"do": do}).encode() + b"\n")
            return json.loads(room.makefile().readline())


def _json_lines(path: Path) -> list[dict[str, object]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


@dataclass
class Lab:
    spec: LabSpec
    folder: Path
    console_port: int
    machines: list[Machine]
    agent: Child
    agent_id: str = ""

    @property
    def console(self) -> str:
        return f"http://127.0.0.1:{self.console_port}"

    def machine(self, machine_id: str) -> Machine:
        return next(m for m in self.machines if m.spec.id == machine_id)


@dataclass
class World:
    """The orchestrator and its labs; use as a context manager, nothing survives the exit."""

    folder: Path
    http_port: int
    mqtt_port: int
    speed: float
    behind_octoprint: frozenset[str] = frozenset()
    """`lab/machine` of printers that a real OctoPrint drives for the agent."""
    serve_with: tuple[str, ...] = ()
    """More words for `cosmolocal serve`."""
    enrolled: "Callable[[Lab], None]" = lambda _: None
    """Told of each lab between its enrolment and its agent's first start."""
    octoprints: list["subprocess.Popen[bytes]"] = field(
        default_factory=list["subprocess.Popen[bytes]"]
    )
    orchestrator: Child = field(init=False)
    labs: list[Lab] = field(default_factory=list[Lab])

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "logs").mkdir(exist_ok=True)
        self.orchestrator = self._child(
            "orchestrator",
            *python("orchestrator.cli", "serve", "--data-dir", str(self.data_dir)),
            *("--port", str(self.http_port), "--mqtt-port", str(self.mqtt_port)),
            *self.serve_with,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def data_dir(self) -> Path:
        return self.folder / "orchestrator"

    def api(self) -> httpx.Client:
        token = (self.data_dir / "token").read_text().strip()
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=180,
            verify=NO_TLS,
        )  # fmt: skip

    def start_orchestrator(self, within_s: float = 90) -> None:
        self.orchestrator.start()
        self.orchestrator.wait_until(lambda: answers(f"{self.url}/readyz"), within_s, "being ready")

    def add_lab(self, spec: LabSpec) -> Lab:
        """Simulated machines, a lab at the orchestrator, an enrolled agent; all of it started."""
        folder = self.folder / spec.slug
        folder.mkdir()
        lab = Lab(
            spec=spec,
            folder=folder,
            console_port=free_port(self.http_port + 101 + len(self.labs)),
            machines=[self._machine(spec, machine) for machine in spec.machines],
            agent=self._child(
                f"agent-{spec.slug}", *python("fablab_agents.cli", "run", "--dir", str(folder))
            ),
        )
        self.labs.append(lab)
        for machine in lab.machines:
            machine.child.start()
        for machine in lab.machines:
            machine.child.wait_until(machine.link.exists, 20, "its port is there")
        self._describe(lab)
        self._enrol(lab)
        self.enrolled(lab)
        lab.agent.start()
        return lab

    def machines_answer(self, within_s: float = 30) -> bool:
        """Wait until the orchestrator has heard each machine say that it is free; else False."""
        wanted = sum(len(lab.machines) for lab in self.labs)
        end = time.monotonic() + within_s
        with self.api() as api:
            while time.monotonic() < end:
                labs = api.get("/api/labs").raise_for_status().json()
                idle = [m for lab in labs for m in lab["machines"] if m["condition"] == "idle"]
                if len(idle) == wanted:
                    return True
                time.sleep(0.2)
        return False

    def stop(self) -> None:
        """Agents first, then the orchestrator, then the machines: as at the end of a day."""
        for lab in self.labs:
            lab.agent.stop()
        self.orchestrator.stop()
        for process in self.octoprints:
            octoprint.stop(process)
        for lab in self.labs:
            for machine in lab.machines:
                machine.child.stop(patience_s=2)

    def _child(self, name: str, *command: str) -> Child:
        memory = {"COSMOLOCAL_RUNTIME_DIR": str(self.folder)}
        return Child(name, command, self.folder / "logs" / f"{name}.log", memory)

    def _machine(self, lab: LabSpec, spec: MachineSpec) -> Machine:
        place = self.folder / lab.slug / spec.id
        place.mkdir()
        link, control = place / "port", place / "room"
        command = python(
            "hardware_sim", "run", spec.simulator, "--speed", f"{self.speed:g}",
            "--link", str(link), "--record", str(place), "--control", str(control),
        )  # fmt: skip
        name = f"{lab.slug}-{spec.id}"
        return Machine(spec, self._child(name, *command), link, place, control)

    def _describe(self, lab: Lab) -> None:
        """Write the shop's own file, as an operator would."""
        text = "[lab]\n" + toml({"title": lab.spec.name})
        text += "\n[console]\n" + toml({"host": "127.0.0.1", "port": lab.console_port})
        text += "\n[policy]\n" + toml({"auto_accept": True, "unattended_hours": "00:00-24:00"})
        for machine in lab.machines:
            entry = machine_entry(machine)
            if f"{lab.spec.slug}/{machine.spec.id}" in self.behind_octoprint:
                entry |= self._octoprint(lab, machine)
            text += "\n[[machine]]\n" + toml(entry)
        (lab.folder / "agent.toml").write_text(text)

    def _octoprint(self, lab: Lab, machine: Machine) -> dict[str, object]:
        """Start a real OctoPrint on the simulated printer's port; how the agent reaches it."""
        base = lab.folder / f"octoprint-{machine.spec.id}"
        url, key, process = octoprint.start(base, free_port(), printer=str(machine.link))
        self.octoprints.append(process)
        return {"driver": "octoprint", "link": url, "api_key": key}

    def _enrol(self, lab: Lab) -> None:
        with self.api() as api:
            place = {"lat": lab.spec.lat, "lon": lab.spec.lon, "address": lab.spec.address}
            answer = api.post("/api/labs", json={"name": lab.spec.name, **place})
            answer.raise_for_status()
            code = answer.json()["code"]
        enrolled = subprocess.run(
            python(
                "fablab_agents.cli", "enrol", self.url, code, "--dir", str(lab.folder), "--json"
            ),
            capture_output=True, check=False, text=True, timeout=60,
        )  # fmt: skip
        if enrolled.returncode:
            sys.stderr.write(enrolled.stdout + enrolled.stderr)
            raise RuntimeError(f"{lab.spec.name} could not enrol")
        lab.agent_id = json.loads(enrolled.stdout)["agent"]


def machine_entry(machine: Machine) -> dict[str, object]:
    spec = machine.spec
    return {
        "id": spec.id,
        "title": spec.title,
        "profile": spec.profile,
        "driver": spec.driver,
        "link": str(machine.link),
        "materials": list(spec.materials),
        "attended": spec.attended,
        "offered": True,
        "rate_minor_per_h": spec.rate_minor_per_h,
        "setup_minor": spec.setup_minor,
        "currency": "EUR",
        "tool_mm": spec.tool_mm,
        "kerf_mm": spec.kerf_mm,
        "simulated": True,
    }


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, verify=NO_TLS).status_code == 200
    except httpx.HTTPError:
        return False
