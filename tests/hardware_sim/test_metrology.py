import itertools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from shapely import affinity

from hardware_sim.config import load
from hardware_sim.metrology import pose
from hardware_sim.metrology.measure import Question, measure
from hardware_sim.metrology.report import Conformance, Deviations
from tests.hardware_sim import programs
from tests.hardware_sim.conftest import FOLDER_ENV

PLATE = programs.plate(62, 24, (20, 12, 3))
LAYERS = 20


@pytest.fixture(scope="module")
def stl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("designs")
    return programs.write_stl(folder / "plate.stl", PLATE, LAYERS * programs.LAYER_MM)


def asked(tmp_path: Path, machine: str, design: Path, lines: list[str]) -> Question:
    program = tmp_path / "program.gcode"
    program.write_text("\n".join(lines) + "\n")
    return Question(load(machine), design, program)


def deviating(answer: Conformance) -> Deviations:
    assert answer.verdict == "deviates", answer
    assert answer.deviations is not None
    return answer.deviations


# --- printed ---------------------------------------------------------------------------------


def test_a_true_print_is_within_and_its_figures_are_small(tmp_path: Path, stl: Path):
    answer = measure(asked(tmp_path, "printer-220", stl, programs.printed(lambda _: PLATE, LAYERS)))
    assert answer.verdict == "within", answer
    assert answer.kind == "program conformance"
    assert answer.deviations is not None
    assert answer.deviations.outline_mm < 0.1
    assert abs(answer.deviations.volume_pct or 0) < 0.5
    assert answer.machine_s is not None
    assert answer.machine_s > 300
    assert answer.made["layers"] == LAYERS
    assert float(str(answer.made["apart_mm3"])) == pytest.approx(
        8 * programs.FILAMENT_MM2, rel=0.01
    )


def test_a_design_turned_inside_out_is_the_same_part(tmp_path: Path, stl: Path):
    import trimesh

    mesh = trimesh.load_mesh(str(stl))
    mesh.invert()
    mesh.export(str(tmp_path / "out.stl"))
    lines = programs.printed(lambda _: PLATE, LAYERS)
    answer = measure(asked(tmp_path, "printer-220", tmp_path / "out.stl", lines))
    assert (answer.verdict, answer.made["design_inside_out"]) == ("within", True), answer


def test_one_calibration_all_through_is_told_and_a_change_of_it_counts(tmp_path: Path, stl: Path):
    lines = programs.printed(lambda _: PLATE, LAYERS)
    heights = [i for i, line in enumerate(lines) if line.startswith("G1 Z")]
    begin, end = heights[6], heights[16]
    answer = measure(asked(tmp_path, "printer-220", stl, ["M221 S95", *lines]))
    assert answer.verdict == "within", answer
    assert answer.made["flow_pct"]["set"] == 95  # type: ignore[index]
    lines = [*lines[:begin], "M221 S95", *lines[begin:end], "M221 S100", *lines[end:]]
    off = deviating(measure(asked(tmp_path, "printer-220", stl, lines)))
    assert off.volume_pct == pytest.approx(-5, abs=0.7)


def test_a_missing_layer_is_named(tmp_path: Path, stl: Path):
    lines = programs.printed(lambda _: PLATE, LAYERS, skip=frozenset([7]))
    off = deviating(measure(asked(tmp_path, "printer-220", stl, lines)))
    assert off.missing == ["layer between z 1.40 and 1.80"]


def test_a_missing_top_is_named(tmp_path: Path, stl: Path):
    lines = programs.printed(lambda _: PLATE, LAYERS, skip=frozenset([19]))
    off = deviating(measure(asked(tmp_path, "printer-220", stl, lines)))
    assert off.missing == ["everything between z 3.80 and 4.00"]


@pytest.mark.parametrize("thin", [range(5, 15), range(LAYERS)])
def test_five_percent_too_little_plastic_is_seen(tmp_path: Path, stl: Path, thin: range):
    def flow(layer: int) -> float:
        return 0.95 if layer in thin else 1.0

    lines = programs.printed(lambda _: PLATE, LAYERS, flow)
    off = deviating(measure(asked(tmp_path, "printer-220", stl, lines)))
    assert off.volume_pct == pytest.approx(-5, abs=0.7)
    assert off.missing == []


