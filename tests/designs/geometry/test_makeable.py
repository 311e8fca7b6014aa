import numpy as np
import pytest
from shapely import Polygon, affinity
from shapely.geometry import Point, box

from designs.errors import Severity
from designs.geometry.cuttable import ROOM_MM
from designs.geometry.drawing import Drawing, drawing_facts
from designs.geometry.makeable import (
    PRINT_ROOM_MM,
    drawing_findings,
    findings,
    illustrated,
    mesh_findings,
    remarks,
)
from designs.geometry.measures import sheet_seen, solid_seen
from designs.geometry.mesh import Mesh, mesh_facts
from designs.geometry.printable import seam_remarks
from designs.processes import FDM, LASER, MILL
from firmware_bridge import profiles
from tests.designs.geometry import solids
from tests.designs.geometry.shapes import block, mesh_of


def drawing(*regions: Polygon) -> Drawing:
    return Drawing(regions)


PLATE = drawing(box(0, 0, 100, 60).difference(Point(50, 30).buffer(1.5)))
CUBE = mesh_facts(mesh_of(solids.cube()))


def said(facts, process, material, thickness=None) -> list[tuple[str, str]]:
    found = findings(facts, process, material, thickness)
    return [(f.severity.value, f.where) for f in found]


@pytest.mark.parametrize(
    ("facts", "process", "material", "thickness", "where"),
    [
        (CUBE, "knitting", "pla", None, "process"),
        (CUBE, LASER, "plywood", 3, "file"),
        (drawing_facts(PLATE), FDM, "pla", None, "file"),
        (CUBE, FDM, "plywood", None, "material"),
        (CUBE, FDM, "cheese", None, "material"),
        (drawing_facts(PLATE), LASER, "plywood", None, "thickness"),
    ],
)
def test_what_cannot_be_asked_is_refused(facts, process, material, thickness, where):
    assert ("refusal", where) in said(facts, process, material, thickness)


def test_an_ordinary_part_raises_no_finding():
    assert said(CUBE, FDM, "pla") == []
    assert mesh_findings(mesh_of(solids.cube())) == ()
    assert said(drawing_facts(PLATE), LASER, "plywood", 3) == []
    assert drawing_findings(PLATE, LASER) == ()


def test_thick_sheets_thin_prints_and_small_holes_are_warned_of():
    assert said(drawing_facts(PLATE), LASER, "plywood", 12) == [("warning", "thickness")]
    assert said(drawing_facts(PLATE), LASER, "plywood", 0.003) == [("warning", "thickness")]
    assert said(drawing_facts(PLATE), LASER, "cardboard", 0.1) == []
    assert said(drawing_facts(PLATE), MILL, "plywood", 6) == [("warning", "its smallest hole")]


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((20, 20, 0.1), "less than one printed layer"),
        ((0.3, 20, 20), "less than one printed line"),
        ((20, 20, 0.3), None),  # lies flat: a layer and a half
        ((0.6, 20, 20), None),  # stands: one line, which the walls say
    ],
)
def test_what_is_thinner_than_one_line_or_layer_is_warned_of(size, words):
    found = findings(CUBE.model_copy(update={"size_mm": size}), FDM, "pla", None)
    assert [words in f.what for f in found] == ([True] if words else [])


@pytest.mark.parametrize(("process", "wide"), [(LASER, 0.5), (MILL, 3.175)])
def test_a_round_hole_just_as_wide_as_it_must_be_is_wide_enough(process, wide):
    chords = Point(0, 0).buffer(wide / 2, quad_segs=12)

    def told(hole: Polygon) -> bool:
        plate = drawing(box(-20, -20, 20, 20).difference(hole))
        return ("warning", "its smallest hole") in said(drawing_facts(plate), process, "mdf", 3)

    assert not told(chords)
    assert told(affinity.scale(chords, 0.9, 0.9))


