"""A real PrusaSlicer, worked by its keys, sends what it sliced into a draft

PrusaSlicer sends from its window only: it runs on a screen in memory (Xvfb), draws without a GPU,
and is told by keys (xdotool) to slice a cube and to send it. Three ways: "Upload", "Upload and
Print", and with a key that opens nothing.

    sudo apt install xvfb xdotool prusa-slicer libgl1-mesa-dri      and imagemagick for --pictures
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import Any, Final, TypeVar

import httpx
import trimesh

from bench.designs_search import Server, served
from orchestrator.catalogue.slicers import ASKED_TO_PRINT

NEEDED: Final = ("Xvfb", "xdotool", "prusa-slicer")
PACKAGES: Final = ("xvfb", "xdotool", "prusa-slicer", "libgl1-mesa-dri")
PATIENCE_S: Final = 120.0
_PRINTER = """\
host_type = octoprint
preset_names = Ours
print_host = {host}
printer_technology = FFF
printhost_apikey = {key}
printhost_authorization_type = key
"""
_PRESET = """\
inherits =
printer_technology = FFF
bed_shape = 0x0,200x0,200x200,0x200
gcode_flavor = marlin2
printer_settings_id = Ours
"""
_SETTINGS = """\
version = 2.5.0
show_splash_screen = 0
show_hints = 0
version_system_info_sent = 99.9.9
translation_language = en

[presets]
filament = - default FFF -
physical_printer = Cosmolocal
print = - default FFF -
printer = Ours
"""


T = TypeVar("T")
_ASKS: Final = "Send G-Code to printer host"
_REFUSED: Final = "PrusaSlicer error"
_UPLOAD, _AND_PRINT = (230, 198), (346, 198)
"""Where its two buttons are in that window."""


@dataclass(frozen=True)
class Way:
    """What somebody presses, and what has to come of it; `note`: how the draft explains it."""

    button: tuple[int, int]
    knows: bool
    note: str


WAYS: Final = {
    "Upload": Way(_UPLOAD, knows=True, note=""),
    "Upload and Print": Way(_AND_PRINT, knows=True, note=ASKED_TO_PRINT),
    "with a wrong key": Way(_UPLOAD, knows=False, note=""),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="keep pictures of it here")
    args = parser.parse_args()
    missing = [each for each in NEEDED if shutil.which(each) is None]
    if missing:
        print(f"{', '.join(missing)} not found: sudo apt install {' '.join(PACKAGES)}")
        return 3
    with tempfile.TemporaryDirectory() as folder:
        return tried(Path(folder), args.pictures)


def tried(folder: Path, pictures: Path | None) -> int:
    """A line for each way; 1 if something else came of one."""
    cube = folder / "cube.stl"
    trimesh.creation.box((20, 20, 10)).export(cube)
    wrong = 0
    with served(folder / "data", None) as server, screen() as display:
        for name, way in WAYS.items():
            draft = httpx.post(f"{server.url}/api/drafts", json={}).raise_for_status().json()
            own = folder / name
            key = draft["key"] if way.knows else f"{draft['key'][:-4]}aaaa"
            configured(own, server, key)
            with slicer(own, cube, display):
                slice_and_send(display, way.button)
                wait_s = PATIENCE_S if way.knows else 20.0
                came = within(wait_s, lambda draft=draft: files(server, draft))
                refused = bool(windows(display, _REFUSED))
                if pictures:
                    picture(display, pictures / f"{name}.png")
            wrong += told(name, way, came, refused)
    print("as it must be" if not wrong else f"NOT as it must be: {wrong} of {len(WAYS)}")
    return 1 if wrong else 0


def told(name: str, way: Way, came: list[dict[str, Any]], refused: bool) -> bool:
    """Print what came; whether that is wrong."""
    shown = [f"{each['name']}, {each['role']}, {each['size_bytes']:,} bytes" for each in came]
    said = ", and PrusaSlicer says that it was refused" if refused else ""
    print(f"{name:<18} {'; '.join(shown) or 'nothing came'}{said}", flush=True)
    if refused is way.knows:
        return True
    if not way.knows:
        return bool(came)
    right = len(came) == 1 and (came[0]["name"], came[0]["role"]) == ("cube.gcode", "program")
    return not (right and came[0]["size_bytes"] > 10_000 and came[0]["note"] == way.note)


def files(server: Server, draft: dict[str, Any]) -> list[dict[str, Any]]:
    address = f"{server.url}/api/drafts/{draft['id']}"
    draft_now = httpx.get(address, headers={"X-Api-Key": draft["key"]}).raise_for_status().json()
    return draft_now["files"]


def configured(folder: Path, server: Server, key: str) -> None:
    """What the page tells people to set in PrusaSlicer: a physical printer of type OctoPrint."""
    host = server.url.removeprefix("http://")
    for name, text in {
        "PrusaSlicer.ini": _SETTINGS,
        "printer/Ours.ini": _PRESET,
        "physical_printer/Cosmolocal.ini": _PRINTER.format(host=host, key=key),
    }.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


# ── a slicer on a screen that nobody sees


@contextlib.contextmanager
def screen() -> Generator[dict[str, str]]:
    """The environment for programs that are to draw there."""
    number = f":{90 + os.getpid() % 900}"
    shown = subprocess.Popen(["Xvfb", number, "-screen", "0", "1400x900x24"], stderr=DEVNULL)
    try:
        yield dict(os.environ) | {
            "DISPLAY": number, "LIBGL_ALWAYS_SOFTWARE": "1", "LC_ALL": "C.UTF-8",
        }  # fmt: skip
    finally:
        shown.terminate()
        shown.wait(10)


@contextlib.contextmanager
def slicer(folder: Path, cube: Path, display: dict[str, str]) -> Generator[None]:
    command = ["prusa-slicer", "--datadir", str(folder), str(cube)]
    running = subprocess.Popen(command, env=display, stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield
    finally:
        running.kill()
        running.wait(10)


def slice_and_send(display: dict[str, str], button: tuple[int, int]) -> None:
    within(PATIENCE_S, lambda: windows(display, "PrusaSlicer"))
    deadline = time.monotonic() + PATIENCE_S
    while not (asks := windows(display, _ASKS)):
        if time.monotonic() > deadline:
            raise SystemExit("PrusaSlicer did not ask how to send: look at it with --pictures")
        pressed(display, "key", "ctrl+r")
        time.sleep(5)
        pressed(display, "key", "ctrl+shift+g")
        time.sleep(2)
    pressed(display, "mousemove", "--window", asks[0], *map(str, button), "click", "1")


def windows(display: dict[str, str], title: str) -> list[str]:
    found = subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--name", title],
        env=display, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.split()


def pressed(display: dict[str, str], *what: str) -> None:
    subprocess.run(["xdotool", *what], env=display, check=True)


def picture(display: dict[str, str], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["import", "-window", "root", str(file)], env=display, check=True)


def within(seconds: float, look: Callable[[], list[T]]) -> list[T]:
    """What is there to see at last."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


if __name__ == "__main__":
    sys.exit(main())
