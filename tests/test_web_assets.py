"""The pages' scripts: what is served is what was fetched, and the pages ask for nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENDOR = Path("orchestrator/web/static/vendor")


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    """A project folder of its own with the fetching script and what it fetched."""
    if not (ROOT / VENDOR / "made-from").exists():
        assert os.environ.get("CI") != "true", "the scripts were not fetched, and CI skips nothing"
        pytest.skip("needs the pages' scripts: ./run demo or ./run test fetches them")
    shutil.copytree(ROOT / "web-assets", tmp_path / "web-assets")
    shutil.copytree(ROOT / VENDOR, tmp_path / VENDOR)
    return tmp_path


def fetch(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Without site-packages and with an empty PATH: no npm is anywhere."""
    command = [sys.executable, "-S", str(folder / "web-assets" / "fetch.py"), *words]
    environment = {**os.environ, "PATH": str(folder)}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=60
    )


def test_what_was_fetched_is_not_fetched_again(fetched: Path):
    assert fetch(fetched, "--check").returncode == 0
    assert fetch(fetched).returncode == 0


@pytest.mark.parametrize("harm", ["altered", "gone", "other packages"])
def test_what_is_not_as_it_was_fetched_is_seen(fetched: Path, harm: str):
    script = fetched / VENDOR / "htmx.min.js"
    if harm == "altered":
        script.write_bytes(script.read_bytes() + b"//")
    elif harm == "gone":
        script.unlink()
    else:
        lock = fetched / "web-assets" / "package-lock.json"
        lock.write_text(lock.read_text() + "\n")
    assert fetch(fetched, "--check").returncode == 1


def test_without_npm_it_says_so_and_leaves_what_is_there(fetched: Path):
    script = fetched / VENDOR / "htmx.min.js"
    script.unlink()
    done = fetch(fetched)
    assert done.returncode == 1
    assert "there is no npm here" in done.stderr
    assert (fetched / VENDOR / "leaflet.js").exists()


def test_every_package_is_pinned_by_its_hash_and_names_no_registry():
    lock = json.loads((ROOT / "web-assets" / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert [name for name, entry in packages.items() if "integrity" not in entry] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []


def test_the_pages_ask_only_for_what_is_fetched():
    fetched = re.findall(
        r'^    "([^"]+)": "', (ROOT / "web-assets" / "fetch.py").read_text(), re.MULTILINE
    )
    pages = [*ROOT.glob("orchestrator/**/*.html"), *ROOT.glob("fablab_agents/**/*.html")]
    assert pages
    asked = {
        (page.name, name)
        for page in pages
        for name in re.findall(r"/static/vendor/([\w./-]+)", page.read_text())
    }
    assert {(page, name) for page, name in asked if name not in fetched} == set()


def test_the_pages_load_nothing_from_elsewhere():
    pages = [*ROOT.glob("orchestrator/**/*.html"), *ROOT.glob("fablab_agents/**/*.html")]
    loads = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=[\"'](?:https?:)?//")
    assert [page.name for page in pages if loads.search(page.read_text())] == []
