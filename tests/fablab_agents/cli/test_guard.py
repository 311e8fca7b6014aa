"""`cosmolocal-agent guard`: its words, its JSON and its exit statuses."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fablab_agents.cli import main
from firmware_bridge import profiles
from firmware_bridge.guard import RULES

GOOD = "G28\nM104 S200\nM109 S200\nG1 Z.2 F600\nG1 X60 E2\nM104 S0\nM84\n"
HOT = GOOD.replace("M104 S0\n", "")
WAITS = GOOD + "M0\n"
BAD = GOOD + "M104 S999\n"
PRINTER = ("guard", "--machine", "generic-fdm-220")


@pytest.fixture
def program(tmp_path: Path) -> Any:
    def written(text: str, name: str = "a.gcode") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return written


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("text", "verdict", "status"),
    [(GOOD, "accept", 0), (HOT, "accept", 0), (WAITS, "review", 3), (BAD, "reject", 1)],
)
def test_one_verdict_and_its_status(
    text: str, verdict: str, status: int, program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = program(text)
    assert main([*PRINTER, path, "--json"]) == status
    (said,) = lines(capsys)
    assert (said["file"], said["verdict"]) == (path, verdict)
    assert said.keys() == {"file", "verdict", "findings", "footer", "facts"}
    assert main([*PRINTER, path]) == status
    assert path in capsys.readouterr().out


def test_one_object_a_program_and_the_worst_decides(
    program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    good, waits, bad = program(GOOD), program(WAITS, "b.gcode"), program(BAD, "c.gcode")
    assert main([*PRINTER, good, waits, "--json"]) == 3
    assert [one["verdict"] for one in lines(capsys)] == ["accept", "review"]
    missing = bad + ".none"
    assert main([*PRINTER, "--json", good, missing, waits, bad]) == 1
    said = lines(capsys)
    assert [one["verdict"] for one in said] == ["accept", "reject", "review", "reject"]
    assert said[1]["findings"] == [
        {"rule": "file", "line": 0, "message": "is not there", "severity": "reject"}
    ]
    assert said[3]["findings"][0]["line"] == 8
    assert said[3]["findings"][0]["rule"] == "temperature"


def test_facts_have_their_units(program: Any, capsys: pytest.CaptureFixture[str]) -> None:
    main([*PRINTER, program(GOOD), "--json", "--material", "pla"])
    facts = lines(capsys)[0]["facts"]
    assert facts["bbox_mm"] == {"min": [0, 0, 0.2], "max": [60, 0, 0.2]}
    assert facts["time_s"] == pytest.approx(6, abs=0.1)
    assert facts["material"] == {"name": "pla", "filament_mm": 2, "volume_mm3": 4.81}
    assert facts["outline_mm"] == [[0, 0], [60, 0]]
    assert facts["hottest_c"] == {"nozzle": 200, "bed": 0}
    assert facts["end_mm"] == {"x": None, "y": None, "z": None}
    assert (facts["lines"], facts["layers"]) == (7, 1)


def test_a_footer_is_told(program: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = program(HOT)
    main([*PRINTER, path, "--json"])
    said = lines(capsys)[0]
    assert said["footer"] == "M104 S0\nM140 S0\nM107\n"
    assert said["findings"][0]["severity"] == "note"
    main([*PRINTER, path])
    assert "M104 S0 / M140 S0 / M107" in capsys.readouterr().out


def test_the_stock_decides_how_deep_a_mill_may_go(
    program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = "G21\nG90\nG0 Z5\nM3 S8000\nG0 X10 Y10\nG1 Z-6 F100\nG1 X50 F300\nG0 Z5\nM5\nM2\n"
    mill = ["guard", "--machine", "generic-cnc-3018", program(cut), "--json"]
    assert main(mill) == 0
    assert main([*mill, "--stock", "100,100,6"]) == 0
    assert main([*mill, "--stock", "100,100,4"]) == 1
    assert lines(capsys)[2]["verdict"] == "reject"


@pytest.mark.parametrize("stock", ["1,2", "a,b,c", "1,2,0", "1,2,-3", "1,2,nan", "1,2,inf", ""])
def test_a_stock_is_three_sizes(stock: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*PRINTER, "--stock", stock, "a.gcode"])
    assert end.value.code == 2
    assert "X,Y,Z" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["guard", "a.gcode"], "--machine"),
        (["guard", "--machine", "nope", "a.gcode"], "generic-fdm-220"),
        (["guard", "--machine", "generic-fdm-220"], "program"),
        (["guard", "--machine", "generic-fdm-220", "--approve"], "no [blocks]"),
    ],
)
def test_wrong_usage_says_what_to_write(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) == 2
    assert hint in lines(capsys)[0]["error"]
    assert main(words) == 2
    assert hint in capsys.readouterr().err


def test_a_profile_of_ones_own(
    tmp_path: Path, program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*PRINTER, "--show"]) == 0
    shown = capsys.readouterr().out
    assert shown == profiles.text("generic-fdm-220")
    mine = tmp_path / "mine.toml"
    mine.write_text(shown.replace("[220, 220, 250]", "[50, 220, 250]"))
    assert main(["guard", "--machine", str(mine), program(GOOD), "--json"]) == 1
    assert lines(capsys)[0]["findings"][0]["rule"] == "envelope"
    mine.write_text(shown + "nozzles = 3\n")
    assert main(["guard", "--machine", str(mine), program(GOOD), "--json"]) == 2
    assert "nozzles" in lines(capsys)[0]["error"]


def test_rules_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", "--explain-rules", "--json"]) == 0
    assert lines(capsys) == [RULES]
    assert main(["guard", "--explain-rules"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(RULES)


def test_a_profile_is_shown_as_toml_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PRINTER, "--show"]) == 0
    assert capsys.readouterr().out == profiles.text("generic-fdm-220")
    assert main([*PRINTER, "--show", "--json"]) == 0
    assert lines(capsys)[0]["name"] == profiles.load("generic-fdm-220").name


def test_blocks_are_shown_and_approved_once(
    tmp_path: Path, program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.toml"
    blocks = (
        '[blocks]\nstart = "G28\\nPRINT_START T={hotend}"\nend = "PRINT_END"\n'
        'lines = ["MARK"]\nend_is_off = true\n[blocks.after]\nhot = true\n'
    )
    mine.write_text(profiles.text("generic-fdm-220") + blocks)
    body = "G28\nPRINT_START T=210\nG1 Z.2 F600\nMARK\nG1 X60 E2\nPRINT_END\n"
    judging = ["guard", "--machine", str(mine), program(body), "--json"]
    approving = ["guard", "--machine", str(mine), "--approve"]
    assert main(judging) == 3
    assert "--approve" in lines(capsys)[0]["findings"][0]["message"]
    assert main([*approving, "--json"]) == 3  # nobody is there to say yes
    assert "error" in lines(capsys)[0]
    assert main([*approving, "--yes", "--person", "Ada", "--json"]) == 0
    out, shown = capsys.readouterr()
    assert json.loads(out).keys() == {"approved"}
    assert "   G28" in shown
    assert " ? PRINT_START T={hotend}" in shown
    assert " ? MARK" in shown
    assert "hot" in shown.splitlines()[-1]
    record = json.loads((tmp_path / "mine.toml.approved").read_text())
    assert record["person"] == "Ada"
    assert main(judging) == 0
    assert lines(capsys)[0]["findings"] == []
    assert main(approving) == 0
    assert "already" in capsys.readouterr().out


def test_numbers_beyond_the_machine_are_marked_before_they_are_approved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.toml"
    start = r"G28\nM104 S900\nM140S60\nG1 X9999 F3000\nG1 X220 Y{number}\nG91\nG1 Z-5\nGO BED=300"
    blocks = f'[blocks]\nstart = "{start}"\nend = "M84{{if x > 999}}\\nM104 S0{{endif}}"\n'
    mine.write_text(profiles.text("generic-fdm-220") + blocks)
    main(["guard", "--machine", str(mine), "--approve"])
    marked = [line for line in capsys.readouterr().err.splitlines() if line.startswith("!")]
    assert marked == [
        "!  M104 S900    <-- S900: the hotend takes 260 °C at most",
        "!  G1 X9999 F3000    <-- X9999: it reaches 0 to 220 mm",
        "!? GO BED=300    <-- BED=300: the bed takes 100 °C at most",
    ]


def test_as_a_command_it_prints_json_and_nothing_else(program: Any) -> None:
    command = [sys.executable, "-m", "fablab_agents.cli", *PRINTER, program(BAD), "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert json.loads(ran.stdout)["verdict"] == "reject"
    plain = subprocess.run(
        command[:-1], capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii"}
    )
    assert plain.returncode == 1
    assert b"REJECTED" in plain.stdout


def test_a_reader_that_leaves_early_is_no_trouble() -> None:
    agent = Path(sys.executable).with_name("cosmolocal-agent")
    out, gone = os.pipe()
    os.close(out)
    asked = [agent, "guard", "--explain-rules", "--json"]
    ended = subprocess.run(asked, stdout=gone, stderr=subprocess.PIPE, check=False)
    os.close(gone)
    assert (ended.returncode, ended.stderr) == (1, b"")
