"""The demo's story: designs are published, people order, parts are made; then the table."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.children import python
from demo.city import MAKERS, Person

Say = Callable[[str], None]
STUCK = {"abandoned", "cancelled"}


@dataclass
class Ordered:
    """An order with the quote it was made from."""

    id: str
    quote: dict[str, Any]
    person: Person


class Refused(Exception):
    """The orchestrator refused a design or a quote; the message is its answer."""


def library() -> list[str]:
    """The names of every design of our own library."""
    listed = python("designs.library", "list", "--json")
    done = subprocess.run(listed, check=True, timeout=60, capture_output=True)
    return json.loads(done.stdout)


def build_library(folder: Path, slugs: Sequence[str]) -> list[Path]:
    """These designs of our own library, made from their parametric source; a folder each."""
    build = python("designs.library", "build", str(folder), *slugs)
    subprocess.run(build, check=True, timeout=300, stdout=subprocess.DEVNULL)
    return [folder / slug for slug in slugs]


class Publisher(threading.Thread):
    """Publishes the designs that nobody orders here, one after the other, while parts are made."""

    def __init__(
        self, client: Callable[[], httpx.Client], folder: Path, slugs: Sequence[str]
    ) -> None:
        super().__init__(name="publisher", daemon=True)
        self._client = client
        self._folder = folder
        self._waiting = list(slugs)
        self._home = threading.Event()
        self.published: list[str] = []
        self.trouble: str | None = None

    def run(self) -> None:
        try:
            with self._client() as api:
                for slug in self._waiting:
                    if self._home.is_set():
                        return
                    (made,) = build_library(self._folder, [slug])
                    told = publish(api, sorted(made.iterdir()), {})
                    self.published.append(told["release"]["title"])
        except (Refused, httpx.HTTPError, OSError, subprocess.SubprocessError) as trouble:
            self.trouble = str(trouble)

    def go_home(self) -> None:
        self._home.set()
        self.join(60)


def publish(api: httpx.Client, files: Iterable[Path], answers: dict[str, Any]) -> dict[str, Any]:
    with ExitStack() as stack:
        uploads = [("files", (path.name, stack.enter_context(path.open("rb")))) for path in files]
        answer = api.post("/api/designs", files=uploads, data=answers)
    return _checked(answer)


def _checked(answer: httpx.Response) -> Any:  # noqa: ANN401
    if answer.is_success:
        return answer.json()
    problem = answer.json() if answer.content else {}
    findings = [f"{f['where']}: {f['what']}. {f['do']}." for f in problem.get("findings", [])]
    raise Refused("\n".join(findings) or problem.get("detail") or answer.reason_phrase)


def order(api: httpx.Client, release: dict[str, Any], person: Person) -> Ordered:
    """Quote, read the confirmation, agree."""
    wish = {"design": release["sha256"], "quantity": 1, "lat": person.lat, "lon": person.lon}
    quote = _checked(api.post("/api/quotes", json=wish))
    if not quote["complete"]:
        raise Refused(why_nobody(quote))
    name = f"{person.name} (simulated maker)"
    agreed = _checked(api.get(f"/api/quotes/{quote['id']}/confirmation", params={"maker": name}))
    placed = _checked(
        api.post(
            "/api/orders",
            json={
                "quote": quote["id"],
                "maker": {"name": name},
                "agreed_sha256": agreed["sha256"],
            },
        )
    )
    return Ordered(placed["id"], quote, person)


def why_nobody(quote: dict[str, Any]) -> str:
    return "\n".join(
        f"{item['part']}: {no['lab']}: {no['why']}"
        for item in quote["items"]
        if not item["options"]
        for no in item["why_not"]
    )


def order_all(api: httpx.Client, releases: Sequence[dict[str, Any]], say: Say) -> list[Ordered]:
    """One product of each release, by one person after the other."""
    placed: list[Ordered] = []
    for number, release in enumerate(releases):
        person = MAKERS[number % len(MAKERS)]
        one = order(api, release, person)
        labs = ", ".join(sorted({item["options"][0]["lab"] for item in one.quote["items"]}))
        total = one.quote["total_minor"] / 100
        title = release["release"]["title"]
        say(f"  {person.name} at {person.where} orders {title}: {labs}, €{total:.2f}")
        placed.append(one)
    return placed


# ── following ───────────────────────────────────────────────────────────────────────────────


WORDS = {
    "wanted": "waits for a machine",
    "planned": "is planned at",
    "offered": "goes to",
    "made": "is made, to be inspected, at",
    "received": "is made and inspected at",
    "abandoned": "is given up for now",
    "cancelled": "is cancelled",
}
GIVEN_UP_AFTER_S = 30


class Following:
    """Tells each step of the orders once; `turn` says where a person is awaited."""

    def __init__(
        self,
        api: httpx.Client,
        ordered: Sequence[Ordered],
        labs: Mapping[str, str],
        say: Say,
        turn: Callable[[], list[str]] | None = None,
    ) -> None:
        self._api = api
        self._ordered = ordered
        self._labs = labs
        self._say = say
        self._turn = turn
        self._told: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._awaited: list[str] = []
        self._last = time.monotonic()

    def step(self) -> bool:
        """Look once; True when nothing more will happen by itself."""
        jobs = [job for one in self._ordered for job in self.jobs(one)]
        self._tell(jobs)
        self._heartbeat(jobs)
        return all(job["state"] in {"received", *STUCK} or self._hopeless(job) for job in jobs)

    def jobs(self, one: Ordered) -> list[dict[str, Any]]:
        answer = self._api.get(f"/api/orders/{one.id}")
        return answer.raise_for_status().json()["jobs"]

    def _tell(self, jobs: Sequence[dict[str, Any]]) -> None:
        """One line for all copies that have come equally far."""
        news: Counter[str] = Counter()
        for job in jobs:
            words = self._words(job)
            if self._told.get(job["id"]) != words:
                self._told[job["id"]] = words
                self._since[job["id"]] = time.monotonic()
                news[words] += 1
        for words, count in news.items():
            self._last = time.monotonic()
            self._say(f"  {f'{count} × ' if count > 1 else ''}{words}")

    def _words(self, job: dict[str, Any]) -> str:
        lab = self._labs.get(job["agent"], job["agent"])
        where = f" {lab}, {job['machine']}" if job["machine"] else ""
        why = f": {job['why']}" if job["why"] else ""
        return f"{job['part']} {WORDS[job['state']]}{where}{why}"

    def _heartbeat(self, jobs: Sequence[dict[str, Any]]) -> None:
        if time.monotonic() - self._last <= 4:
            return
        done = sum(job["state"] == "received" for job in jobs)
        self._last = time.monotonic()
        self._say(f"  … {done} of {len(jobs)} parts made and inspected")
        awaited = self._turn() if self._turn else []
        if awaited != self._awaited:
            self._awaited = awaited
            for words in awaited:
                self._say(f"  → your turn: {words}")

    def _hopeless(self, job: dict[str, Any]) -> bool:
        """Nothing more happens by itself: something is missing, or a person has to judge."""
        if job["state"] == "made":
            return bool(job["why"])
        if job["state"] != "wanted" or not job["why"]:
            return False
        long = time.monotonic() - self._since[job["id"]] > GIVEN_UP_AFTER_S
        return long or "slicer missing" in job["why"]


# ── the table ───────────────────────────────────────────────────────────────────────────────

COLUMNS = (
    "part", "lab", "machine", "km", "why", "program", "machine time", "deviation", "passport",
)  # fmt: skip


def rows(
    api: httpx.Client, ordered: Sequence[Ordered], labs: dict[str, str], url: str
) -> list[dict[str, str]]:
    """One row a job, from what the orchestrator recorded."""
    table: list[dict[str, str]] = []
    for one in ordered:
        makes = api.get(f"/api/orders/{one.id}/makes").raise_for_status().json()
        by_job = {make["job_id"]: make for make in makes if make["verdict"] == "conforms"}
        for job in api.get(f"/api/orders/{one.id}").raise_for_status().json()["jobs"]:
            make = by_job.get(job["id"])
            table.append(made_row(one, make, labs, url) if make else unmade_row(job))
    return table


def made_row(one: Ordered, make: dict[str, Any], labs: dict[str, str], url: str) -> dict[str, str]:
    item = next(item for item in one.quote["items"] if item["part"] == make["part"])
    option = next((o for o in item["options"] if o["agent"] == make["agent"]), None)
    return {
        "part": make["part"],
        "lab": str(labs.get(make["agent"], make["agent"])),
        "machine": make["machine"],
        "km": f"{option['distance_m'] / 1000:.1f}" if option else "?",
        "why": option["why"] if option else "another lab took over",
        "program": make["program_sha256"][:12],
        "machine time": clock((make["inspection"] or {}).get("machine_s") or make["machine_s"]),
        "deviation": deviation(make["inspection"]),
        "passport": f"{url}/p/{make['id']}",
    }


def unmade_row(job: dict[str, Any]) -> dict[str, str]:
    blank: dict[str, str] = {column: "–" for column in COLUMNS}  # noqa: C420
    return {**blank, "part": str(job["part"]), "why": f"not made: {job['why'] or job['state']}"}


def clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def deviation(inspection: dict[str, Any] | None) -> str:
    if not inspection or inspection["outline_mm"] is None:
        return "?"
    volume = inspection["volume_pct"]
    return f"{inspection['outline_mm']:.2f} mm" + (
        f", {volume:+.1f} %" if volume is not None else ""
    )


def printed(table: Sequence[dict[str, str]]) -> str:
    """The table as text; the reasons, which are sentences, below it."""
    columns = [column for column in COLUMNS if column != "why"]
    widths = {c: max(len(c), *(len(row[c]) for row in table)) for c in columns}
    lines = ["  ".join(c.ljust(widths[c]) for c in columns)]
    lines.append("  ".join("-" * widths[c] for c in columns))
    lines += ["  ".join(row[c].ljust(widths[c]) for c in columns) for row in table]
    reasons = dict.fromkeys(f"  {row['part']}: {row['why']}" for row in table)
    return "\n".join([*(line.rstrip() for line in lines), "", "Why there:", *reasons])