@pytest.mark.parametrize(("dx", "dy"), [(0.5, 0.0), (-0.36, 0.36)])
def test_a_hole_shifted_by_half_a_millimetre_is_seen(
    tmp_path: Path, stl: Path, dx: float, dy: float
):
    moved = programs.plate(62, 24, (20 + dx, 12 + dy, 3))
    lines = programs.printed(lambda _: moved, LAYERS)
    off = deviating(measure(asked(tmp_path, "printer-220", stl, lines)))
    assert 0.4 < off.outline_mm < 0.6


def test_one_percent_of_scale_is_seen_from_60_mm_on(tmp_path: Path, stl: Path):
    grown = affinity.scale(PLATE, 1.01, 1.01, origin=(31, 12))
    off = deviating(
        measure(asked(tmp_path, "printer-220", stl, programs.printed(lambda _: grown, LAYERS)))
    )
    assert off.outline_mm == pytest.approx(0.62, abs=0.1)


def test_a_hole_in_a_solid_first_layer_that_is_not_in_the_design(tmp_path: Path, stl: Path):
    more = shapely.Polygon(PLATE.exterior, [*PLATE.interiors, programs.ring(45, 12, 3)])
    lines = programs.printed(lambda _: more, LAYERS, share_at=lambda n: 1.0 if n == 0 else 0.15)
    off = deviating(measure(asked(tmp_path, "printer-220", stl, lines)))
    assert any("in the first layer" in e for e in off.extra)


def test_a_hole_that_was_closed_is_seen(tmp_path: Path, stl: Path):
    closed = shapely.Polygon(PLATE.exterior)
    off = deviating(
        measure(asked(tmp_path, "printer-220", stl, programs.printed(lambda _: closed, LAYERS)))
    )
    assert off.outline_mm > 1


def test_an_island_apart_from_the_design_is_extra_or_apart(tmp_path: Path, stl: Path):
    stray = shapely.union_all([PLATE, shapely.box(18, 10, 22, 14)])
    off = deviating(
        measure(asked(tmp_path, "printer-220", stl, programs.printed(lambda _: stray, LAYERS)))
    )
    assert sum("beside the part" in e for e in off.extra) >= LAYERS - 1  # the first may be a brim


def test_two_placed_copies_are_compared_together(tmp_path: Path, stl: Path):
    both = shapely.union_all([PLATE, affinity.translate(PLATE, 0, 40)])
    question = asked(tmp_path, "printer-220", stl, programs.printed(lambda _: both, LAYERS))
    place = tmp_path / "placement.json"
    rows = [{"dx_mm": 0, "dy_mm": dy, "dz_mm": 0, "rotation_deg": 0} for dy in (0, 40)]
    place.write_text(json.dumps({"copies": rows}))
    assert measure(replace(question, placement=place)).verdict == "within"
    found = measure(question)  # without a placement each copy is found, and counted
    assert (found.verdict, found.made["copies"]) == ("within", 2)
    rows.append({"dx_mm": 0, "dy_mm": 80, "dz_mm": 0, "rotation_deg": 0})
    place.write_text(json.dumps({"copies": rows}))
    assert measure(replace(question, placement=place)).verdict == "deviates"


@pytest.mark.parametrize("degrees", [90, 180, 37.3])
def test_a_print_turned_on_the_bed_is_the_same_part(tmp_path: Path, stl: Path, degrees: float):
    turned = affinity.rotate(PLATE, degrees, origin=(31, 12))
    lines = programs.printed(lambda _: turned, LAYERS)
    answer = measure(asked(tmp_path, "printer-220", stl, lines))
    assert answer.verdict == "within", answer
    assert float(str(answer.made["turned_deg"])) == pytest.approx(degrees, abs=0.05)


def test_a_mirrored_print_is_another_part(tmp_path: Path):
    corner = shapely.Polygon([(0, 0), (40, 0), (40, 12), (15, 12), (15, 25), (0, 25)])
    stl = programs.write_stl(tmp_path / "corner.stl", corner, LAYERS * programs.LAYER_MM)
    mirrored = affinity.scale(corner, -1, 1)
    lines = programs.printed(lambda _: mirrored, LAYERS)
    assert measure(asked(tmp_path, "printer-220", stl, lines)).verdict == "deviates"


