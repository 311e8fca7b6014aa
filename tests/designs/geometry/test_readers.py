"""OBJ and STEP read strictly, flat plates found, and no bytes that break out of a refusal."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from designs import kinds
from designs.errors import DesignRefused, Refused
from designs.geometry import flaws
from designs.geometry.drawing import drawing_facts, read_drawing
from designs.geometry.mesh import mesh_facts, read_mesh, write_stl
from designs.geometry.plate import plate_of
from tests.designs.geometry import solids, steps
from tests.designs.geometry.drawings import dxf, square, svg
from tests.designs.geometry.hostile import CASES, F, V, obj

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "designs"


def read(tmp_path: Path, content: bytes, kind: str):
    file = tmp_path / f"part.{kind}"
    file.write_bytes(content)
    return read_mesh(file, kind)


# ── OBJ ──────────────────────────────────────────────────────────────────────────────────────

QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
L_SHAPE = [(0, 0), (40, 0), (40, 10), (10, 10), (10, 30), (0, 30)]


def l_prism(turn: int) -> str:
    """An L seen from each side in turn: its two ends are polygons with a reentrant corner."""
    n = len(L_SHAPE)
    points = np.array([(x, y, z) for z in (0, 5) for x, y in L_SHAPE], dtype=float)
    rows = "".join("v {} {} {}\n".format(*point) for point in np.roll(points, turn, axis=1))
    loops = [range(n, 0, -1), range(n + 1, 2 * n + 1)]
    loops += [(i + 1, (i + 1) % n + 1, n + (i + 1) % n + 1, n + i + 1) for i in range(n)]
    return rows + "".join("f " + " ".join(map(str, loop)) + "\n" for loop in loops)


@pytest.mark.parametrize(
    "faces",
    [
        F,
        "".join("f " + " ".join(str(i + 1) for i in q) + "\n" for q in QUADS),
        "".join("f " + " ".join(f"{i + 1}/1/1" for i in q) + "\n" for q in QUADS),
        "".join("f " + " ".join(f"{i + 1}//7" for i in q) + "\n" for q in QUADS),
        "".join("f " + " ".join(str(i - 8) for i in q) + "\n" for q in QUADS),
        "".join("f " + " \\\n".join(str(i + 1) for i in q) + " # side\n" for q in QUADS),
    ],
)
def test_every_way_to_write_a_cube_is_a_cube(tmp_path, faces):
    mesh = read(tmp_path, obj("# made by hand\no cube\nvt 0 0\nvn 0 0 1\n" + V + faces), "obj")
    facts = mesh_facts(mesh)
    assert (facts.size_mm, facts.volume_mm3, facts.watertight) == ((20, 20, 20), 8000, True)
    assert [thing.name for thing in mesh.things] == ["cube"]


def test_a_polygon_that_is_only_a_line_is_passed_over(tmp_path):
    mesh = read(tmp_path, obj(V + F + "f 1 1 2\nf 1 2 2 1\n"), "obj")
    assert mesh_facts(mesh).volume_mm3 == pytest.approx(8000)
    with pytest.raises(Refused, match="no triangle with an area"):
        read(tmp_path, obj(V + "f 1 2 2 1\n"), "obj")


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_polygons_with_reentrant_corners_keep_their_shape(tmp_path, turn):
    facts = mesh_facts(read(tmp_path, obj(l_prism(turn)), "obj"))
    assert facts.volume_mm3 == pytest.approx(600 * 5)
    assert facts.area_mm2 == pytest.approx(2 * 600 + 140 * 5)
    assert facts.watertight


def test_a_library_of_materials_is_never_opened(tmp_path):
    (tmp_path / "secret.mtl").write_text("newmtl x\nmap_Kd /etc/passwd\n")
    mesh = read(tmp_path, obj("mtllib secret.mtl\nusemtl x\n" + V + F), "obj")
    (note,) = mesh.notes
    assert note.where == "1 lines"
    assert "not followed; only the shape counts" in note.what


# ── STEP ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "schema",
    [
        "CONFIG_CONTROL_DESIGN",
        "AUTOMOTIVE_DESIGN { 1 0 10303 214 3 1 1 }",
        "AP242_MANAGED_MODEL_BASED_3D_ENGINEERING_MIM_LF { 1 0 10303 442 1 1 4 }",
    ],
)
def test_a_box_is_in_millimetres_where_it_was_drawn(tmp_path, schema):
    mesh = read(tmp_path, steps.box(10, 20, 30, schema=schema), "step")
    assert mesh_facts(mesh).size_mm == (10, 20, 30)
    assert mesh_facts(mesh).volume_mm3 == pytest.approx(6000, rel=1e-6)
    assert mesh.bounds_mm[0] == pytest.approx((0, 0, 0))


def test_a_box_in_metres_is_in_millimetres(tmp_path):
    mesh = read(tmp_path, steps.box(0.01, 0.02, 0.03, unit=steps.METRE), "stp")
    assert mesh_facts(mesh).size_mm == (10, 20, 30)


def test_comments_and_strings_name_nothing(tmp_path):
    text = steps.box(10, 20, 30).replace(b"DATA;\n", b"DATA;\n/* was #99999, it's gone */\n")
    mesh = read(tmp_path, text.replace(b"'Bracket'", b"'/* #88888'"), "step")
    assert mesh_facts(mesh).volume_mm3 == pytest.approx(6000, rel=1e-6)


def test_an_assembly_is_placed_and_counted(tmp_path):
    mesh = read(tmp_path, steps.assembly(1, 3), "step")
    assert mesh_facts(mesh).size_mm == (29, 9, 9)
    assert [(t.name, t.quantity) for t in mesh.things] == [("L0", 3)]


def test_the_same_step_gives_the_same_stl(tmp_path):
    for name in ("a", "b"):
        write_stl(read(tmp_path, steps.prism(L_SHAPE, 3), "step"), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_flat_step_is_a_drawing_too(tmp_path):
    file = tmp_path / "plate.step"
    file.write_bytes(steps.prism(L_SHAPE, 3))
    drawing = read_drawing(file, "step")
    facts = drawing_facts(drawing)
    assert (facts.area_mm2, facts.cut_length_mm) == pytest.approx((600, 140), rel=1e-5)
    assert drawing.thickness_mm == 3


@pytest.mark.parametrize(
    ("triangles", "thickness"),
    [
        (solids.cube() * [4, 4, 0.3], 6),
        (solids.cube() * [4, 0.3, 4], 6),
        (solids.cube(), None),  # as thick as it is wide
        (np.concatenate([solids.cube() * [4, 4, 0.3], solids.cube(at=(0, 0, 6))]), None),
    ],
)
def test_a_plate_is_told_from_a_block(tmp_path, triangles, thickness):
    plate = plate_of(read(tmp_path, solids.stl(triangles), "stl"))
    assert (plate.thickness_mm if plate else None) == thickness


@pytest.mark.skipif(not REAL.exists(), reason="the real designs are not on this machine")
def test_the_step_of_a_design_is_as_its_stl():
    twins = {
        "poseidon/Pump Cover Slide.step": "poseidon/Pump Cover Slide v51.stl",
        "poseidon/Pump Syringe Brace.step": "poseidon/Pump Syringe Brace v51.stl",
        "voron-0/VHB DIN Mount.STEP": "voron-0/VHB_DIN_Mount.STL",
        "switch-plate/Switch_Plate_GoPro_Compatible.step": (
            "switch-plate/Switch_Plate_GoPro_Compatible.stl"
        ),
    }
    for one, other in twins.items():
        a, b = (mesh_facts(read_mesh(REAL / f, Path(f).suffix)) for f in (one, other))
        assert a.volume_mm3 == pytest.approx(b.volume_mm3, rel=1e-3)
        assert sorted(a.size_mm) == pytest.approx(sorted(b.size_mm), abs=0.02)
        assert a.watertight


# ── flaws ────────────────────────────────────────────────────────────────────────────────────


def test_open_edges_are_boxed(tmp_path):
    mesh = read(tmp_path, solids.stl(solids.cube()[:10]), "stl")
    seen = flaws.edges(mesh)
    assert len(seen.open) == mesh.gaps == 4
    assert seen.box_mm is not None
    (flat,) = np.flatnonzero(np.subtract(*seen.box_mm) == 0)  # the open side of the cube
    assert np.delete(seen.box_mm[1] - seen.box_mm[0], flat) == pytest.approx((20, 20))


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ((7, 7, 7), "run through each other"),
        ((5, 0, 0), "run through each other"),  # faces in one plane
        ((20, 5, 5), ""),  # side by side
        ((20.0005, 0, 0), ""),
        ((50, 0, 0), ""),
    ],
)
def test_only_what_goes_into_each_other_crosses(tmp_path, at, says):
    both = np.concatenate([solids.cube(), solids.cube(at=at)])
    mesh = read(tmp_path, solids.stl(both), "stl")
    found = [f.what for f in flaws.findings(mesh, flaws.edges(mesh))]
    assert (says in found[0]) if says else not found


def test_what_lies_loose_in_a_hollow_shares_nothing(tmp_path):
    hollow = [solids.cube(), solids.cube(10, at=(5, 5, 5))[:, ::-1]]

    def told(*others: np.ndarray) -> list[str]:
        mesh = read(tmp_path, solids.stl(np.concatenate([*hollow, *others])), "stl")
        return [f.what for f in flaws.findings(mesh, flaws.edges(mesh))]

    ball, in_it = solids.cube(6, at=(7, 7, 7)), solids.cube(2, at=(9, 9, 9))
    assert not told(ball)
    assert "run through each other" in told(ball, in_it)[0]


# ── any bytes ────────────────────────────────────────────────────────────────────────────────

SEEDS = [
    solids.stl(solids.cube()),
    solids.text_stl(solids.cube()),
    solids.cube_3mf(),
    obj(V + F),
    dxf(square),
    svg('<rect width="90" height="40"/><path d="M1 1h5v5z"/>'),
    *(CASES[n].make() for n in ("01_empty.stl", "25_bad_index.3mf", "csh.obj", "open.dxf")),
]


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A small file with bytes changed, cut out or put in, or nothing but bytes."""
    data = bytearray(draw(st.sampled_from(SEEDS) | st.binary(max_size=400)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        piece = draw(
            st.binary(max_size=8) | st.sampled_from([b"nan", b"1e999", b"-1", b"\0", b"<"])
        )
        data[at : at + draw(st.integers(0, 30))] = piece
    return bytes(data)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=mangled(), kind=st.sampled_from(["stl", "3mf", "obj", "dxf", "svg"]))
def test_any_bytes_under_any_name_are_read_or_refused(tmp_path, content, kind):
    file = tmp_path / f"any.{kind}"
    file.write_bytes(content)
    with suppress(DesignRefused):
        if kind in kinds.DRAWINGS:
            assert drawing_facts(read_drawing(file, kind)).area_mm2 > 0
        else:
            mesh = read_mesh(file, kind)
            assert mesh_facts(mesh).volume_mm3 > 0
            assert np.isfinite(mesh.vertices).all()
            flaws.edges(mesh)


@given(content=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_have_a_kind_or_none(tmp_path, content):
    file = tmp_path / "any"
    file.write_bytes(content)
    assert kinds.held(file) in {"", *kinds.TITLES}


@pytest.mark.parametrize("kind", ["3mf", "step"])
def test_every_cut_of_a_step_or_package_is_refused(tmp_path, kind):
    whole = {"3mf": solids.cube_3mf(), "step": steps.box(20, 20, 20)}[kind]
    for end in range(0, len(whole) - 3, len(whole) // 40):
        with pytest.raises(Refused):
            read(tmp_path, whole[:end], kind)
