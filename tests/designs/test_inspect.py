import time

import numpy as np
import pytest
from pydantic import TypeAdapter

from designs.bounded import run
from designs.design import DrawingFacts, Facts, MeshFacts
from designs.errors import DesignRefused, Refused
from designs.processes import FDM, LASER
from tests.designs.geometry import solids
from tests.designs.geometry.drawings import dxf, square, svg
from tests.designs.geometry.test_drawing import grid, inserts, use_bomb

EXAMINE = "designs.inspect:examine"
PRINT = (FDM, "pla", None)
CUT = (LASER, "plywood", 3.0)


def examined(tmp_path, name: str, content: bytes, wanted=PRINT) -> dict:
    file, out = tmp_path / name, tmp_path / "out"
    file.write_bytes(content)
    out.mkdir()
    seen = run(EXAMINE, str(file), name.rsplit(".", maxsplit=1)[-1], *wanted, str(out), name)
    assert isinstance(seen, dict)
    return seen


def test_a_solid_gets_facts_and_pictures(tmp_path):
    seen = examined(tmp_path, "cube.stl", solids.stl(solids.cube()))
    facts = TypeAdapter(Facts).validate_python(seen["facts"])
    assert isinstance(facts, MeshFacts)
    assert facts.volume_mm3 == pytest.approx(8000)
    assert seen["findings"] == []
    assert seen["pictures"] == {"thumbnail": "thumbnail.png", "model": "model.glb"}
    assert (tmp_path / "out" / "thumbnail.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "model.glb").read_bytes().startswith(b"glTF")


def test_a_drawing_gets_an_outline_too(tmp_path):
    seen = examined(tmp_path, "plate.dxf", dxf(square, units=1), CUT)
    facts = TypeAdapter(Facts).validate_python(seen["facts"])
    assert isinstance(facts, DrawingFacts)
    assert set(seen["pictures"]) == {"thumbnail", "model", "outline"}
    assert (tmp_path / "out" / "outline.svg").read_bytes().startswith(b"<svg")
    (unit,) = seen["findings"]
    assert unit["where"] == "plate.dxf, the unit in the header"


def test_a_part_is_drawn_in_the_colour_of_its_material(tmp_path):
    drawn = {}
    for material in ("plywood", "birch_plywood", "acrylic"):
        folder = tmp_path / material
        folder.mkdir()
        examined(folder, "plate.svg", svg('<path d="M0 0H40V40H0Z"/>'), (LASER, material, 3.0))
        names = ("thumbnail.png", "model.glb")
        drawn[material] = [(folder / "out" / name).read_bytes() for name in names]
    assert drawn["plywood"] == drawn["birch_plywood"]
    assert all(a != b for a, b in zip(drawn["plywood"], drawn["acrylic"], strict=True))


def test_what_cannot_be_made_leaves_nothing_behind(tmp_path):
    with pytest.raises(DesignRefused) as caught:
        examined(tmp_path, "cube.stl", solids.stl(solids.cube()), (LASER, "pla", None))
    places = {f.where for f in caught.value.findings}
    assert places == {"cube.stl, file", "cube.stl, material", "cube.stl, thickness"}
    assert list((tmp_path / "out").iterdir()) == []


def soup() -> bytes:
    rng = np.random.default_rng(7)
    return solids.stl(rng.uniform(0, 100, (300_000, 3, 3)).astype(np.float32))


def plates() -> bytes:
    """20,000 closed thin plates through each other: every one covers many pixels."""
    rng = np.random.default_rng(7)
    cubes = solids.CORNERS[None] * [300, 300, 0.5] + rng.uniform(0, 50, (20_000, 1, 3))
    return solids.stl(cubes[:, solids.FACES].reshape(-1, 3, 3))


def zip_bomb() -> bytes:
    return solids.package(b"<model>" + b" " * (64 * 2**20))


LAUGHS = "<!DOCTYPE s [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("soup.stl", soup, PRINT),
        ("bomb.3mf", zip_bomb, PRINT),
        ("inserts.dxf", lambda: inserts(7, 20), CUT),
        ("grid.dxf", lambda: grid(10_000), CUT),
        ("huge.dxf", lambda: dxf(lambda space: space.add_circle((0, 0), 1e300)), CUT),
        ("uses.svg", lambda: svg(use_bomb(9)), CUT),
        ("laughs.svg", lambda: LAUGHS.encode() + b"]>" + svg("<text>&i;</text>"), CUT),
        ("deep.svg", lambda: svg("<g>" * 200_000), CUT),
    ],
)
def test_hostile_files_are_refused_in_bounded_time(tmp_path, name, content, wanted):
    hostile = content()
    began = time.monotonic()
    with pytest.raises(Refused) as caught:
        examined(tmp_path, name, hostile, wanted)
    assert caught.value.where.startswith(name)  # so the reader refused it, not the limits
    assert time.monotonic() - began < 60


def test_a_heavy_but_sound_solid_is_still_pictured(tmp_path):
    seen = examined(tmp_path, "plates.stl", plates())
    assert seen["facts"]["shells"] == 20_000
    assert (tmp_path / "out" / "model.glb").stat().st_size < 1_500_000