def test_a_layer_laid_twice_is_extra(tmp_path: Path, stl: Path):
    lines = programs.printed(lambda _: PLATE, LAYERS)
    heights = [i for i, line in enumerate(lines) if line.startswith("G1 Z")]
    start, end = heights[9], heights[10]
    lines = [*lines[:end], *lines[start:end], *lines[end:]]
    off = deviating(measure(asked(tmp_path, "printer-220", stl, lines)))
    assert off.extra == ["layer at z 1.80 is laid more than once"]


def test_a_shift_in_mid_print_is_seen(tmp_path: Path, stl: Path):
    aside = affinity.translate(PLATE, 0.5, 0)
    lines = programs.printed(lambda layer: PLATE if layer < LAYERS / 2 else aside, LAYERS)
    off = deviating(measure(asked(tmp_path, "printer-220", stl, lines)))
    assert off.outline_mm == pytest.approx(0.5, abs=0.1)


def test_a_skirt_and_a_brim_are_told_apart_from_the_part(tmp_path: Path, stl: Path):
    round_it = PLATE.buffer(6).difference(PLATE.buffer(5.1))
    brim = shapely.Polygon(PLATE.exterior).buffer(4)

    def region(layer: int) -> shapely.geometry.base.BaseGeometry:
        return shapely.union_all([PLATE, round_it]) if layer == 0 else PLATE

    answer = measure(asked(tmp_path, "printer-220", stl, programs.printed(region, LAYERS)))
    assert answer.verdict == "within", answer
    assert set(answer.made["apart"]) == {"purge", "skirt"}  # type: ignore[call-overload]
    lines = programs.printed(lambda layer: brim if layer == 0 else PLATE, LAYERS)
    told = measure(asked(tmp_path, "printer-220", stl, lines))
    assert "brim" in told.made["apart"]  # type: ignore[operator]


@pytest.mark.parametrize("step_mm", [0.12, 0.1])  # above the first layer's middle, and in it
def test_a_brim_below_a_part_that_widens_at_once_is_no_part_of_it(tmp_path: Path, step_mm: float):
    wide = PLATE.buffer(0.6, join_style="mitre")
    low = programs.write_stl(tmp_path / "low.stl", PLATE, step_mm)
    high = programs.write_stl(tmp_path / "high.stl", wide, LAYERS * programs.LAYER_MM - step_mm)
    _stacked(low, high, step_mm)
    outside = shapely.Polygon(PLATE.exterior)
    brim = outside.buffer(2.0).difference(outside.buffer(0.02))

    def region(layer: int) -> shapely.geometry.base.BaseGeometry:
        return wide if layer else shapely.MultiPolygon([PLATE, brim])

    answer = measure(asked(tmp_path, "printer-220", low, programs.printed(region, LAYERS)))
    assert answer.verdict == "within", answer


def test_a_brim_that_touches_a_thick_first_layer_is_no_part_of_it(tmp_path: Path):
    stl = programs.write_stl(tmp_path / "plate.stl", PLATE, 0.2 + 9 * 0.1)
    lines = programs.printed(lambda _: PLATE, 10)
    second = lines.index("G1 Z0.400 F1200")
    around = PLATE.buffer(0.15, join_style="mitre").exterior.coords
    brim = [f"G1 X{50 + x:.3f} Y{60 + y:.3f} E1 F1500" for x, y in around]
    brim[0] = brim[0].replace(" E1", "")
    thin = [_halved(line) for line in lines[second:]]
    answer = measure(asked(tmp_path, "printer-220", stl, [*lines[:second], *brim, *thin]))
    assert answer.verdict == "within", answer


def _halved(line: str) -> str:
    """A line of a layer above the first, as it is at half the height."""
    line = re.sub(r"Z([0-9.]+)", lambda m: f"Z{0.1 + float(m[1]) / 2:.3f}", line)
    return re.sub(r"E([0-9.]+)", lambda m: f"E{float(m[1]) / 2:.5f}", line)


