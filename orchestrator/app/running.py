"""`serve`: one process with its doors, its loops and its broker, that starts and ends in order.

It promises that a kill at any moment loses nothing that was answered; one orchestrator to a folder.
"""

import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Final

import structlog
import uvicorn

from designs import bounded
from orchestrator.app import create_app, index_designs, secret, wire, write_passwords
from orchestrator.dispatch import gateway
from orchestrator.dispatch import loop as dispatch_loop
from orchestrator.dispatch.access import BrokerSettings
from orchestrator.dispatch.signing import Signer
from orchestrator.makes import recall_loop
from orchestrator.planning import loop as planning_loop
from orchestrator.proposals import service as proposals
from orchestrator.settings import Settings
from orchestrator.store import Store

Ready = dict[str, str]
_SWEEP_S: Final = 3600.0
_BROKER_STARTS_S: Final = 15.0
_log = structlog.get_logger("serve")


class CannotServe(Exception):
    """The orchestrator cannot start as it was told to; the message says what to change."""


async def serve(settings: Settings, say: Callable[[Ready], None]) -> None:
    """Run until SIGTERM or SIGINT; `say` is called once, when requests are answered."""
    _quiet_logs()
    _make_folder(settings.data_dir)
    with alone(settings.data_dir), _listening(settings) as listener:
        signer = Signer.open(settings.keys_file)
        secret(settings.token_file)
        store = await Store.open(settings.database_url, settings.blobs)
        try:
            wire(store)
            await index_designs(store)
            await write_passwords(settings, store)
            async with _broker(settings):
                await _run(settings, store, signer, listener, say)
        finally:
            await store.close()


async def _run(
    settings: Settings,
    store: Store,
    signer: Signer,
    listener: socket.socket,
    say: Callable[[Ready], None],
) -> None:
    address = gateway.Address(
        settings.mqtt_host, settings.mqtt_port, secret(settings.broker_secret_file)
    )
    patience_s = 0 if settings.broker == "external" else _BROKER_STARTS_S
    link = gateway.Gateway(store, signer, address, patience_s)
    app = create_app(settings, store, signer, lambda: link.connected)
    server = _Server(
        uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    )
    server.end_on_signals()
    _keep_what_is_there()
    bounded.stay_ready("designs.inspect", "designs.images")
    async with asyncio.TaskGroup() as tasks:
        beside = [
            tasks.create_task(link.run(), name="gateway"),
            tasks.create_task(dispatch_loop.run(store, signer), name="dispatch"),
            tasks.create_task(planning_loop.run(store, _planner(settings)), name="planning"),
            tasks.create_task(_hourly(app.state.drafts.sweep), name="drafts"),
            tasks.create_task(_hourly(lambda: proposals.sweep(store)), name="overlays"),
            tasks.create_task(recall_loop.run(store), name="recalls"),
            tasks.create_task(_say_when_started(server, settings, say), name="greeting"),
        ]
        await server.serve(sockets=[listener])
        for task in beside:
            task.cancel()


def _planner(settings: Settings) -> str:
    """One planner for each data folder, since only one process at a time serves from it."""
    return f"{socket.gethostname()}:{settings.data_dir.resolve()}"


async def _hourly(sweep: Callable[[], Awaitable[object]]) -> None:
    """At once and then every hour, for ever."""
    while True:
        try:
            await sweep()
        except Exception:  # noqa: BLE001 - logged in full, and tried again
            _log.exception("nothing was swept")
        await asyncio.sleep(_SWEEP_S)


def _keep_what_is_there() -> None:
    """Python looks for rubbish among all that lives, and no request is answered meanwhile: of what
    was loaded to start nothing will be rubbish, so it is not looked through again.
    """
    gc.collect()
    gc.freeze()


class _Server(uvicorn.Server):
    """Uvicorn that ends in order and lets the rest end in order too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def end_on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._end)

    def _end(self) -> None:
        self.should_exit = True


async def _say_when_started(
    server: uvicorn.Server, settings: Settings, say: Callable[[Ready], None]
) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.02)
    say(
        {
            "url": settings.public_url or f"http://{settings.host}:{settings.port}",
            "data_dir": str(settings.data_dir.resolve()),
            "broker": f"{settings.broker} {settings.mqtt_host}:{settings.mqtt_port}",
        }
    )


@contextlib.asynccontextmanager
async def _broker(settings: Settings) -> AsyncGenerator[None]:
    """The embedded broker as a child, started again whenever it ends."""
    if settings.broker == "external":
        yield
        return
    config = settings.broker_dir / "broker.toml"
    BrokerSettings(settings.mqtt_host, settings.mqtt_port, settings.passwords_file).write(config)
    await _free(settings.mqtt_host, settings.mqtt_port)
    keeping = asyncio.create_task(_keep_broker(config), name="broker")
    try:
        yield
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def _keep_broker(config: Path) -> None:
    command = [sys.executable, "-m", "orchestrator.dispatch.broker", str(config), str(os.getpid())]
    while True:
        # Not in a thread: the child dies with the thread that started it.
        process = subprocess.Popen(command)  # noqa: ASYNC220
        try:
            while process.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        finally:
            process.kill()  # it has nothing to tidy up
            process.wait(10)
        _log.warning("the broker ended; starting it again", status=process.returncode)
        await asyncio.sleep(0.3)


async def _free(host: str, port: int) -> None:
    """A broker that is just dying with its former parent gets a moment to go."""
    for _ in range(20):
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) != 0:
                return
        await asyncio.sleep(0.1)
    raise CannotServe(
        f"something listens on {host}:{port} already: give --mqtt-port, or --broker external"
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CannotServe(f"cannot make the data folder {folder}: {error.strerror}") from error


@contextlib.contextmanager
def alone(folder: Path) -> Generator[None]:
    """One orchestrator for one folder; raises CannotServe while there is another."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotServe(f"another orchestrator is using {folder}") from error
        yield


@contextlib.contextmanager
def _listening(settings: Settings) -> Generator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With its protocol named asyncio turns Nagle off; else each answer waits 40 ms for an ACK.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise CannotServe(
                f"{settings.host}:{settings.port}: {error.strerror}; give another --port"
            ) from error
        yield listener


def _quiet_logs() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
