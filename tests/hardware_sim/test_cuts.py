import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import shapely

from bench.cuts import asked as asked_of
from bench.cutting import trials
from hardware_sim.config import ConfigRefused, LaserMachine, load
from hardware_sim.metrology import bounded
from hardware_sim.metrology.measure import Question, measure
from hardware_sim.metrology.report import Conformance, limit_cpu_s
from tests.hardware_sim import programs
from tests.hardware_sim.conftest import FOLDER_ENV

PLATE = programs.plate(62, 24, (20, 12, 3))
# Alike in all four poses but for one small hole.
LOPSIDED = shapely.Polygon(
    PLATE.exterior,
    [programs.ring(x, y, 3) for x in (8, 54) for y in (7, 17)] + [programs.ring(20, 12, 2)],
)


def question(tmp_path: Path, machine: str, part: shapely.Polygon, lines: list[str]) -> Question:
    program = tmp_path / "program.nc"
    program.write_text("\n".join(lines) + "\n")
    return Question(load(machine), programs.write_svg(tmp_path / "part.svg", part), program)


def missing(answer: Conformance) -> list[str]:
    assert answer.verdict == "deviates", answer
    assert answer.deviations is not None
    return [said.rsplit(": ")[1] for said in answer.deviations.missing]


@pytest.mark.parametrize("laser", [True, False])
def test_cuts_of_other_cams_are_told_from_spoiled_ones(tmp_path: Path, laser: bool):
    svg = programs.write_svg(tmp_path / "part.svg", LOPSIDED)
    tried = [*trials.spoiled([LOPSIDED], 7, laser=laser)]
    assert len(tried) > 20
    for trial in tried:
        program = tmp_path / "program.nc"
        program.write_text("\n".join(trial.lines) + "\n")
        answer = measure(asked_of(svg, program, trial))
        assert answer.verdict == ("within" if trial.honest else "deviates"), (trial.name, answer)


def engraved(lines: list[str], power: int) -> list[str]:
    return [*lines[:3], "G0 X30 Y5", f"G1 X50 Y18 S{power} F600", *lines[3:]]


def test_engraving_does_not_cut_but_a_line_as_strong_as_the_contours_does(tmp_path: Path):
    lines = programs.burned(PLATE)
    answer = measure(question(tmp_path, "laser-400", PLATE, engraved(lines, 300)))
    assert answer.verdict == "within", answer
    assert answer.made["engraved_mm"] == pytest.approx(23.9, abs=0.1)
    answer = measure(question(tmp_path, "laser-400", PLATE, engraved(lines, 900)))
    assert answer.verdict == "deviates"
    assert answer.deviations is not None
    assert "into the part" in answer.deviations.extra[0]


def test_a_beam_too_weak_all_over_is_seen_once_the_machine_says_what_cuts(tmp_path: Path):
    asked = question(tmp_path, "laser-400", PLATE, programs.burned(PLATE))  # S900 at F600
    assert measure(asked).verdict == "within"
    assert measure(replace(asked, cuts_mm_min=700)).verdict == "within"
    said = missing(measure(replace(asked, cuts_mm_min=600)))
    assert said == ["cut with 90 % of what cuts through here"] * 2
    machine = asked.machine.model_copy(update={"cuts_mm_min": 400.0})
    assert isinstance(machine, LaserMachine)
    assert measure(replace(asked, machine=machine)).verdict == "deviates"


def gapped(count: int, wide_mm: float) -> list[str]:
    """The plate with `count` unlit stretches in the lower long edge."""
    lines = programs.burned(PLATE)
    corners = ("X0.000 Y-0.075", "X62.000 Y-0.075")
    first, end = [k for k, x in enumerate(lines) if any(c in x for c in corners)][:2]
    assert end == first + 1
    sign, start = (-1, 62) if "X0.0" in lines[end] else (1, 0)
    dashes = [
        f"G1 X{start + sign * (10 * k + 5 + more):.3f} S{power}"
        for k in range(count)
        for more, power in ((0.0, 900), (wide_mm, 0))
    ]
    return [*lines[:end], *dashes, *lines[end:]]


def test_a_gap_is_open_and_several_small_ones_are_tabs(tmp_path: Path):
    said = missing(measure(question(tmp_path, "laser-400", PLATE, gapped(1, 0.8))))
    assert said in (["open for 0.6 mm"], ["open for 0.8 mm"])
    answer = measure(question(tmp_path, "laser-400", PLATE, gapped(4, 0.8)))
    assert answer.verdict == "within", answer
    assert answer.made["tabs"] == 4
    assert missing(measure(question(tmp_path, "laser-400", PLATE, gapped(4, 4.0))))


