from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from designs.errors import Refused, Severity
from designs.geometry.mesh import (
    Mesh,
    distinct,
    mesh_facts,
    normals,
    read_mesh,
    write_stl,
)
from tests.designs.geometry import solids

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "designs"
NAN, INF = float("nan"), float("inf")


def read(tmp_path, content: bytes, kind: str = "stl"):
    file = tmp_path / f"part.{kind}"
    file.write_bytes(content)
    return read_mesh(file, kind)


def changed(value: float) -> np.ndarray:
    triangles = solids.cube()
    triangles[3, 1, 2] = value
    return triangles


def test_a_cube_has_the_size_and_volume_of_a_cube(tmp_path):
    for content in (solids.stl(solids.cube()), solids.text_stl(solids.cube())):
        facts = mesh_facts(read(tmp_path, content))
        assert facts.size_mm == (20, 20, 20)
        assert facts.volume_mm3 == pytest.approx(8000)
        assert facts.area_mm2 == pytest.approx(2400)
        assert (facts.triangles, facts.shells, facts.watertight) == (12, 1, True)


def test_a_binary_stl_may_begin_like_a_text_but_not_like_a_picture(tmp_path):
    plain = solids.stl(solids.cube())
    assert mesh_facts(read(tmp_path, b"solid cube".ljust(80) + plain[80:])).watertight
    for head in (b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"MZ\x90\0", b"<html><script>"):
        with pytest.raises(Refused, match="is called stl but is"):
            read(tmp_path, head.ljust(80) + plain[80:])