def test_of_a_solid_that_is_to_be_cut_nothing_is_said_about_printing():
    upside = mesh_of(solids.cube(10), solids.cube(30, at=(-10, -10, 10)))
    asked = remarks(solid_seen(upside), mesh_facts(upside), LASER, "plywood", 3)
    assert [r.finding.where for r in asked] == ["file"]


def test_a_roof_over_nothing_is_warned_of_and_a_slope_is_not():
    table = mesh_of(solids.cube(10), solids.cube(30, at=(-10, -10, 10)))
    (roof,) = mesh_findings(table)
    assert roof.where.startswith("900 mm²")
    ball_on_edge = mesh_of(solids.cube() @ _turned(45))
    assert any("too little stands" in f.what for f in mesh_findings(ball_on_edge))


def _turned(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def test_a_thin_web_is_found():
    dumbbell = box(0, 0, 20, 20).union(box(30, 0, 50, 20)).union(box(19, 9.6, 31, 10.4))
    (thin,) = drawing_findings(drawing(Polygon(dumbbell.exterior)), LASER)
    assert (thin.severity, "thinner than 1 mm" in thin.what) == (Severity.WARNING, True)


def test_square_inside_corners_are_noted_for_the_mill_only():
    frame = drawing(box(0, 0, 60, 60).difference(box(20, 20, 40, 40)))
    (note,) = drawing_findings(frame, MILL)
    assert note.severity is Severity.NOTE
    radius = 3.175 / 2
    assert f"{(4 - np.pi) * radius**2:.1f} mm²" in note.what
    assert drawing_findings(frame, LASER) == ()


# ── findings with their places and pictures ──────────────────────────────────────────────────


def opened(size: float = 20, without: int = 2) -> Mesh:
    """A small box on a large plate, so that what is missing is little."""
    both = np.concatenate([block(60, 60, 5), block(size, size, size, at=(0, 0, 5))[without:]])
    return mesh_of(*(both[i : i + 1] for i in range(len(both))))


SOLIDS = {
    "the nozzle leaves it out": (
        mesh_of(block(40, 40, 5), block(0.3, 20, 10, at=(20, 10, 4))), "warning", "0.30 mm thin"
    ),
    "one line": (
        mesh_of(block(40, 40, 5), block(0.6, 20, 10, at=(20, 10, 4))), "note", "0.60 mm thin"
    ),
    "less than a layer": (mesh_of(block(30, 30, 0.1)), "warning", "less than one layer"),
    "surfaces that fuse": (
        mesh_of(block(20, 20, 20), block(20, 20, 20, at=(20.1, 0, 0))), "note", "0.10 mm apart"
    ),
    "a roof": (
        mesh_of(block(10, 10, 10), block(30, 30, 5, at=(-10, -10, 10))), "warning", "hangs over"
    ),
    "a loose piece": (
        mesh_of(block(20, 20, 20), block(5, 5, 5, at=(40, 0, 30))), "warning", "into the air"
    ),
    "an open side": (opened(), "warning", "open there, 80.0 mm around"),
    "a speck": (
        mesh_of(block(20, 20, 20), block(0.3, 0.3, 0.3, at=(30, 0, 0))), "note", "under 0.5 mm³"
    ),
    "a closed hollow": (
        mesh_of(block(20, 20, 20), block(10, 10, 10, at=(5, 5, 5))[:, ::-1]),
        "note", "supports cannot be taken out",
    ),
    "an edge shared": (
        mesh_of(np.concatenate([block(10, 10, 10), block(10, 10, 10, at=(10, 10, 0))])),
        "note", "more than two surfaces",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("mesh", "severity", "words"), SOLIDS.values(), ids=SOLIDS)
def test_what_a_printer_will_have_trouble_with(mesh, severity, words):
    told = {f.what: f for f in mesh_findings(mesh)}
    (found,) = [f for what, f in told.items() if words in what]
    assert found.severity.value == severity
    assert found.where
    assert found.do
    seen = solid_seen(mesh)
    asked = (*seam_remarks(seen), *remarks(seen, mesh_facts(mesh), FDM, "pla", None))
    shown, pictures = illustrated(seen, asked, 64)
    (found,) = [f for f in shown if words in f.what]
    assert pictures[found.picture].startswith(b"\x89PNG")


def test_a_floor_of_two_layers_is_no_weak_wall():
    assert mesh_findings(mesh_of(block(30, 30, 0.5))) == ()


def test_the_place_of_a_thin_wall_is_named():
    (thin,) = mesh_findings(mesh_of(block(40, 40, 5), block(0.3, 20, 10, at=(20, 10, 4))))[:1]
    assert thin.where.startswith("1 wall, the largest at x 20.1…20.2, y 10") or (
        thin.where.startswith("1 wall, the largest at x 20.1, y 10")
    )


SHEETS = {
    "a web": (box(0, 0, 60, 30).difference(box(10, 1.5, 50, 28.5)), MILL, "thinner than 2 mm"),
    "a slot": (box(0, 0, 60, 30).difference(box(5, 14, 60, 16)), MILL, "only 2.00 mm lie between"),
    "a burnt slot": (box(0, 0, 60, 30).difference(box(5, 14, 60, 14.1)), LASER, "only 0.10 mm"),
    "a corner": (box(0, 0, 60, 60).difference(box(20, 20, 40, 40)), MILL, "leaves 2.2 mm²"),
    "a hole": (box(0, 0, 60, 60).difference(Point(30, 30).buffer(1)), MILL, "narrower than a"),
    "too long": (box(0, 0, 450, 60), LASER, "450 × 60 mm are more than"),
    "too wide": (box(0, 0, 290, 190), MILL, "290 × 190 mm are more than"),
}


@pytest.mark.parametrize(("region", "process", "words"), SHEETS.values(), ids=SHEETS)
def test_what_a_cutting_machine_will_have_trouble_with(region, process, words):
    flat = drawing(region)
    seen = sheet_seen(flat)
    asked = remarks(seen, drawing_facts(flat), process, "plywood", 3)
    shown, pictures = illustrated(seen, asked, 64)
    (found,) = [f for f in shown if words in f.what]
    assert pictures[found.picture].startswith(b"\x89PNG")


def test_small_holes_are_told_once_and_not_as_slots():
    flat = drawing(box(0, 0, 60, 60).difference(Point(30, 30).buffer(1)))
    found = remarks(sheet_seen(flat), drawing_facts(flat), MILL, "plywood", 3)
    assert sum("narrower" in r.finding.what or "lie between" in r.finding.what for r in found) == 1


def test_lettering_is_noted_and_rows_of_holes_are_not():
    def sheet(shapes):
        plate = box(0, 0, 200, 60)
        for i, shape in enumerate(shapes):
            plate = plate.difference(affinity.translate(shape, 5 + 9 * i, 20))
        return drawing_findings(drawing(plate), LASER)

    strokes = [box(0, 0, 0.9, 3 + 0.3 * i).union(box(0, 0, 2 + 0.2 * i, 0.9)) for i in range(15)]
    assert any("lettering" in f.what for f in sheet(strokes))
    assert sheet([Point(2, 2).buffer(1 + 0.1 * i) for i in range(15)]) == ()


def test_the_rooms_are_those_of_the_machines_that_we_ship():
    def room(name: str):
        profile = profiles.load(name)
        return tuple(
            b - a for a, b in zip(profile.machine_min_mm, profile.machine_max_mm, strict=True)
        )

    assert room("generic-fdm-220") == PRINT_ROOM_MM
    assert room("generic-cnc-3018")[:2] == ROOM_MM[MILL]
    assert room("generic-laser-400")[:2] == ROOM_MM[LASER]


@pytest.mark.parametrize(
    ("size", "words"),
    [((230, 20, 20), "Turn it"), ((20, 20, 260), "Divide it"), ((300, 300, 9), "Divide it")],
)
def test_what_is_larger_than_the_printer_is_told_whether_turning_helps(size, words):
    (found,) = findings(mesh_facts(mesh_of(block(*size))), FDM, "pla", None)
    assert "do not fit" in found.what
    assert found.do.startswith(words)