@pytest.mark.parametrize(("radius", "verdict"), [(1.5, "within"), (1.35, "deviates")])
def test_a_drill_makes_holes_of_its_own_size_within_tolerance(
    tmp_path: Path, radius: float, verdict: str
):
    part = programs.plate(62, 24, (20, 12, radius))
    lines = programs.milled(shapely.Polygon(part.exterior))
    plunge = ["G0 X20 Y12", "G1 Z-3.4 F200", "G0 Z5"]
    answer = measure(question(tmp_path, "mill-3018", part, [*lines[:4], *plunge, *lines[4:]]))
    assert answer.verdict == verdict, answer
    assert answer.made["thickness_mm"] == 3.0  # the drill goes deeper, the outside says how thick


def test_a_slot_narrower_than_the_tool_is_not_cut(tmp_path: Path):
    part = PLATE.difference(shapely.box(40, 10, 42.5, 30))
    assert isinstance(part, shapely.Polygon)
    lines = programs.milled(PLATE)
    said = missing(measure(question(tmp_path, "mill-3018", part, lines)))
    assert "too small for the tool" in said


def test_a_solid_plate_says_how_thick_the_stock_is(tmp_path: Path):
    stl = programs.write_stl(tmp_path / "plate.stl", PLATE, 4.0)
    asked = question(tmp_path, "mill-3018", PLATE, programs.milled(PLATE, thick=4.0))
    answer = measure(replace(asked, design=stl))
    assert answer.verdict == "within", answer
    assert answer.made["thickness_from"] == "the design"
    shallow = question(tmp_path, "mill-3018", PLATE, programs.milled(PLATE, thick=3.5))
    assert missing(measure(replace(shallow, design=stl))) == ["not cut through"] * 2


def test_a_solid_that_is_no_plate_is_unmeasurable(tmp_path: Path):
    cone = programs.write_stl(tmp_path / "cone.stl", PLATE, 4.0)
    low, high = PLATE, programs.plate(40, 24, (20, 12, 3))
    programs.write_stl(tmp_path / "top.stl", high, 8.0)
    import trimesh

    meshes = [trimesh.load_mesh(str(p)) for p in (cone, tmp_path / "top.stl")]
    trimesh.util.concatenate(meshes).export(str(cone))
    asked = question(tmp_path, "mill-3018", low, programs.milled(low))
    answer = measure(replace(asked, design=cone))
    assert answer.verdict == "unmeasurable"
    assert "no flat plate" in str(answer.why)


# --- the command --------------------------------------------------------------------------------


def told(*words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "hardware_sim", *words]
    done = subprocess.run(command, env=FOLDER_ENV, capture_output=True, check=False, text=True)
    return done.returncode, done.stdout, done.stderr


def test_an_option_that_the_machine_has_no_use_for_is_wrong_usage(tmp_path: Path):
    asked = question(tmp_path, "laser-400", PLATE, programs.burned(PLATE))
    words = ["measure", "--machine", "laser-400", "--design", str(asked.design)]
    status, said, error = told(*words, "--tool-mm", "3", str(asked.program))
    assert (status, said) == (2, "")
    assert error == "hardware_sim: --tool-mm: laser-400 is a grbl-laser and has none\n"
    status, said, _ = told(*words, "--thickness", "3", str(asked.program))  # every sheet has one
    assert (status, json.loads(said)["verdict"]) == (0, "within")
    assert told(*words, "--kerf-mm", "0", str(asked.program))[0] == 2


def test_a_wrong_machine_file_says_which_keys_and_why(tmp_path: Path):
    path = tmp_path / "mill.toml"
    path.write_text('kind = "grbl-mill"\nname = "m"\nsize_mm = [1, 2, 3]\ntool_mm = -1\nred = 1\n')
    with pytest.raises(ConfigRefused) as refused:
        load(str(path))
    assert str(refused.value) == (
        f"{path}: tool_mm: Input should be greater than 0, not -1; red: there is no such key"
    )


def test_a_child_that_dies_or_raises_is_an_answer_in_words():
    def die() -> bounded.Answer:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGTERM)
        return {}

    def fail() -> bounded.Answer:
        raise RuntimeError("odd")

    def flood() -> bounded.Answer:
        return {"x": len(bytearray(1 << 42))}

    for ask, why in ((die, "SIGTERM"), (fail, "RuntimeError: odd"), (flood, "GiB of memory")):
        answer = bounded.answered(ask, 10)
        assert answer["verdict"] == "unmeasurable"
        assert why in str(answer["why"])
    assert bounded.answered(lambda: {"verdict": "within"}, 10) == {"verdict": "within"}
    assert json.dumps(answer)


def test_a_limit_that_a_reader_took_for_its_own_error_comes_again():
    def stubborn() -> bounded.Answer:
        limit_cpu_s(0.05)
        for _ in range(2):
            with suppress(ValueError):
                while True:
                    pass
        limit_cpu_s(0)
        return {"verdict": "told twice"}

    assert bounded.answered(stubborn, 1)["verdict"] == "told twice"