def test_a_wall_whose_beads_lie_on_the_edge_below_an_overhang_is_no_support(tmp_path: Path):
    wide = PLATE.buffer(4, join_style="mitre")
    neck_mm = 4 * programs.LAYER_MM
    low = programs.write_stl(tmp_path / "low.stl", PLATE, neck_mm)
    high = programs.write_stl(tmp_path / "high.stl", wide, LAYERS * programs.LAYER_MM - neck_mm)
    _stacked(low, high, neck_mm)
    swollen = PLATE.buffer(programs.WIDTH_MM / 2 + 0.01, join_style="mitre")

    def region(layer: int) -> shapely.geometry.base.BaseGeometry:
        return swollen if layer < 4 else wide

    answer = measure(asked(tmp_path, "printer-220", low, programs.printed(region, LAYERS)))
    assert "support" not in answer.made["apart"], answer  # type: ignore[operator]


def test_a_purge_line_between_two_layers_does_not_move_the_part(tmp_path: Path):
    flat = programs.write_stl(tmp_path / "flat.stl", PLATE, 2 * programs.LAYER_MM)
    lines = programs.printed(lambda _: PLATE, 2)
    second = [i for i, line in enumerate(lines) if line.startswith("G1 Z")][2]
    purge = ["G1 Z0.28 F600", "G0 X45 Y60", "G1 X45 Y90 E2 F900", "G0 X44.6 Y90", "G1 Y60 E2"]
    lines = [*lines[:second], *purge, *lines[second:]]
    answer = measure(asked(tmp_path, "printer-220", flat, lines))
    assert answer.verdict == "within", answer
    assert answer.deviations is not None
    assert answer.deviations.outline_mm < 0.05


def test_a_bead_with_upright_sides_is_as_right_as_one_with_round_sides(tmp_path: Path):
    bar = shapely.box(0, 0, 40, 1.3)
    stl = programs.write_stl(tmp_path / "bar.stl", bar, LAYERS * programs.LAYER_MM)
    upright = bar.buffer((programs.WIDTH_MM - programs.SPACING_MM) / 2, join_style="mitre")
    lines = programs.printed(lambda _: upright, LAYERS)
    answer = measure(asked(tmp_path, "printer-220", stl, lines))
    assert answer.verdict == "within", answer


def test_infill_that_is_traced_there_and_back_is_no_layer_laid_twice(tmp_path: Path, stl: Path):
    lines = programs.printed(lambda _: PLATE, LAYERS, share_at=lambda _: 1.0)
    start, end = [i for i, line in enumerate(lines) if line.startswith("G1 Z")][9:11]
    layer = lines[start:end]
    begins = [i for i, line in enumerate(layer) if " E" not in line]
    infill = [layer[i : i + 2] for i, j in itertools.pairwise(begins) if j - i == 2]
    again = [line for pair in infill for line in pair]
    lines = [*lines[:end], *again, *lines[end:]]
    answer = measure(asked(tmp_path, "printer-220", stl, lines))
    assert answer.verdict == "within", answer


def test_a_slit_that_plastic_closes_and_a_fin_too_thin_for_a_bead_are_nothing(tmp_path: Path):
    finned = shapely.union_all([PLATE, shapely.box(61.9, 10, 66, 10.42)])
    assert isinstance(finned, shapely.Polygon)
    stl = programs.write_stl(tmp_path / "fin.stl", finned, LAYERS * programs.LAYER_MM)
    halves = PLATE.difference(shapely.box(40, -1, 40.06, 25))
    answer = measure(
        asked(tmp_path, "printer-220", stl, programs.printed(lambda _: halves, LAYERS))
    )
    assert answer.verdict == "within", answer


def test_a_part_on_a_raft_stands_higher_and_is_the_same_part(tmp_path: Path, stl: Path):
    raft = shapely.Polygon(PLATE.exterior).buffer(3)
    lines = programs.printed(lambda layer: PLATE if layer > 2 else raft, LAYERS + 3)
    answer = measure(asked(tmp_path, "printer-220", stl, lines))
    assert (answer.verdict, answer.made["lifted_mm"]) == ("within", 0.6), answer


