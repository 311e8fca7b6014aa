import io
import json
import struct
import time

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import Point, box

from designs.geometry.drawing import Drawing
from designs.geometry.extrude import extruded, solid
from designs.geometry.mesh import Mesh, mesh_facts, sound
from designs.geometry.picture import (
    GLB_BYTES,
    PRINTED,
    WOOD,
    Colour,
    colour_of,
    glb,
    sheet_glb,
    thumbnail,
)
from designs.processes import FDM, LASER
from tests.designs.geometry import solids

PLATE = Drawing((box(0, 0, 60, 40).difference(Point(20, 20).buffer(8)),))


def cube() -> Mesh:
    return sound([(solids.cube().reshape(-1, 3), np.arange(36).reshape(-1, 3))])


def soup(count: int) -> Mesh:
    corners = np.random.default_rng(1).uniform(0, 100, (3 * count, 3))
    return Mesh(corners, np.arange(3 * count).reshape(-1, 3))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"), dtype=int)


def test_a_cube_shows_three_faces_of_different_light_on_nothing():
    picture = pixels(thumbnail(cube(), 128))
    assert picture.shape == (128, 128, 4)
    assert picture[0, 0, 3] == 0
    solid_part = picture[picture[..., 3] == 255]
    assert len(solid_part) > 0.25 * 128 * 128
    tones, counts = np.unique(solid_part[:, 1] // 6, return_counts=True)
    assert sum(counts > 500) == 3, dict(zip(tones, counts, strict=True))


def test_what_is_in_front_hides_what_is_behind():
    front = pixels(thumbnail(cube(), 64))
    hollow = np.concatenate([solids.cube(), solids.cube(8, at=(6, 6, 6))[:, ::-1]])
    mesh = sound([(hollow.reshape(-1, 3), np.arange(72).reshape(-1, 3))])
    assert np.array_equal(pixels(thumbnail(mesh, 64)), front)


def test_one_can_look_through_a_hole():
    def around_the_hole(drawing: Drawing) -> int:
        return int((pixels(thumbnail(drawing, 128))[40:90, 20:80, 3] < 255).sum())

    assert around_the_hole(PLATE) > around_the_hole(Drawing((box(0, 0, 60, 40),))) + 100


@pytest.mark.parametrize("material", ["acrylic", "aluminium"])
def test_what_is_no_wood_is_not_drawn_in_its_colour(material: str):
    def blueness(colour: Colour | None) -> float:
        drawn = pixels(thumbnail(PLATE, 64, colour=colour))
        shown = drawn[drawn[..., 3] == 255]
        return float((shown[:, 2] - shown[:, 0]).mean())

    assert colour_of(LASER, "birch_plywood") == WOOD
    assert blueness(WOOD) == blueness(None) < 0 < blueness(colour_of(LASER, material))
    assert colour_of(FDM, "pla") == PRINTED


def test_the_same_part_gives_the_same_picture():
    assert thumbnail(PLATE, 64) == thumbnail(PLATE, 64)


def test_a_soup_of_triangles_stays_within_the_budget():
    began = time.process_time()
    assert len(thumbnail(soup(300_000), 256)) > 1000
    assert time.process_time() - began < 20


@pytest.mark.parametrize("count", [1, 21_000, 60_000, 200_000])
def test_no_model_is_larger_than_its_cap(count):
    """Triangles that share no corner need most bytes for each."""
    model = glb(soup(count))
    assert len(model) <= GLB_BYTES
    scene, data = scene_of(model)
    assert scene["buffers"][0]["byteLength"] == len(data)
    view = scene["bufferViews"][1]
    places = np.frombuffer(data, "<f4", 3 * scene["accessors"][1]["count"], view["byteOffset"])
    assert places.reshape(-1, 3).max(axis=0) == pytest.approx(scene["accessors"][1]["max"])


def test_extruding_keeps_the_volume_and_closes():
    (region,) = PLATE.regions
    plain = mesh_facts(solid(PLATE, 3))
    assert plain.volume_mm3 == pytest.approx(region.area * 3, rel=1e-3)
    assert plain.watertight
    triangles = extruded(region, 3, 0.5)
    bevelled = sound([(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3))])
    assert mesh_facts(bevelled).watertight
    lost = 2 * region.length * 0.5**2 / 2
    assert mesh_facts(bevelled).volume_mm3 == pytest.approx(region.area * 3 - lost, rel=2e-3)


def scene_of(model: bytes) -> tuple[dict, bytes]:
    magic, version, length = struct.unpack("<4sII", model[:12])
    assert (magic, version, length) == (b"glTF", 2, len(model))
    size = struct.unpack("<I", model[12:16])[0]
    return json.loads(model[20 : 20 + size]), model[28 + size :]


def test_the_model_is_a_gltf_in_metres_with_y_up():
    scene, data = scene_of(sheet_glb(PLATE, 3))
    places = scene["accessors"][1]
    low, high = np.array(places["min"]), np.array(places["max"])
    assert high - low == pytest.approx([0.060, 0.003, 0.040], abs=1e-6)
    assert scene["buffers"][0]["byteLength"] == len(data)
    kind = {5123: "<u2", 5125: "<u4"}[scene["accessors"][0]["componentType"]]
    corners = np.frombuffer(data, kind, scene["accessors"][0]["count"])
    assert corners.max() == places["count"] - 1


def test_a_large_model_is_coarsened():
    turns = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    grid = np.array([[(r, t) for t in turns] for r in turns])
    ring, tube = grid[..., 0], grid[..., 1]
    points = np.stack(
        [(40 + 9 * np.cos(tube)) * np.cos(ring), (40 + 9 * np.cos(tube)) * np.sin(ring),
         9 * np.sin(tube)], axis=-1,
    ).reshape(-1, 3)  # fmt: skip
    i, j = (a.ravel() for a in np.mgrid[0:500, 0:500])
    a, b = i * 500 + j, (i + 1) % 500 * 500 + j
    c, d = (i + 1) % 500 * 500 + (j + 1) % 500, i * 500 + (j + 1) % 500
    torus = Mesh(points, np.concatenate([np.c_[a, b, c], np.c_[a, c, d]]))
    assert len(torus.faces) == 500_000
    model = glb(torus)
    assert len(model) <= GLB_BYTES
    scene, _ = scene_of(model)
    low, high = (np.array(scene["accessors"][1][end]) for end in ("min", "max"))
    assert high - low == pytest.approx([0.098, 0.018, 0.098], rel=0.02)
