import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.estimate import ASKED, RECIPES, Measured, fit
from designs import turning
from designs.design import DrawingFacts, MeshFacts, Recipe, Supports, class_of
from designs.errors import Refused
from designs.estimate import BEAMS, CUTTERS, MACHINES, estimate
from designs.geometry.drawing import drawing_facts, read_drawing
from designs.geometry.mesh import Mesh, mesh_facts, read_mesh
from designs.processes import FDM, LASER, MILL
from fablab_agents import prepare
from fablab_agents.prepare import recipes
from firmware_bridge import profiles

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "designs"
# Seconds of PrusaSlicer 2.5's own estimate and mm³ deposited, 0.2 mm, 15 % grid, two walls.
PRINTED = {
    "glia-stethoscope/eartube.stl": 2073,
    "glia-stethoscope/ring.stl": 566,
    "glia-stethoscope/spring.stl": 2326,
    "glia-stethoscope/y_piece.stl": 1043,
    "nimble/generic_shelf.stl": 14600,
    "nimble/rpi_4b_shelf.stl": 13125,
    "openflexure/back_foot.stl": 778,
    "openflexure/gears.stl": 2243,
    "openflexure/illumination_dovetail.stl": 3355,
    "poseidon/Pump Carriage Sled v51.stl": 7190,
    "poseidon/Pump Cover Slide v51.stl": 1591,
    "voron-0/A_Idler_Upper_x1.stl": 2012,
    "voron-0/VHB_DIN_Mount.STL": 619,
}
# Seconds of our own programs: milled in 6 mm birch plywood, laser-cut in 3 mm plywood.
CUT = {
    "precious-plastic/5mm 5x 01.04.03 Knife1.dxf": (212, 177),
    "precious-plastic/6mm 2x 01.04.01 Side.dxf": (611, 488),
    "voron-0/Deck_Panel.dxf": (368, 322),
    "voron-0/Mid_Panel.dxf": (461, 392),
    "voron-0/Tophat_Side_Panel_80mm.DXF": (262, 225),
}


def a_mesh(side: float) -> MeshFacts:
    return MeshFacts(
        size_mm=(side, side, side),
        volume_mm3=side**3,
        area_mm2=6 * side**2,
        triangles=12,
        shells=1,
        watertight=True,
    )


def a_drawing(side: float, holes: int = 0) -> DrawingFacts:
    return DrawingFacts(
        size_mm=(side, side),
        area_mm2=side**2,
        cut_length_mm=4 * side + holes * 20,
        outlines=1,
        holes=holes,
        smallest_hole_mm=5 if holes else None,
    )


def test_a_cube_weighs_its_skin_and_some_filling():
    found = estimate(a_mesh(20), FDM, "pla", "fdm-220")
    assert 3 < found.grams_p50 < 4.5  # PrusaSlicer says 3.58 g
    assert 15 < found.minutes_p50 < 30  # and 21 minutes
    soft = estimate(a_mesh(20), FDM, "tpu", "fdm-220")
    assert soft.minutes_p50 > found.minutes_p50


def test_a_sheet_weighs_what_it_weighs():
    found = estimate(a_drawing(100), LASER, "plywood", "laser-400", 3)
    assert found.grams_p50 == pytest.approx(100 * 100 * 3 / 1000 * 0.6)
    assert found.minutes_p50 == pytest.approx(2 * 400 / 300, rel=0.02)


@settings(max_examples=40, deadline=None)
@given(st.floats(2, 200), st.integers(0, 50), st.floats(0.5, 20))
def test_larger_thicker_and_more_holes_never_take_less(side, holes, thickness):
    for process, material, machine in (
        (LASER, "acrylic", "laser-400"),
        (MILL, "beech", "cnc-3018"),
    ):

        def minutes(side, holes, thickness, asked=(process, material, machine)):
            return estimate(a_drawing(side, holes), *asked, thickness).minutes_p50

        here = minutes(side, holes, thickness)
        assert minutes(side + 1, holes, thickness) >= here
        assert minutes(side, holes, thickness + 1) >= here
        assert minutes(side, holes + 1, thickness) >= here
    printed = estimate(a_mesh(side), FDM, "pla", "fdm-220")
    assert 0 < printed.minutes_p10 <= printed.minutes_p50 <= printed.minutes_p90
    assert 0 < printed.grams_p10 <= printed.grams_p50 <= printed.grams_p90
    assert estimate(a_mesh(side + 1), FDM, "pla", "fdm-220").minutes_p50 > printed.minutes_p50


