"""`fork`, `propose`, `proposals`, `proposal` and `designs key`, as typed, against a real server."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

from orchestrator import cli
from orchestrator.app import create_app
from orchestrator.cli.designs import gather
from orchestrator.dispatch.signing import Signer
from orchestrator.settings import Settings
from orchestrator.store import Store
from tests.conftest import free_port
from tests.orchestrator.proposals.test_proposals import SQUARE, WIDER


@dataclass
class Shell:
    """Commands as somebody types them, and what they print."""

    folder: Path
    server: str
    capsys: pytest.CaptureFixture[str]

    def run(self, *words: str, status: int = 0) -> str:
        given = ["--server", self.server, "--data-dir", str(self.folder)]
        assert cli.main([*words, *given]) == status, self.capsys.readouterr()
        read = self.capsys.readouterr()
        return read.out if status == 0 else read.err

    def json(self, *words: str) -> dict[str, object]:
        return json.loads(self.run(*words, "--json"))


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    port, ready = free_port(), threading.Event()
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        settings = Settings(data_dir=tmp_path)
        store = await Store.open(settings.database_url, settings.blobs)
        app = create_app(settings, store, Signer.open(tmp_path / "keys.json"), lambda: True)
        config = uvicorn.Config(app, port=port, log_level="warning", lifespan="off")
        servers.append(uvicorn.Server(config))
        ready.set()
        await servers[0].serve()
        await store.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(60)
    for _ in range(600):
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
            break
        except httpx.TransportError:
            ready.clear()
            ready.wait(0.05)
    yield Shell(tmp_path, f"http://127.0.0.1:{port}", capsys)
    servers[0].should_exit = True
    thread.join(30)


def test_fork_change_propose_accept_from_the_command_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shell.folder)
    (shell.folder / "plate.svg").write_text(SQUARE)
    licence = ("--licence", "CERN-OHL-W-2.0", "--licensor", "Ana Puig")
    told = shell.run("publish", "plate.svg", *licence)
    key = told.split("its key, shown this once: ")[1].split()[0]

    forked = shell.json("fork", "plate", "--as", "my-plate", "--who", "Bo")
    assert forked["design"] == "my-plate"
    for stray in ("cam.xyz", ".hidden.xyz"):
        (shell.folder / "my-plate" / stray).write_text("?")
    assert set(gather([Path("my-plate")])) == {"plate.svg", "okh.toml"}
    assert "note: cam.xyz: 1 left out: no file of these kinds" in shell.capsys.readouterr().err
    assert "is not empty" in shell.run("fork", "plate", "--as", "my-plate", "--who", "Bo", status=2)
    published = shell.json("publish", "my-plate")["release"]
    assert published["ancestor"]["design"] == "plate"
    assert [c["name"] for c in published["contributors"]] == ["Ana Puig"]
    no = shell.run("fork", "plate", "--who", "Bo", "--licence", "MIT", status=1)
    assert "take CERN-OHL-S-2.0 or CERN-OHL-W-2.0" in no
    at_once = shell.run("fork", "plate", "--who", "Cy", "--publish")
    assert "forked from plate 1.0.0 by Ana Puig" in at_once

    (shell.folder / "plate.svg").write_text(WIDER)
    said = ("--author", "Cy", "--message", "Wider")
    proposal = shell.json("propose", "plate", "plate.svg", *said)
    listed = shell.run("proposals", "plate")
    assert listed.startswith(f"{proposal['id']} open: Wider, by Cy")
    name = str(proposal["id"])
    assert "--share" in shell.run("proposal", "accept", name, "--key", key, status=2)
    assert "maintainer's key" in shell.run(
        "proposal", "accept", name, "--share", "5", "--key", "x", status=1
    )
    monkeypatch.setenv("COSMOLOCAL_DESIGN_KEY", key)
    assert "--reason" in shell.run("proposal", "decline", name, status=2)
    done = shell.run("proposal", "accept", name, "--share", "5")
    assert f"{name} accepted" in done
    assert "it became release" in done
    assert "Area" in shell.run("proposal", "show", name)


def test_a_new_key_takes_the_former_ones_place(shell: Shell) -> None:
    (shell.folder / "plate.svg").write_text(SQUARE)
    licence = ("--licence", "MIT", "--licensor", "Ana Puig")
    shell.run("publish", str(shell.folder / "plate.svg"), *licence)
    made = shell.json("designs", "key", "plate", "--new")
    (shell.folder / "plate.svg").write_text(WIDER)
    path = str(shell.folder / "plate.svg")
    proposal = shell.json("propose", "plate", path, "--author", "Cy", "--message", "Wider")
    words = ("decline", str(proposal["id"]), "--reason", "no", "--key")
    assert "declined" in shell.run("proposal", *words, str(made["maintainer_key"]))
    assert "no release of nobody" in shell.run("designs", "key", "nobody", "--new", status=1)


def test_a_link_in_a_folder_is_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret.md").write_text("of nobody's business")
    folder = tmp_path / "plate"
    folder.mkdir()
    (folder / "plate.svg").write_text("<svg/>")
    (folder / "readme.md").symlink_to(tmp_path / "secret.md")
    (folder / "all").symlink_to(tmp_path)
    assert set(gather([folder])) == {"plate.svg"}
    assert "links are not followed: all, readme.md" in capsys.readouterr().err
    assert set(gather([folder / "readme.md"])) == {"readme.md"}, "who names it means it"
