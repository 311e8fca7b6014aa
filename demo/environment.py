"""Programs that want an environment of their own: installed below `.tools` on first use."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / ".tools"


class CannotInstallError(Exception):
    """A program is not here and could not be brought; the message says what went wrong."""


def make(home: Path, wanted: Sequence[str]) -> None:
    """A virtual environment at `home` with what pip's words `wanted` name; all of it or nothing.

    Raises `CannotInstallError`.
    """
    python = str(home / "bin" / "python")
    if uv := _uv():
        steps = [
            [uv, "venv", "-q", "--clear", "--python", sys.executable, str(home)],
            [uv, "pip", "install", "-q", "--python", python, *wanted],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted],
        ]
    home.parent.mkdir(exist_ok=True)
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(home, ignore_errors=True)
            raise CannotInstallError(
                f"{home.name} could not be installed: {(done.stdout + done.stderr).strip()[-400:]}"
            )


def _uv() -> str | None:
    """The one on the path, the one that ./run keeps below `.tools`, or the interpreter's own."""
    places = (*sorted(TOOLS.glob("*/bin")), Path(sys.executable).parent)
    return shutil.which("uv") or next(
        (str(at / "uv") for at in places if (at / "uv").exists()), None
    )
