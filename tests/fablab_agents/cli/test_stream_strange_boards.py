"""`cosmolocal-agent stream` against boards as strangers write them, and programs of every kind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fablab_agents.cli import main
from tests.fablab_agents.cli.strange_boards import Board

MOVES = ["G28", "G1 X1 F600", "G1 X2"]


def streamed(
    board: Board, folder: Path, capsys: pytest.CaptureFixture[str], data: bytes, driver: str
) -> tuple[int, dict[str, object]]:
    path = folder / "job.gcode"
    path.write_bytes(data)
    asked = ["stream", "--driver", driver, "--port", board.port, "--no-guard", "--yes", "--json"]
    status = main([*asked, str(path)])
    out = capsys.readouterr().out
    assert out.count("\n") == 1, "standard output is one line of JSON"
    return status, json.loads(out)


@pytest.mark.parametrize(
    "board",
    [
        {},
        {"advanced": True},
        {"greets": False},
        {"boot_s": 1.0},
        {"boot_s": 3.5},
        {"name": b""},
        {"heat": False},
        {"name": b"", "heat": False},
        {"late_s": 0.05},
        {"line_s": 0.1},
        {"m400_s": 2.0},
        {"busy": True},
    ],
    ids=str,
)
def test_a_board_of_any_manner_gets_every_line_once(
    board: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = Board(**board)  # pyright: ignore[reportArgumentType]
    status, report = streamed(at, tmp_path, capsys, "\n".join(MOVES).encode(), "marlin")
    assert (status, report["outcome"], report["acked"]) == (0, "finished", 3), report
    assert at.got[:4] == [*MOVES, "M400"]
    assert float(str(report["seconds"])) < 4


@pytest.mark.parametrize(
    ("data", "made"),
    [
        (b"", []),
        (b"; nothing\n; to do", []),
        (b"G28", ["G28"]),
        (b"G28\r\nG1 X1\r\n", ["G28", "G1 X1"]),
        ("; Düse ✓\nG28 ; naïve\n\n\nG1 X1".encode(), ["G28", "G1 X1"]),
    ],
)
def test_a_program_of_any_kind_is_told_as_its_commands(
    data: bytes, made: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = Board()
    status, report = streamed(board, tmp_path, capsys, data, "marlin")
    assert (status, report["outcome"], report["lines"]) == (0, "finished", len(made))
    assert board.got == [*made, "M400", "M105"]


@pytest.mark.parametrize(
    ("board", "driver", "status", "words"),
    [
        (Board(language="grbl"), "marlin", 3, "is a GRBL controller"),
        (Board(knows_all=False), "grbl", 3, "is a printer with Marlin"),
        (Board(unplugged_after=2), "marlin", 1, "unplugged"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    board: Board,
    driver: str,
    status: int,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, report = streamed(board, tmp_path, capsys, "\n".join(MOVES).encode(), driver)
    assert found == status
    assert words in str(report)


def test_control_characters_never_reach_a_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = Board()
    status, report = streamed(board, tmp_path, capsys, b"G28\rM112\n", "marlin")
    assert (status, board.got) == (1, [])
    assert "character that machines do not read" in str(report["error"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("begun", [False, True])
def test_a_signal_ends_it_safely_whenever_it_comes(
    number: signal.Signals, begun: bool, tmp_path: Path
) -> None:
    board = Board(line_s=0.02) if begun else Board(boot_s=60)
    path = tmp_path / "job.gcode"
    path.write_text("G28\n" + "G1 X1\n" * 3000)
    asked = ["stream", "--driver", "marlin", "--port", board.port, "--no-guard", "--yes", "--json"]
    agent = Path(sys.executable).with_name("cosmolocal-agent")
    process = subprocess.Popen([agent, *asked, str(path)], stdout=subprocess.PIPE, text=True)
    held = f"/proc/{process.pid}/fd"
    while not (board.got if begun else board.port in map(_target, Path(held).iterdir())):
        time.sleep(0.05)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    report = json.loads(out)
    assert process.returncode == 1
    assert report["outcome"] == ("interrupted" if begun else "not started")
    assert report["detail"] == number.name


def test_a_person_is_told_at_once_that_it_asks_and_that_it_stops(tmp_path: Path) -> None:
    board = Board(line_s=0.02)
    path = tmp_path / "job.gcode"
    path.write_text("G28\n" + "G1 X1\n" * 3000)
    asked = ["stream", "--driver", "marlin", "--port", board.port, "--no-guard", "--yes"]
    agent = Path(sys.executable).with_name("cosmolocal-agent")
    process = subprocess.Popen(
        [agent, *asked, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not board.got:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    asks, stops = said.splitlines()
    assert asks == f"asking who answers on {board.port} …"
    assert stops == "stopping: waits up to 15 s for the machine's answer"


def _target(link: Path) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - as text
    except OSError:
        return ""