@pytest.mark.parametrize(
    ("facts", "process", "material", "machine", "thickness"),
    [
        (a_mesh(20), FDM, "plywood", "fdm-220", None),
        (a_mesh(20), FDM, "pla", "laser-400", None),
        (a_mesh(20), FDM, "plywood", "rocket", None),
        (a_drawing(20), LASER, "plywood", "laser-400", None),
        (a_drawing(20), FDM, "pla", "fdm-220", None),
    ],
)
def test_what_does_not_fit_together_is_refused(facts, process, material, machine, thickness):
    with pytest.raises(Refused):
        estimate(facts, process, material, machine, thickness)


@pytest.mark.parametrize(
    ("facts", "asked", "named", "thickness"),
    [
        (a_mesh(20), (FDM, "pla"), "fdm-220", None),
        (a_drawing(50), (MILL, "birch_plywood"), "cnc-3018", 6),
        (a_drawing(50), (LASER, "plywood"), "laser-400", 3),
    ],
)
def test_a_machine_of_a_name_of_its_own_goes_by_its_process_with_a_wider_spread(
    facts, asked, named, thickness
):
    own = estimate(facts, *asked, "shop-router", thickness)
    known = estimate(facts, *asked, named, thickness)
    assert (own.minutes_p50, own.grams_p90) == (known.minutes_p50, known.grams_p90)
    assert own.minutes_p10 < known.minutes_p10 < known.minutes_p90 < own.minutes_p90


def test_every_machine_class_estimates_every_material_of_its_process():
    from designs.processes import MATERIALS

    of = {FDM: "fdm-220", MILL: "cnc-3018", LASER: "laser-400"}
    assert set(of.values()) == set(MACHINES)
    for material in MATERIALS:
        for process in material.processes:
            facts = a_mesh(20) if process == FDM else a_drawing(50, 2)
            assert estimate(facts, process, material.id, of[process], 3).minutes_p50 > 0


@pytest.mark.skipif(not REAL.exists(), reason="the real designs are not on this machine")
def test_printing_agrees_with_the_slicer():
    ratios = {}
    for name, seconds in PRINTED.items():
        facts = mesh_facts(read_mesh(REAL / name, "stl"))
        ratios[name] = seconds / 60 / estimate(facts, FDM, "pla", "fdm-220").minutes_p50
    inside = [0.85 <= ratio <= 1.25 for ratio in ratios.values()]
    assert sum(inside) >= 0.8 * len(inside), ratios
    assert all(0.75 < ratio < 1.35 for ratio in ratios.values()), ratios


@pytest.mark.skipif(not REAL.exists(), reason="the real designs are not on this machine")
def test_cutting_agrees_with_our_programs():
    for name, (milled, lasered) in CUT.items():
        facts = drawing_facts(read_drawing(REAL / name, "dxf"))
        mill = estimate(facts, MILL, "birch_plywood", "cnc-3018", 6).minutes_p50
        laser = estimate(facts, LASER, "plywood", "laser-400", 3).minutes_p50
        assert milled / 60 == pytest.approx(mill, rel=0.1), name
        assert lasered / 60 == pytest.approx(laser, rel=0.05), name


def test_a_recipe_counts() -> None:
    def minutes_and_grams(recipe: Recipe | None) -> tuple[float, float]:
        found = estimate(a_mesh(30), FDM, "pla", "fdm-220", recipe=recipe)
        return found.minutes_p50, found.grams_p50

    usual = minutes_and_grams(None)
    assert minutes_and_grams(Recipe()) == usual
    assert minutes_and_grams(Recipe(walls=2, infill_pct=15, layer_mm=0.2)) == pytest.approx(usual)
    for more in (Recipe(walls=4), Recipe(infill_pct=60)):
        assert all(a > b for a, b in zip(minutes_and_grams(more), usual, strict=True))
    assert minutes_and_grams(Recipe(layer_mm=0.1))[0] > 1.8 * usual[0]
    solid = minutes_and_grams(Recipe(infill_pct=100))
    assert solid[1] == pytest.approx(27 * 1.24, rel=0.01)
    draft = estimate(a_mesh(30), FDM, "pla", "fdm-220", quality="draft")
    assert draft.minutes_p90 < 0.8 * usual[0]


# ── as near as docs/estimates.md says


def test_our_own_parts_take_what_they_are_estimated_to() -> None:
    """By what `python -m bench.estimate --own --json` wrote when the rates were fitted."""
    text = (Path(__file__).parent / "programs.jsonl").read_text()
    rows = [Measured.model_validate_json(line) for line in text.splitlines()]
    for kind, spread in (("fdm-220", 1.4), ("cnc-3018", 1.15), ("laser-400", 1.05)):
        of_kind = [row for row in rows if row.machine_class == kind]
        minutes, grams = fit(of_kind, "minutes"), fit(of_kind, "grams")
        assert minutes.parts >= 4
        assert minutes.median == pytest.approx(1, abs=0.05)
        assert grams.median == pytest.approx(1, abs=0.05)
        assert min(minutes.within, grams.within) >= 0.75
        assert minutes.spread < spread
    # A program that takes a fifth longer than its quote's bound is not started.
    assert all(row.minutes < 1.2 * row.told().minutes_p90 for row in rows)


