"""A real server with two labs, a real design and a real make, and a real browser to look at it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from designs import library
from orchestrator.catalogue import service as catalogue
from orchestrator.catalogue.model import Answers
from orchestrator.makes import service as makes
from orchestrator.makes.model import Inspection, Kind, Verdict
from orchestrator.orders import service as orders
from orchestrator.settings import Settings
from orchestrator.store import Store, Unit
from tests.conftest import free_port, need
from tests.orchestrator.dispatch.conftest import PRINTER
from tests.orchestrator.planning.conftest import Town
from tests.orchestrator.planning.test_planning import LASER

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@dataclass
class Server:
    """`cosmolocal serve` on a folder of its own."""

    data: Path
    port: int
    mqtt_port: int
    passport: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "orchestrator.cli", "serve", "--data-dir", str(self.data)]
        command += ["--port", str(self.port), "--mqtt-port", str(self.mqtt_port)]
        with (self.data / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}/healthz", timeout=5).is_success:
                    return
            except httpx.TransportError:
                assert self.process.poll() is None, (self.data / "log").read_text()
            time.sleep(0.1)
        pytest.fail(f"the server does not answer: {(self.data / 'log').read_text()}")

    def stop(self, how: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(20)

    def do(self, work: Callable[[Unit], Awaitable[None]]) -> None:
        """A unit of work beside the server, as another replica would do it."""

        async def done() -> None:
            settings = Settings(data_dir=self.data)
            store = await Store.open(settings.database_url, settings.blobs)
            try:
                await store.run(work)
            finally:
                await store.close()

        # Not here: the browser's own loop runs in this thread.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, done()).result()

    def post(self, path: str, body: dict[str, object]) -> None:
        token = (self.data / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        httpx.post(f"{self.url}{path}", json=body, headers=headers).raise_for_status()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("served")
    passport = asyncio.run(_fill(Settings(data_dir=data), tmp_path_factory.mktemp("made")))
    served = Server(data, free_port(), free_port(), passport)
    served.start()
    yield served
    served.stop()


async def _fill(settings: Settings, made: Path) -> str:
    """Two labs, a printed design of our library, one order that is made; the make's id."""
    store = await Store.open(settings.database_url, settings.blobs)
    try:
        folder = library.build("coat-hook", made)
        files = {path.name: path for path in sorted(folder.iterdir())}
        published = await catalogue.publish(store, files, Answers())
        town = Town(store)
        town.release = published.release
        agent = await town.open_lab("Atelier Nord", 1, PRINTER)
        await town.open_lab("Sägewerk Süd", -3, LASER)
        (job,) = await town.order(await town.quote(design="coat-hook"))
        return await _make(store, job, agent)
    finally:
        await store.close()


async def _make(store: Store, job: str, agent: str) -> str:
    done = makes.Finished(
        job_id=job, attempt="a-1", agent=agent, machine="printer-1", program_sha256="a" * 64,
        machine_s=1500, operator=None, operator_minutes=None, simulated=True,
    )  # fmt: skip
    seen = Inspection(
        verdict=Verdict.CONFORMS, kind=Kind.SIMULATED, inspector="gauge", outline_mm=0.1
    )
    async with store.unit() as unit:
        await orders.plan_job(unit, job, agent, "printer-1")
        await orders.offer_job(unit, job, "a-1")
        await orders.job_made(unit, job, "a-1")
        make = await makes.record(unit, done)
        await makes.inspected(unit, make.id, seen)
        return make.id


@pytest.fixture(scope="module")  # its event loop stands in the way of tests that run their own
def browser(server: Server) -> Iterator[Browser]:
    chromium = need("chromium")
    if not (ROOT / "orchestrator/web/static/vendor/made-from").exists():
        assert os.environ.get("CI") != "true", "the scripts were not fetched, and CI skips nothing"
        pytest.skip("needs the pages' scripts: ./run demo or ./run test fetches them")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


Look = Callable[..., Page]


@pytest.fixture
def look(browser: Browser, server: Server) -> Iterator[Look]:
    """Opens a page; at the end nothing has gone wrong in it, and nothing was asked of others.

    `forgives`: what is expected to go wrong, as the browser's console says it.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    forgiven: list[str] = []

    def opened(path: str, forgives: tuple[str, ...] = (), **wishes: object) -> Page:
        size = {"width": 1440, "height": 900}
        forgiven.extend(forgives)
        context = browser.new_context(base_url=server.url, viewport=size, **wishes)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: _note_foreign(asked.url, server.url, wrong))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [each for each in wrong if not any(word in each for word in forgiven)] == []


def _note_foreign(url: str, ours: str, wrong: list[str]) -> None:
    if not url.startswith((f"{ours}/", "blob:", "data:")):
        wrong.append(f"asked {url}")
