import numpy as np
import pytest
from shapely import Polygon
from shapely.geometry import Point, box

from designs.design import MeshFacts
from designs.errors import Severity
from designs.geometry.drawing import Drawing, drawing_facts
from designs.geometry.makeable import drawing_findings, findings, mesh_findings
from designs.geometry.mesh import mesh_facts, sound
from designs.processes import FDM, LASER, MILL
from tests.designs.geometry import solids


def solid(*cubes: np.ndarray):
    triangles = np.concatenate(cubes)
    return sound([(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3))])


def drawing(*regions: Polygon) -> Drawing:
    return Drawing(regions)


PLATE = drawing(box(0, 0, 100, 60).difference(Point(50, 30).buffer(1.5)))
CUBE = mesh_facts(solid(solids.cube()))


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
    assert mesh_findings(solid(solids.cube())) == ()
    assert said(drawing_facts(PLATE), LASER, "plywood", 3) == []
    assert drawing_findings(PLATE, LASER) == ()


def test_thick_sheets_thin_prints_and_small_holes_are_warned_of():
    assert said(drawing_facts(PLATE), LASER, "plywood", 12) == [("warning", "thickness")]
    assert said(drawing_facts(PLATE), MILL, "plywood", 6) == [("warning", "its smallest hole")]
    thin = CUBE.model_copy(update={"size_mm": (20.0, 20.0, 0.3)})
    assert isinstance(thin, MeshFacts)
    assert said(thin, FDM, "pla") == [("warning", "its bounding box")]


def test_a_roof_over_nothing_is_warned_of_and_a_slope_is_not():
    table = solid(solids.cube(10), solids.cube(30, at=(-10, -10, 10)))
    (roof,) = mesh_findings(table)
    assert roof.where.startswith("900 mm²")
    ball_on_edge = solid(solids.cube() @ _turned(45))
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