def test_what_was_read_is_written_and_read_again(tmp_path):
    mesh = read(tmp_path, solids.stl(solids.cube(20.25, at=(1, 2, 3))))
    for name in ("a", "b"):
        write_stl(mesh, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = read_mesh(tmp_path / "a", "stl")
    assert mesh_facts(again) == mesh_facts(mesh)


def test_an_inside_out_solid_is_turned_and_said_so(tmp_path):
    mesh = read(tmp_path, solids.stl(solids.cube()[:, ::-1]))
    assert mesh_facts(mesh).volume_mm3 == pytest.approx(8000)
    assert [note.severity for note in mesh.notes] == [Severity.WARNING]
    assert "8000 mm³ instead of -8000 mm³" in mesh.notes[0].what


def test_a_hollow_stays_hollow_and_a_neighbour_is_turned(tmp_path):
    hollow = np.concatenate([solids.cube(), solids.cube(10, at=(5, 5, 5))[:, ::-1]])
    assert mesh_facts(read(tmp_path, solids.stl(hollow))).volume_mm3 == pytest.approx(7000)
    beside = np.concatenate([solids.cube(), solids.cube(10, at=(50, 0, 0))[:, ::-1]])
    turned = read(tmp_path, solids.stl(beside))
    assert mesh_facts(turned).volume_mm3 == pytest.approx(9000)
    assert [note.where for note in turned.notes] == ["1 of 2 pieces"]


def test_a_gap_is_a_warning_and_loose_surfaces_are_refused(tmp_path):
    ball = np.concatenate([solids.cube(at=(30 * i, 0, 0)) for i in range(4)])
    mesh = read(tmp_path, solids.stl(ball[:-1]))
    assert not mesh_facts(mesh).watertight
    assert mesh.notes[0].severity is Severity.WARNING
    assert mesh.notes[0].where == "3 open edges"
    with pytest.raises(Refused, match="loose surfaces"):
        read(tmp_path, solids.stl(solids.cube()[:4]))


def test_corners_that_almost_meet_do(tmp_path):
    rng = np.random.default_rng(1)
    shaken = solids.cube() + rng.uniform(-1e-5, 1e-5, (12, 3, 3))
    assert mesh_facts(read(tmp_path, solids.stl(shaken))).watertight


@pytest.mark.parametrize(
    ("content", "why", "where"),
    [
        (b"", "too short", "byte 0"),
        (solids.stl(solids.cube())[:-30], "cut off", "byte 654"),
        (solids.stl(solids.cube(), count=4_000_000_000), "says 4000000000", "byte 684"),
        (solids.stl(solids.cube(), count=6), "says 6", "byte 684"),
        (solids.stl(solids.cube()[:0]), "no triangles", "the file"),
        (solids.stl(changed(NAN)), "not a finite number", "triangle 4"),
        (solids.stl(changed(INF)), "not a finite number", "triangle 4"),
        (solids.stl(changed(1e30)), "10 m out", "triangle 4"),
        (solids.stl(solids.cube(1e7)), "10 m out", "triangle 1"),
        (solids.stl(solids.cube(1e-4)), "only 0.0001 mm", "bounding box"),
        (solids.stl(solids.cube() * [1, 1, 0]), "no volume", "the surface"),
        (solids.stl(np.zeros((12, 3, 3))), "no triangle with an area", "the file"),
        (solids.text_stl(solids.cube())[:-15], "cut off", "last line"),
        (solids.text_stl(changed(NAN)), "not a finite number", "triangle 4"),
        (b"solid x\nfacet\nouter loop\nvertex 1 2 three", "not three numbers", "line 4"),
        (b"solid x\nfacet\nouter loop\nendloop", "cannot stand", "line 4"),
        (b"solid " + b"x" * 5000, "too long", "line 1"),
        (b"solid x\nendsolid x\n", "no triangles", "the file"),
        (b"ISO-10303-21;" + b" " * 200, "called stl but is a STEP", "first bytes"),
        (b"\0" * 213, "says 0 triangles", "byte 213"),
        (solids.cube_3mf(), "called stl but is a zip", "first bytes"),
    ],
)  # fmt: skip
def test_broken_stl_is_refused_with_the_place(tmp_path, content, why, where):
    with pytest.raises(Refused) as caught:
        read(tmp_path, content)
    assert why in caught.value.what
    assert where in caught.value.where
    assert caught.value.do


def test_every_cut_of_a_file_is_refused(tmp_path):
    whole = solids.stl(solids.cube())
    text = solids.text_stl(solids.cube())
    for content in [whole[:n] for n in range(0, len(whole), 37)] + [
        text[:n] for n in range(0, len(text) - 15, 41)
    ]:
        with pytest.raises(Refused):
            read(tmp_path, content)


@pytest.mark.skipif(not REAL.exists(), reason="the real designs are not on this machine")
def test_every_real_solid_reads():
    files = [f for f in REAL.rglob("*") if f.suffix.lower() in {".stl", ".3mf"}]
    facts = {f.name: mesh_facts(read_mesh(f, f.suffix)) for f in files}
    assert len(facts) == 25
    assert all(f.volume_mm3 > 300 for f in facts.values())
    assert facts["ring_x16.3mf"].shells == 16
    ring = facts["ring.stl"].volume_mm3
    assert facts["ring_x16.3mf"].volume_mm3 == pytest.approx(16 * ring, rel=1e-3)


@given(st.lists(st.integers(0, 40) | st.integers(2**64 - 20, 2**64 - 1), min_size=1))
def test_equal_keys_are_found_as_numpy_finds_them(numbers):
    """Also where keys differ in nothing but the bits in which their places ride."""
    keys = np.array(numbers, dtype=np.uint64)
    first, where = distinct(keys)
    assert len(first) == len(set(numbers))
    assert np.array_equal(keys[first][where], keys)


@given(st.integers(0, 2**32 - 1))
def test_volume_and_areas_are_those_of_the_textbook(seed):
    corners = np.random.default_rng(seed).uniform(-50, 50, (9, 3))
    mesh = Mesh(corners, np.arange(9).reshape(-1, 3))
    a, b, c = (corners - corners.mean(axis=0))[mesh.faces].transpose(1, 0, 2)
    assert mesh.each.volume_mm3 == pytest.approx((a * np.cross(b, c)).sum(1) / 6)
    twice = np.cross(b - a, c - a)
    assert mesh.each.area_mm2 == pytest.approx(np.linalg.norm(twice, axis=1) / 2)
    assert normals(mesh) * 2 * mesh.each.area_mm2[:, None] == pytest.approx(twice)


def test_what_is_inside_out_as_a_whole_stays_hollow(tmp_path):
    outer, inner = solids.cube(20), solids.cube(10, (5, 5, 5))
    hollow = solids.stl(np.concatenate([outer[:, ::-1], inner]))
    mesh = read(tmp_path, hollow)
    assert mesh_facts(mesh).volume_mm3 == pytest.approx(8000 - 1000)
    assert [note.where for note in mesh.notes] == ["2 of 2 pieces"]


def test_triangles_that_face_the_wrong_way_are_no_gaps(tmp_path):
    cube = solids.cube(20)
    mesh = read(tmp_path, solids.stl(np.concatenate([cube[:3], cube[3:6, ::-1], cube[6:]])))
    (note,) = mesh.notes
    assert "face opposite ways" in note.what
    assert not mesh_facts(mesh).watertight
