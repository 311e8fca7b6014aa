"""Small designs of our own, a store of each kind, and the whole application over it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from orchestrator.app import create_app
from orchestrator.catalogue.drafts import Drafts
from orchestrator.dispatch.signing import Signer
from orchestrator.settings import Settings
from orchestrator.store import Store

SQUARE = """<svg xmlns="http://www.w3.org/2000/svg" width="40mm" height="40mm" viewBox="0 0 40 40">
<path d="M0 0H40V40H0Z"/><circle cx="20" cy="20" r="6"/></svg>"""
GCODE = "; made by nobody\nG28\nG1 X10 Y10 F3000\nM84\n"


def block(x: float = 20, y: float = 12, z: float = 8) -> str:
    """A box as ASCII STL, in mm."""
    corners = [(a, b, c) for a in (0, x) for b in (0, y) for c in (0, z)]
    faces = [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ]  # fmt: skip
    lines = ["solid block"]
    for face in faces:
        lines += ["facet normal 0 0 0", "outer loop"]
        lines += [f"vertex {corners[n][0]} {corners[n][1]} {corners[n][2]}" for n in face]
        lines += ["endloop", "endfacet"]
    return "\n".join([*lines, "endsolid block", ""])


@pytest.fixture
async def any_store(database_url: str, tmp_path: Path) -> AsyncIterator[Store]:
    """On SQLite and on PostgreSQL."""
    opened = await Store.open(database_url, tmp_path / "blobs")
    yield opened
    await opened.close()


@dataclass
class Folder:
    """Writes files to be put into drafts."""

    path: Path

    def put(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "mine")


@dataclass
class City:
    """The application as HTTP clients see it. `operator` carries the operator's token."""

    store: Store
    drafts: Drafts
    client: httpx.AsyncClient
    operator: dict[str, str]


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    async for each in served(tmp_path):
        yield each


async def served(tmp_path: Path, **settings: object) -> AsyncIterator[City]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/test.db", tmp_path / "blobs")
    signer = Signer.open(tmp_path / "keys.json")
    told = Settings.model_validate({"data_dir": tmp_path, **settings})
    app = create_app(told, store, signer, lambda: True)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:
        token = {"Authorization": f"Bearer {app.state.operator_token}"}
        yield City(store, app.state.drafts, client, token)
    await store.close()
