"""`cosmolocal check` as somebody runs it: one object a file, a status, nothing that deceives."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh

from orchestrator.cli.check import shown
from tests.designs.geometry import hostile, solids
from tests.designs.geometry.drawings import dxf, square

GOOD, DOUBTFUL, BAD = "00_cube.stl", "14_inverted.stl", "02_trunc.stl"


def check(
    *words: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "check", *map(str, words)],
        capture_output=True, text=True, check=False, env=os.environ | (env or {}),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (GOOD, DOUBTFUL, BAD):
        (tmp_path / name).write_bytes(hostile.CASES[name].make())
    return tmp_path


def test_one_object_a_file_in_order_and_nothing_else(folder: Path) -> None:
    names = [str(folder / name) for name in (BAD, GOOD, DOUBTFUL)]
    ran = check("--json", *names)
    seen = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [each["file"] for each in seen] == names
    assert [each["verdict"] for each in seen] == ["reject", "accept", "review"]
    assert all(list(each) == ["file", "verdict", "findings", "facts"] for each in seen)
    assert seen[0]["facts"] is None
    assert set(seen[0]["findings"][0]) == {"severity", "where", "what", "do"}
    facts = seen[1]["facts"]
    assert (facts["kind"], facts["size_mm"], facts["volume_mm3"]) == ("mesh", [20, 20, 20], 8000)
    assert facts["grams"]["pla"] == pytest.approx(9.92)
    assert (facts["watertight"], facts["open_edges"], facts["shells"]) == (True, 0, 1)
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("names", "status"), [((GOOD,), 0), ((GOOD, DOUBTFUL), 3), ((DOUBTFUL, BAD, GOOD), 1)]
)
def test_the_worst_file_gives_the_status(folder: Path, names: tuple[str, ...], status: int) -> None:
    assert check(*(folder / name for name in names)).returncode == status


def test_a_folder_is_walked_and_people_get_words(folder: Path) -> None:
    (folder / "notes.md").write_text("no design")
    (folder / ".hidden.stl").write_text("x")
    ran = check(folder)
    assert ran.returncode == 1
    assert ran.stdout.count("\nREJECTED ") + ran.stdout.startswith("REJECTED ") == 1
    assert "refusal byte 654: it says 12 triangles" in ran.stdout
    assert ran.stdout.endswith("1 accepted, 1 to review, 1 REJECTED\n")
    assert "notes" not in ran.stdout


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--process", "witchcraft", "x.stl"),
        ("--material", "cheese", "x.stl"),
        ("--thickness", "-1", "x.stl"),
        ("--pictures", "/dev/null/seen", "x.stl"),
        ("--pictures", __file__, "x.stl"),
    ],
)
def test_wrong_usage(words: tuple[str, ...]) -> None:
    ran = check(*words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Traceback" not in ran.stderr


def test_what_is_no_file_is_rejected_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.stl")
    (tmp_path / "loop.stl").symlink_to("loop.stl")
    began = time.monotonic()
    ran = check("--json", tmp_path / "pipe.stl", tmp_path / "loop.stl", "/dev/zero", "gone.stl")
    assert [json.loads(line)["verdict"] for line in ran.stdout.splitlines()] == ["reject"] * 4
    assert ran.returncode == 1
    assert time.monotonic() - began < 20


def test_names_and_words_of_strangers_do_not_reach_the_terminal(tmp_path: Path) -> None:
    name = "evil\x1b[2J\u202elts.stl"
    (tmp_path / name).write_bytes(solids.stl(solids.cube()))
    ran = check(tmp_path / name)
    assert "\x1b" not in ran.stdout
    assert "\u202e" not in ran.stdout
    assert "evil\\x1b[2J\\u202elts.stl" in ran.stdout
    assert json.loads(check("--json", tmp_path / name).stdout)["file"] == str(tmp_path / name)


def test_a_terminal_that_knows_only_ascii(folder: Path) -> None:
    ran = check(folder / GOOD, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert ran.returncode == 0
    assert "20 \\xd7 20" in ran.stdout


def test_what_cannot_be_printed_is_escaped() -> None:
    assert shown("a\nb\x00") == "a\\nb\\x00"


def test_with_a_process_it_is_judged_for_it_and_drawn(tmp_path: Path) -> None:
    (tmp_path / "plate.dxf").write_bytes(dxf(square))
    wanted = ("--process", "laser", "--material", "plywood")
    without = json.loads(check("--json", *wanted, tmp_path / "plate.dxf").stdout)
    assert "a sheet part needs one" in {f["what"] for f in without["findings"]}
    more = (*wanted, "--thickness", "3", "--pictures", tmp_path / "seen")
    ran = json.loads(check("--json", *more, tmp_path / "plate.dxf").stdout)
    assert ran["verdict"] == "accept"
    assert ran["facts"]["grams"] == {"plywood": 18.0}
    assert (ran["facts"]["contours"], ran["facts"]["cut_length_mm"]) == (1, 400)
    assert set(ran["pictures"]) == {"thumbnail", "model", "outline"}
    assert Path(ran["pictures"]["thumbnail"]).read_bytes().startswith(b"\x89PNG")


def test_a_small_hole_comes_with_a_repair_to_look_at(tmp_path: Path) -> None:
    """The file stays as it is; what the repair changes is said, and the repair is sound."""
    file, seen = tmp_path / "holed.stl", tmp_path / "seen"
    whole = trimesh.creation.icosphere(subdivisions=3, radius=20)
    file.write_bytes(solids.stl(whole.triangles[1:]))
    before = file.read_bytes()
    ran = check("--json", "--process", "fdm", "--pictures", seen, file)
    told = json.loads(ran.stdout)
    [words] = [f for f in told["findings"] if f["where"] == "a repair is proposed"]
    assert "small hole closed" in words["what"]
    assert "Volume" in words["what"]
    assert file.read_bytes() == before
    assert check(told["pictures"]["repair"]).returncode == 0


def test_where_a_surface_is_open_is_said_and_shown_whatever_is_made_of_it(tmp_path: Path) -> None:
    file = tmp_path / "open.stl"
    file.write_bytes(solids.stl(solids.cube()[2:]))
    told = json.loads(check("--json", "--pictures", tmp_path / "seen", file).stdout)
    [found] = [f for f in told["findings"] if f["severity"] == "warning"]
    assert found["where"] == "1 hole in the surface, the longest at x 0, y 0…20, z 0…20 mm"
    assert "its volume is a guess" in found["what"]
    assert Path(told["pictures"][found["picture"]]).read_bytes().startswith(b"\x89PNG")


def test_a_surface_that_runs_through_itself_is_looked_at_by_a_person(tmp_path: Path) -> None:
    """One shell around the same tower twice: no two pieces that could cross."""
    file = tmp_path / "twice.stl"
    file.write_bytes(solids.stl(winding_twice()))
    told = json.loads(check("--json", file).stdout)
    assert (told["verdict"], told["facts"]["shells"]) == ("review", 1)
    [found] = told["findings"]
    assert "runs through itself" in found["what"]
    assert told["facts"]["measures"]["overlap_mm3"] > 0.3 * told["facts"]["volume_mm3"]


def winding_twice() -> np.ndarray:
    """Triangles of an upright prism over a curve that goes twice around."""
    angle = np.linspace(0, 4 * np.pi, 80, endpoint=False)
    around = 10 + 3 * np.sin(angle / 2)
    low = np.column_stack([around * np.cos(angle), around * np.sin(angle), 0 * angle])
    up, middle = np.array([0, 0, 10]), np.zeros((80, 3))
    high = low + up
    after, above = np.roll(low, -1, 0), np.roll(high, -1, 0)
    sides = [np.stack([low, after, above], 1), np.stack([low, above, high], 1)]
    lids = [np.stack([middle, after, low], 1), np.stack([middle + up, high, above], 1)]
    return np.concatenate([*sides, *lids])