def test_time_follows_the_recipe() -> None:
    """Three parts, three locked recipes each: as much more or less as the program."""
    text = (Path(__file__).parent / "programs.jsonl").read_text()
    rows = {row.name: row for row in map(Measured.model_validate_json, text.splitlines())}
    for part in ASKED:
        for recipe in RECIPES:
            row = rows[f"{part}, {recipe}"]
            assert 0.8 < row.minutes / row.told().minutes_p50 < 1.25, row.name


# Side, volume, surface and turn of parts on supports where needed, in PLA; minutes and grams.
HELD = (
    ((27.695, 28.0, 20.0), 6917.182, 2542.082, (90, 0, 0), 25.9, 4.66),  # knob, on its side
    ((12.0, 35.05, 14.0), 1911.714, 2225.749, (0, 0, 0), 16.1, 2.66),  # openflexure/back_foot
    ((80.264, 35.3, 9.0), 2502.426, 4225.48, (0, 0, 0), 23.2, 4.14),  # glia-stethoscope/y_piece
)


def test_supports_count() -> None:
    for size_mm, volume_mm3, area_mm2, turn, minutes, grams in HELD:
        sizes = {"size_mm": size_mm, "volume_mm3": volume_mm3, "area_mm2": area_mm2}
        facts = a_mesh(1).model_copy(update=sizes)
        plain = Recipe(orientation_deg=turn, supports=Supports.NONE)
        held = plain.model_copy(update={"supports": Supports.WHERE_NEEDED})
        free = estimate(facts, FDM, "pla", "fdm-220", recipe=plain)
        told = estimate(facts, FDM, "pla", "fdm-220", recipe=held)
        assert told.minutes_p10 == free.minutes_p10 < minutes < told.minutes_p90
        assert told.grams_p10 == free.grams_p10 < grams < told.grams_p90
        assert told.minutes_p50 > free.minutes_p50
    block = a_mesh(20)
    held = estimate(block, FDM, "pla", "fdm-220", recipe=Recipe(supports=Supports.EVERYWHERE))
    assert held == estimate(block, FDM, "pla", "fdm-220")


def test_cutting_goes_by_the_tables_that_workshops_cut_by() -> None:
    tables = Path(prepare.__file__).parent / "data"
    lasered = tomllib.loads((tables / "laser.toml").read_text())
    del lasered["refused"]
    assert {name: [tuple(row) for row in rows] for name, rows in BEAMS.items()} == {
        name: [(row["upto_mm"], row["feed"], row["passes"]) for row in given["rows"]]
        for name, given in lasered.items()
    }
    milled = tomllib.loads((tables / "milling.toml").read_text())
    assert set(CUTTERS) == set(milled)
    for name, row in milled.items():
        feed = row["chip_mm"] * recipes.FLUTES * row["rpm"]
        assert CUTTERS[name] == pytest.approx((feed, row["stepdown"] * 3.175), rel=0.02)


def test_every_shipped_profile_is_a_class_of_its_own() -> None:
    assert {class_of(name) for name in profiles.names()} == set(MACHINES)


ANGLES = st.tuples(*[st.sampled_from([-450, -90, 0, 90, 180, 270, 33, 400.5])] * 3)


@given(ANGLES)
def test_a_part_is_turned_about_x_then_y_then_z_and_its_box_holds_it(angles) -> None:
    corners = np.array([(x, y, z) for x in (0, 5) for y in (0, 20) for z in (0, 80)], float)
    steps = corners
    for axis, angle in enumerate(np.radians(angles)):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[[u, v, u, v], [u, v, v, u]] = (
            np.cos(angle),
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
        )
        steps = steps @ step.T
    mesh = Mesh(vertices=corners, faces=np.array([[0, 1, 2]])).turned(angles)
    assert mesh.vertices == pytest.approx(steps, abs=1e-9)
    spans = np.ptp(mesh.vertices, axis=0)
    assert turning.box_mm((5, 20, 80), angles) == pytest.approx(tuple(spans), abs=1e-6)


def test_an_orientation_counts() -> None:
    flat = a_mesh(30).model_copy(update={"size_mm": (100, 30, 9)})
    lying = estimate(flat, FDM, "pla", "fdm-220")
    standing = estimate(flat, FDM, "pla", "fdm-220", recipe=Recipe(orientation_deg=(0, 90, 0)))
    assert standing.minutes_p50 > lying.minutes_p50 + 450 * 1.5 / 60