def test_a_part_is_found_though_support_widens_its_box():
    corner = shapely.Polygon([(0, 0), (40, 0), (40, 12), (15, 12), (15, 25), (0, 25)])
    ring = shapely.get_coordinates(corner.buffer(-0.2).exterior)
    paths = np.hstack([ring[:-1], ring[1:]])
    lines = np.asarray(shapely.linestrings(paths.reshape(-1, 2, 2)), dtype=object)
    trace = pose.Trace(pose.spread(paths, 1000), lines, 0.2, lambda _: corner)
    design = shapely.get_coordinates(corner.convex_hull)
    widened = shapely.get_coordinates(shapely.box(-15, -1, 45, 60))
    found = pose.best([trace], widened, design, pose.Pose())
    assert found.share > 0.99, found


def test_a_patch_beside_the_part_is_extra_whatever_a_comment_says(tmp_path: Path, stl: Path):
    patch = shapely.box(70, 5, 76, 11)

    def region(layer: int) -> shapely.geometry.base.BaseGeometry:
        return shapely.union_all([PLATE, patch]) if layer in (9, 10) else PLATE

    lines = [f"{line} ;TYPE:Support material" for line in programs.printed(region, LAYERS)]
    off = deviating(measure(asked(tmp_path, "printer-220", stl, lines)))
    assert len(off.extra) == 2
    assert all("beside the part" in e for e in off.extra)


def test_support_under_an_overhang_is_no_part_of_it(tmp_path: Path):
    table = shapely.box(0, 0, 30, 20)
    foot = shapely.box(0, 0, 8, 20)
    stl = programs.write_stl(tmp_path / "foot.stl", foot, 2.0)
    top = programs.write_stl(tmp_path / "top.stl", table, 2.0)
    _stacked(stl, top, 2.0)
    pillars = shapely.MultiPolygon([shapely.box(x, 1, x + 2.5, 19) for x in (10, 16, 22)])

    def region(layer: int) -> shapely.geometry.base.BaseGeometry:
        return table if layer >= 10 else shapely.union_all([foot, pillars])

    answer = measure(asked(tmp_path, "printer-220", stl, programs.printed(region, LAYERS)))
    assert answer.verdict == "within", answer
    assert float(str(answer.made["apart"]["support"])) > 100  # type: ignore[index]


def _stacked(low: Path, high: Path, lift_mm: float) -> None:
    """Puts the second mesh upon the first, in the first's file."""
    import trimesh

    meshes = [trimesh.load_mesh(str(path)) for path in (low, high)]
    meshes[1].apply_translation([0, 0, lift_mm])
    trimesh.util.concatenate(meshes).export(str(low))


@pytest.mark.parametrize(
    "hostile",
    [
        ["G1 Xnan Y1 E1"],
        ["G1 X1e300 E1", "G1 X99999999999999999999 Y5 E9"],
        ["\x00" * 4096, "G1" + " X1" * 5000],
        ["G2 I999999 J0 X5 E5", *["G1 X1 Y1 E1"] * 3],
        [],
    ],
)
@pytest.mark.parametrize("machine", ["printer-220", "laser-400"])
def test_hostile_programs_are_unmeasurable_or_deviate_in_words(
    tmp_path: Path, stl: Path, machine: str, hostile: list[str]
):
    design = stl if machine == "printer-220" else programs.write_svg(tmp_path / "p.svg", PLATE)
    answer = measure(asked(tmp_path, machine, design, ["G90", "M83", *hostile]))
    assert answer.verdict in ("unmeasurable", "deviates")
    assert answer.why or answer.deviations


@pytest.mark.parametrize(
    ("design", "lines", "why"),
    [
        ("none.stl", ["G28", "M84"], "no bead"),
        ("none.step", ["G28"], "no bead"),
        ("broken.stl", ["M83", "G1 Z.2", "G1 X10 E1", "G1 Y10 E1"], "triangles"),
    ],
)
def test_what_cannot_be_measured_says_why(tmp_path: Path, design: str, lines: list[str], why: str):
    path = tmp_path / design
    path.write_bytes(b"\0" * 84)
    answer = measure(asked(tmp_path, "printer-220", path, lines))
    assert answer.verdict == "unmeasurable"
    assert why in str(answer.why) or "triangles" in str(answer.why) or "mesh" in str(answer.why)


