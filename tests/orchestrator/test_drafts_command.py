"""`cosmolocal draft` and `cosmolocal release`, as a designer types them, against a real server."""

import json
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from orchestrator.app import create_app
from orchestrator.cli import main
from orchestrator.dispatch.signing import Signer
from orchestrator.settings import Settings
from orchestrator.store import Store
from tests.conftest import free_port
from tests.orchestrator.catalogue.conftest import SQUARE

Typed = Callable[..., tuple[int, Any]]


class _Serving(threading.Thread):
    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(daemon=True)
        self.folder, self.port = folder, port
        self.server: uvicorn.Server | None = None

    def run(self) -> None:
        import asyncio

        asyncio.run(self._serve())

    async def _serve(self) -> None:
        url = f"sqlite+aiosqlite:///{self.folder}/test.db"
        store = await Store.open(url, self.folder / "blobs")
        signer = Signer.open(self.folder / "keys.json")
        app = create_app(Settings(data_dir=self.folder), store, signer, lambda: True)
        config = uvicorn.Config(app, port=self.port, log_level="warning", lifespan="off")
        self.server = uvicorn.Server(config)
        await self.server.serve()
        await store.close()


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Typed]:
    """Types a command without the operator's token; gives its status and its JSON, or its words."""
    serving = _Serving(tmp_path, free_port())
    serving.start()
    for _ in range(600):
        if serving.server is not None and serving.server.started:
            break
        time.sleep(0.1)
    monkeypatch.setenv("COSMOLOCAL_SERVER", f"http://127.0.0.1:{serving.port}")
    monkeypatch.setenv("COSMOLOCAL_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))

    def type_(*words: str, plain: bool = False) -> tuple[int, Any]:
        status = main([*words] if plain else [*words, "--json"])
        said = capsys.readouterr()
        return status, said.out + said.err if plain else json.loads(said.out)

    yield type_
    assert serving.server is not None
    serving.server.should_exit = True
    serving.join(20)


def test_a_design_from_its_first_file_to_its_deprecation(typed: Typed, tmp_path: Path) -> None:
    plate = tmp_path / "plate.svg"
    plate.write_text(SQUARE)
    status, begun = typed("draft", "new", str(plate))
    assert status == 0
    draft = begun["id"]
    keys = tmp_path / "home" / "cosmolocal" / "drafts.json"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert json.loads(keys.read_text()) == {draft: begun["key"]}
    status, words = typed("draft", "show", draft, plain=True)
    assert status == 3
    assert "refusal: licence: no licence is given" in words
    status, words = typed("draft", "publish", draft, plain=True)
    assert (status, "refused: licence" in words) == (1, True)
    said = ("--licence", "CERN-OHL-W-2.0", "--licensor", "Ana", "--version", "1")
    assert typed("draft", "say", draft, *said)[1]["ready"]
    status, published = typed("draft", "publish", draft)
    assert (status, published["release"]["version"]) == (0, "1.0.0")
    release = published["sha256"]
    status, words = typed(
        "release", "deprecate", release, "--reason", "Too thin.", "--draft", draft, plain=True
    )
    assert (status, words) == (0, "plate 1.0.0 is deprecated\n")
    assert typed("release", "undo", release)[0] == 1  # without the key
    assert typed("release", "undo", release, "--key", begun["key"])[0] == 0
    status, second = typed("draft", "new", "--next-of", draft)
    assert second["key"] == begun["key"]
    assert typed("draft", "show", second["id"])[1]["answers"]["version"] == "1.1.0"
    (tmp_path / "none").mkdir()  # elsewhere, with the operator's token and without the key
    (tmp_path / "none" / "token").write_text((tmp_path / "token").read_text())
    kept = keys.read_text()
    keys.unlink()
    status, words = typed("draft", "new", "--next-of", draft, plain=True)
    assert (status, "no key for" in words, "--key" in words) == (1, True, True)
    assert not keys.exists()
    status, third = typed("draft", "new", "--next-of", draft, "--key", begun["key"])
    assert (status, third["key"]) == (0, begun["key"])
    assert typed("draft", "drop", third["id"])[0] == 0
    (tmp_path / "none" / "token").unlink()
    keys.write_text(kept)
    assert typed("draft", "drop", second["id"])[0] == 0
    assert typed("draft", "show", second["id"])[0] == 1


def test_a_release_is_taken_along_and_a_damaged_archive_is_fetched_again(
    typed: Typed, tmp_path: Path
) -> None:
    plate, out = tmp_path / "plate.svg", tmp_path / "plate.zip"
    plate.write_text(SQUARE)
    draft = typed("draft", "new", str(plate))[1]["id"]
    typed("draft", "say", draft, "--licence", "CERN-OHL-W-2.0", "--licensor", "Ana")
    release = typed("draft", "publish", draft)[1]["sha256"]
    status, words = typed("download", "plate", "--out", str(out), plain=True)
    assert status == 0
    assert re.fullmatch(rf"\S+plate.zip: [1-9]\d* kB, release {release}\n", words)
    assert typed("verify", str(out))[1]["release"] == release
    packed = bytearray(out.read_bytes())
    packed[80] ^= 255
    out.write_bytes(packed)
    status, words = typed("verify", str(out), plain=True)
    assert (status, "Download it again" in words) == (1, True)


def test_every_word_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    for family in ("draft", "release"):
        with pytest.raises(SystemExit) as ended:
            main([family, "--help"])
        assert ended.value.code == 0
        assert capsys.readouterr().out.count(f"cosmolocal {family} ") >= 4
    for words in (["deprecate", "a" * 64], ["undo", "coat-hook"]):
        with pytest.raises(SystemExit) as wrong:
            main(["release", *words])
        assert wrong.value.code == 2
    assert "the design's page shows it" in capsys.readouterr().err
