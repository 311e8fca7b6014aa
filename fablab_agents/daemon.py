"""One agent: journal, machines, reconciler, uplink and console under one task group.

It ends calmly on SIGTERM and SIGINT, and may be killed at any other moment: everything it must
know afterwards is in the journal.
"""

import asyncio
import contextlib
import functools
import logging
import secrets
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import httpx
import structlog

from fablab_agents import config, console, journal
from fablab_agents.config import Config, ConfigRefused
from fablab_agents.journal import Journal
from fablab_agents.machines import Bench
from fablab_agents.runner import Runner
from fablab_agents.trust import Identity, Pinned, trust_env
from fablab_agents.uplink import Uplink
from firmware_bridge.errors import ProfileBroken

LOCK = "agent.lock"
_log = structlog.get_logger()


class AlreadyRunning(Exception):
    """Another agent works in this folder."""


@dataclass(frozen=True)
class Up:
    """What `run` says once it is up."""

    agent: str
    console: str
    machines: tuple[str, ...]


def set_up_logs() -> None:
    """Words on a terminal, JSON lines otherwise; both on standard error."""
    human = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not human),
            structlog.processors.format_exc_info if not human else _as_it_is,
            structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Log(),
        cache_logger_on_first_use=True,
    )
    # These speak of every reconnect; the uplink says it once.
    for noisy in ("mqtt", "httpx", "httpcore", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


class _Log:
    """Writes to standard error; a full disk there must not end an agent that runs machines."""

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(message + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


def _as_it_is(
    logger: object, name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    del logger, name
    return event


def run(folder: Path, up: Callable[[Up], None]) -> None:
    """Serve until a signal; raises ConfigRefused, NotEnrolled, JournalForeign, AlreadyRunning."""
    shop, identity = config.load(folder), Identity.load(folder)
    with _only_one(folder):
        asyncio.run(_serve(folder, shop, identity, up))


@contextlib.contextmanager
def _only_one(folder: Path) -> Generator[None]:
    """A lock that the system lets go when the process dies, however it dies."""
    with (folder / LOCK).open("w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            _log.warning("this system has no file locks: start one agent only")
        except OSError:
            raise AlreadyRunning(f"another agent works in {folder}") from None
        yield


async def _serve(folder: Path, shop: Config, identity: Identity, up: Callable[[Up], None]) -> None:
    boot = f"b{secrets.token_hex(6)}"
    book = Journal.open(folder / journal.FILE, identity.agent, boot, datetime.now(UTC))
    async with _client(identity) as client:
        runner, pinned = _assemble(folder, shop, book, client), Pinned(identity, folder)
        uplink = Uplink(pinned, version("cosmolocal"), book, runner)
        site = console.Site(shop.console, runner, identity.agent, shop.lab.title)
        changed = functools.partial(runner.distrust, pinned.verify)
        keys = functools.partial(pinned.follow, client, changed)
        changed()
        try:
            await _until_told(runner, uplink, site, keys, lambda: up(_up(identity, site, runner)))
        finally:
            for bench in runner.benches.values():
                await bench.close()
            book.close()
    _log.info("the agent ended")


def _up(identity: Identity, site: console.Site, runner: Runner) -> Up:
    return Up(identity.agent, site.address, tuple(runner.benches))


@contextlib.asynccontextmanager
async def _client(identity: Identity) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=identity.url,
        auth=(identity.agent, identity.secret),
        trust_env=trust_env(identity.url),
    ) as client:
        yield client


def _assemble(folder: Path, shop: Config, book: Journal, client: httpx.AsyncClient) -> Runner:
    benches: dict[str, Bench] = {}
    runner = Runner(shop, folder, book, benches, client)
    for entry in shop.machine:
        try:
            benches[entry.id] = Bench(entry, runner.machine_changed)
        except ProfileBroken as error:
            raise ConfigRefused(f"machine {entry.id}: {error}") from None
    return runner


async def _until_told(
    runner: Runner,
    uplink: Uplink,
    site: console.Site,
    keys: Callable[[], Coroutine[None, None, None]],
    ready: Callable[[], None],
) -> None:
    told = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, told.set)
    site.bind()
    async with asyncio.TaskGroup() as tasks:
        serving = [
            tasks.create_task(runner.serve(), name="runner"),
            tasks.create_task(uplink.serve(), name="uplink"),
            tasks.create_task(keys(), name="keys"),
            tasks.create_task(site.serve(), name="console"),
            *(tasks.create_task(b.serve(), name=b.id) for b in runner.benches.values()),
        ]
        _log.info("the agent is up", console=site.address, machines=list(runner.benches))
        ready()
        await told.wait()
        _log.info("asked to end")
        await runner.leave()
        await uplink.farewell()
        await site.close()
        for task in serving:
            task.cancel()
