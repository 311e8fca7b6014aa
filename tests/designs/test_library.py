import hashlib
import subprocess
import sys
import tomllib

import pytest

from designs.design import DrawingFacts, MeshFacts
from designs.geometry.drawing import drawing_facts, read_drawing
from designs.geometry.mesh import mesh_facts, read_mesh
from designs.library import build, slugs
from designs.library.lantern import make as lantern
from designs.processes import find_material, find_process

pytest.importorskip("manifold3d", reason="the `library` dependency group is not installed")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return {slug: build(slug, tmp_path_factory.mktemp(slug)) for slug in slugs()}


def hashes(folder) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}


def parts_of(folder):
    """(name, table, facts) of each part the manifest names."""
    manifest = tomllib.loads((folder / "okh.toml").read_text())
    for part in manifest["part"]:
        file = folder / part["export"]
        kind = file.suffix[1:]
        table = manifest["cosmolocal"]["part"][part["name"]]
        facts = (
            mesh_facts(read_mesh(file, kind))
            if kind == "stl"
            else drawing_facts(read_drawing(file, kind))
        )
        yield part["name"], table, facts


def test_there_are_designs_for_every_process_and_one_for_all_three(built):
    processes = {
        slug: {table["process"] for _, table, _ in parts_of(folder)}
        for slug, folder in built.items()
    }
    assert len(processes) >= 6
    assert {"3d_printing_fdm", "cnc_milling", "laser_cutting"} in processes.values()


@pytest.mark.parametrize("slug", slugs())
def test_every_part_can_be_made_on_a_small_machine(built, slug):
    for name, table, facts in parts_of(built[slug]):
        process, material = find_process(table["process"]), find_material(table["material"])
        assert process is not None
        assert material is not None
        assert process.id in material.processes
        if isinstance(facts, MeshFacts):
            assert process.takes == "mesh"
            assert facts.watertight, name
            assert facts.shells == 1, name
            assert all(s <= m for s, m in zip(facts.size_mm, (40, 40, 25), strict=True)), name
        else:
            assert isinstance(facts, DrawingFacts)
            assert process.takes == "drawing"
            assert facts.outlines == 1, name
            assert max(facts.size_mm) <= 150, name
            assert table["thickness_mm"] in {3.0, 6.0}
            assert (facts.smallest_hole_mm or 99) >= 4, name


def test_the_same_source_gives_the_same_bytes(built, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "designs.library", "build", str(tmp_path)],
        check=True,
        env={"PYTHONHASHSEED": "7", "PATH": ""},
    )
    assert {f.name: hashes(f) for f in tmp_path.iterdir()} == {
        slug: hashes(folder) for slug, folder in built.items()
    }


def test_the_lantern_fits_together(built):
    facts = {name: facts for name, _, facts in parts_of(built["lantern"])}
    assert facts["base"].smallest_hole_mm == pytest.approx(lantern.PEG, abs=0.05)
    assert 0.2 <= lantern.PEG_EASE <= 0.4
    between_groove_bottoms = lantern.APART - 2 * lantern.GROOVE_FROM
    assert 0.3 <= between_groove_bottoms - facts["screen"].size_mm[0] <= 1.0
    assert facts["post"].size_mm[2] == pytest.approx(lantern.POST_TALL + lantern.PEG_TALL, abs=0.01)
    assert lantern.APART + lantern.POST <= lantern.BASE


def test_an_unknown_design_is_named(tmp_path):
    with pytest.raises(KeyError, match="lantern"):
        build("spaceship", tmp_path)