def test_a_program_that_waits_for_a_person_is_not_made(tmp_path: Path, stl: Path):
    lines = programs.printed(lambda _: PLATE, LAYERS)
    answer = measure(asked(tmp_path, "printer-220", stl, [*lines[:50], "M0", *lines[50:]]))
    assert answer.verdict == "deviates"
    assert "waits for a person" in str(answer.why)


@pytest.mark.skipif(shutil.which("prusa-slicer") is None, reason="PrusaSlicer is not installed")
def test_untouched_prusaslicer_output_is_within(tmp_path: Path, stl: Path):
    sliced = tmp_path / "sliced.gcode"
    command = ["prusa-slicer", "--export-gcode", "--loglevel", "1", "--skirts", "0"]
    command += ["--layer-height", "0.2", "--first-layer-height", "0.2", "--center", "110,110"]
    subprocess.run([*command, str(stl), "-o", str(sliced)], check=True, capture_output=True)
    answer = measure(Question(load("printer-220"), stl, sliced))
    assert answer.verdict == "within", answer


# --- milled and burned -----------------------------------------------------------------------


@pytest.fixture
def svg(tmp_path: Path) -> Path:
    return programs.write_svg(tmp_path / "plate.svg", PLATE)


def test_a_true_milling_is_within_and_tells_its_tabs(tmp_path: Path, svg: Path):
    question = asked(tmp_path, "mill-3018", svg, programs.milled(PLATE, tabs=True))
    answer = measure(replace(question, thickness_mm=3.0))
    assert answer.verdict == "within", answer
    assert answer.deviations is not None
    assert answer.deviations.outline_mm < 0.02
    assert answer.deviations.volume_pct is None
    assert (answer.made["tabs"], answer.made["tab_length_mm"]) == (2, pytest.approx(14, abs=2))
    assert answer.made["gouged_mm2"] == 0


@pytest.mark.parametrize("degrees", [17.0, 243.5])
def test_a_true_burning_is_within_at_any_turn(tmp_path: Path, svg: Path, degrees: float):
    turned = affinity.rotate(PLATE, degrees, origin=(0, 0))
    answer = measure(asked(tmp_path, "laser-400", svg, programs.burned(turned)))
    assert answer.verdict == "within", answer
    assert float(str(answer.made["turned_deg"])) == pytest.approx(degrees, abs=0.1)


@pytest.mark.parametrize("side", [-0.15, 0.15])
def test_a_beam_on_the_wrong_side_of_the_line_is_seen(tmp_path: Path, svg: Path, side: float):
    wrong = PLATE.buffer(side)
    off = deviating(measure(asked(tmp_path, "laser-400", svg, programs.burned(wrong))))
    assert off.outline_mm > 0.14


def test_one_pass_where_the_others_have_two_is_missing(tmp_path: Path, svg: Path):
    lines = programs.burned(PLATE)
    body = lines[3:-2]
    outside = max(i for i, line in enumerate(body) if line.startswith("G0"))
    answer = measure(asked(tmp_path, "laser-400", svg, [*lines[:3], *body, *body, "M5", "M2"]))
    assert answer.verdict == "within", answer
    once = [*lines[:3], *body, *body[outside:], "M5", "M2"]
    off = deviating(measure(asked(tmp_path, "laser-400", svg, once)))
    assert any("of what other contours get" in m for m in off.missing)


def test_a_true_burning_is_within_even_a_quarter_turn_round(tmp_path: Path, svg: Path):
    turned = affinity.rotate(PLATE, 90, origin=(0, 0))
    for region, turn in ((PLATE, 0), (turned, 90), (affinity.rotate(turned, 90), 180)):
        answer = measure(asked(tmp_path, "laser-400", svg, programs.burned(region)))
        assert answer.verdict == "within", answer
        assert answer.made["turned_deg"] in (turn, (turn + 180) % 360)


