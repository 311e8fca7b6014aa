"""`cosmolocal-agent stream`: judged, asked about, streamed and told of; with a simulated mill."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fablab_agents.cli import main, stream
from firmware_bridge.driver import Progress
from firmware_bridge.drivers.marlin.conversation import MarlinConversation
from firmware_bridge.links import open_link
from firmware_bridge.streaming import SerialRun, Timeouts
from tests.fablab_agents.cli.strange_boards import Board

ROOT = Path(__file__).resolve().parents[3]
CUT = "G21\nG90\nG0 Z5\nG0 X10 Y10\nM3 S8000\nG1 Z-1 F300\nG1 X40 F600\nG0 Z5\nM5\nM30\n"


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[str]:
    port = tmp_path / "port"
    command = ["-m", "hardware_sim", "run", "mill-3018", "--link", str(port), "--speed", "0"]
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "hardware-sim")},
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["port"]
        yield str(port)
        process.terminate()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "cut.nc"
    path.write_text(CUT)
    return path


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return dict(json.loads(out))


def test_a_program_is_streamed_and_told_of(
    mill: str, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["stream", "--driver", "grbl", "--port", mill, "--no-guard", "--yes", str(program)]
    assert main([*asked, "--json", "--dry-run"]) == 0
    report = told(capsys)
    assert (report["outcome"], report["lines"], report["acked"]) == ("finished", 10, 10)
    assert report["last_line"] == 10
    assert int(str(report["bytes_on_wire"])) > 2 * len(CUT)  # once in check mode, once for good
    assert int(str(report["window_max_bytes"])) <= 127


def test_nothing_moves_when_nobody_can_be_asked(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull) as nobody:  # noqa: PTH123 - a file, not a path's text
        monkeypatch.setattr(sys, "stdin", nobody)
        asked = ["stream", "--driver", "grbl", "--port", "/dev/nothing", "--no-guard"]
        assert main([*asked, str(program), "--json"]) == 3
    assert "Is it clear?" in str(told(capsys)["error"])


def test_what_the_guard_refuses_opens_no_port(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program.write_text(CUT.replace("X40", "X4000"))
    asked = ["stream", "--driver", "grbl", "--port", "/dev/nothing", "--yes", str(program)]
    assert main([*asked, "--json"]) == 1
    assert "the guard refuses cut.nc: line 7" in str(told(capsys)["error"])


def test_a_program_altered_while_a_person_is_asked_is_not_sent(
    mill: str, program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program.write_text(CUT.removesuffix("M5\nM30\n"))  # the guard's footer is wanted
    judged = stream._judged

    def altered_behind_it(*given: object) -> object:
        verdict = judged(*given)  # pyright: ignore[reportArgumentType]
        program.write_text(CUT.replace("Z-1", "Z-30"))
        return verdict

    monkeypatch.setattr(stream, "_judged", altered_behind_it)
    monkeypatch.setattr(stream, "_agree", lambda *_: None)
    asked = ["stream", "--driver", "grbl", "--port", mill, "--yes", "--json", str(program)]
    assert main(asked) == 1
    assert "not the approved program" in str(told(capsys))


def test_a_port_that_is_not_there(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["stream", "--driver", "grbl", "--port", "/dev/nothing", "--no-guard", "--yes"]
    assert main([*asked, str(program), "--json"]) == 1
    assert "plugged in" in str(told(capsys)["error"])


@pytest.mark.parametrize(("silent_s", "end"), [(4.9, "line 3"), (7.2, "line 3, silent for 7 s")])
def test_the_progress_line_says_how_long_the_machine_is_silent(
    silent_s: float, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stream._bar(Progress(0.5, 3), silent_s)
    assert capsys.readouterr().err.removesuffix("\x1b[K").endswith(end)


def test_a_run_counts_the_silence_of_its_machine() -> None:
    board = Board(greets=False, line_s=1.2)
    link = open_link(board.port)
    rows = [(1, b"G28"), (2, b"G1 X1"), (3, b"G1 X2")]
    talk = MarlinConversation(iter(rows), len(rows), Timeouts(), None)
    run = SerialRun(link, talk, "job")
    silent = [run.silent_s for event in run.events() if isinstance(event, Progress)]
    link.close()
    assert 0.4 < max(silent) < 3
