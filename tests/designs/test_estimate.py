from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designs.design import DrawingFacts, MeshFacts, Recipe
from designs.errors import Refused
from designs.estimate import MACHINES, estimate
from designs.geometry.drawing import drawing_facts, read_drawing
from designs.geometry.mesh import mesh_facts, read_mesh
from designs.processes import FDM, LASER, MILL

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
    fine = minutes_and_grams(Recipe(layer_mm=0.1))
    assert fine[0] > 1.8 * usual[0]
    assert fine[1] == usual[1]
    solid = minutes_and_grams(Recipe(infill_pct=100))
    assert solid[1] == pytest.approx(27 * 1.24, rel=0.01)