def test_cuts_that_miss_the_drawing_are_seen(tmp_path: Path, svg: Path):
    moved = programs.plate(62, 24, (20.5, 12, 3))
    off = deviating(measure(asked(tmp_path, "laser-400", svg, programs.burned(moved))))
    assert off.outline_mm == pytest.approx(0.5, abs=0.05)
    grown = affinity.scale(PLATE, 1.01, 1.01)
    off = deviating(measure(asked(tmp_path, "laser-400", svg, programs.burned(grown))))
    assert off.outline_mm > 0.25


def test_a_contour_not_cut_is_missing_and_a_foreign_one_is_extra(tmp_path: Path, svg: Path):
    plain = shapely.Polygon(PLATE.exterior)
    off = deviating(measure(asked(tmp_path, "laser-400", svg, programs.burned(plain))))
    assert [m.rsplit(": ")[1] for m in off.missing] == ["not cut"]
    more = shapely.Polygon(PLATE.exterior, [*PLATE.interiors, programs.ring(45, 12, 4)])
    off = deviating(measure(asked(tmp_path, "laser-400", svg, programs.burned(more))))
    assert off.missing == []
    assert any("into the part" in e for e in off.extra)


def test_a_cut_that_does_not_go_through_is_missing(tmp_path: Path, svg: Path):
    question = asked(tmp_path, "mill-3018", svg, programs.milled(PLATE, thick=2.5))
    off = deviating(measure(replace(question, thickness_mm=3.0)))
    assert {m.rsplit(": ")[1] for m in off.missing} == {"not cut through"}


def test_a_rapid_through_the_part_is_a_gouge(tmp_path: Path, svg: Path):
    lines = programs.milled(PLATE)
    lifts = [i for i, line in enumerate(lines) if line == "G0 Z5"]
    del lines[lifts[1]]  # no lift between the hole and the outside
    off = deviating(measure(asked(tmp_path, "mill-3018", svg, lines)))
    assert any("into the part" in e for e in off.extra)


def test_a_hole_smaller_than_the_tool_is_missing(tmp_path: Path):
    small = programs.plate(62, 24, (20, 12, 1))
    svg = programs.write_svg(tmp_path / "small.svg", small)
    plain = shapely.Polygon(small.exterior)
    off = deviating(measure(asked(tmp_path, "mill-3018", svg, programs.milled(plain))))
    assert off.missing[0].endswith("too small for the tool")


def test_dxf_lines_and_arcs_make_the_same_part(tmp_path: Path):
    import ezdxf

    drawing = ezdxf.new(units=6)  # says metres, is drawn in millimetres, as many are
    space = drawing.modelspace()
    corners = [(5, 5), (67, 5), (67, 29), (5, 29)]
    for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
        space.add_line(a, b)
    space.add_arc((25, 17), 3, 0, 180)
    space.add_arc((25, 17), 3, 180, 360)
    path = tmp_path / "plate.dxf"
    drawing.saveas(path)
    answer = measure(asked(tmp_path, "laser-400", path, programs.burned(PLATE)))
    assert answer.verdict == "within", answer
    assert answer.made["design_units"] == "mm"


def test_the_command_answers_in_json_and_status(tmp_path: Path, svg: Path):
    def run(lines: list[str], design: Path, *more: str) -> tuple[int, dict[str, object]]:
        question = asked(tmp_path, "laser-400", design, lines)
        command = [sys.executable, "-m", "hardware_sim", "measure", "--machine", "laser-400"]
        command += ["--design", str(design), str(question.program), "--json", *more]
        done = subprocess.run(command, env=FOLDER_ENV, capture_output=True, check=False)
        return done.returncode, json.loads(done.stdout)

    status, said = run(programs.burned(PLATE), svg)
    assert (status, said["verdict"]) == (0, "within")
    assert set(said) >= {"verdict", "deviations", "machine_s", "made", "kind"}
    assert run(programs.burned(shapely.Polygon(PLATE.exterior)), svg)[0] == 1
    assert run(["G0 X1", "M2"], svg)[0] == 3
    status, said = run(programs.burned(PLATE) * 50, svg, "--limit-s", "0.02")
    assert (status, said["verdict"]) == (3, "unmeasurable")
    assert "processor time" in str(said["why"])
