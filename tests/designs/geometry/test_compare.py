import pytest
from hypothesis import given
from hypothesis import strategies as st

from designs.design import DrawingFacts, MeshFacts, Part
from designs.geometry.compare import facts_difference, part_difference, same_shape, shape_words
from designs.processes import FDM, LASER

CUBE = MeshFacts(
    size_mm=(20, 20, 20), volume_mm3=8000, area_mm2=2400, triangles=12, shells=1, watertight=True
)
PLATE = DrawingFacts(
    size_mm=(100, 60),
    area_mm2=6000,
    cut_length_mm=320,
    outlines=1,
    holes=0,
    smallest_hole_mm=None,
)


def a_part(facts, **changed) -> Part:
    plain = {
        "name": "a", "title": "A", "process": LASER, "material": "plywood", "thickness_mm": 3,
        "file_sha256": "0" * 64, "file_name": "a.dxf", "format": "dxf", "facts": facts,
    }  # fmt: skip
    return Part.model_validate(plain | changed)


@given(st.sampled_from([CUBE, PLATE]), st.sampled_from([None, "pla", "plywood"]))
def test_nothing_differs_from_itself(facts, material):
    found = facts_difference(facts, facts, material, 3)
    assert found.same
    assert found.sentence == "Its figures are the same as before."


def test_a_taller_box_says_volume_box_and_mass():
    taller = CUBE.model_copy(update={"size_mm": (20.0, 20.0, 22.0), "volume_mm3": 8800.0})
    found = facts_difference(CUBE, taller, "pla")
    assert found.sentence == (
        "Box 20.00 × 20.00 × 20.00 → 20.00 × 20.00 × 22.00 mm; volume 8 → 8.8 cm³ (+10.0%); "
        "mass if solid 9.92 → 10.91 g (+10.0%)."
    )
    assert [c.share for c in found.changes] == [None, pytest.approx(0.1), pytest.approx(0.1, 1e-2)]


def test_a_first_hole_has_no_before():
    bored = PLATE.model_copy(update={"holes": 1, "smallest_hole_mm": 5.0})
    found = facts_difference(PLATE, bored)
    assert [(c.what, c.before, c.after) for c in found.changes] == [
        ("holes", 0, 1),
        ("smallest hole", None, 5),
    ]


def test_a_solid_that_became_a_drawing_is_said_first():
    found = facts_difference(CUBE, PLATE)
    assert str(found.changes[0]) == "kind solid → drawing"
    assert {"volume", "area"} <= {c.what for c in found.changes}


def test_parts_also_tell_what_the_record_says():
    now = a_part(PLATE, thickness_mm=4, quantity=2)
    found = part_difference(a_part(PLATE), now)
    assert [(c.what, c.before, c.after) for c in found.changes] == [
        ("mass if solid", 10.8, 14.4),
        ("sheet", 3, 4),
        ("pieces", 1, 2),
    ]
    printed = a_part(CUBE, process=FDM, material="pla", thickness_mm=None)
    assert {"process", "material", "sheet"} <= {
        c.what for c in part_difference(a_part(PLATE), printed).changes
    }


BLOCK = CUBE.model_copy(update={"size_mm": (40, 30, 20), "volume_mm3": 24_000})


@pytest.mark.parametrize(
    ("size_mm", "volume_mm3", "same"),
    [
        ((20, 40, 30), 24_000, True),  # lies otherwise
        ((40.5, 30, 20), 24_000, True),
        ((40.9, 30, 20), 24_000, False),  # 2 % of 40 mm are 0.8 mm
        ((40, 30, 20), 25_000, True),
        ((40, 30, 20), 25_300, False),
        ((40, 30, 20), 22_700, False),
        ((5, 5, 100), 2500, False),
    ],
)
def test_two_files_of_one_part_have_one_shape(size_mm, volume_mm3, same):
    other = BLOCK.model_copy(update={"size_mm": size_mm, "volume_mm3": volume_mm3})
    assert same_shape(BLOCK, other) is same
    assert shape_words(BLOCK) == "40.0 × 30.0 × 20.0 mm and 24 cm³"


def test_of_what_is_large_a_millimetre_counts_and_of_what_is_thin_a_tenth():
    long = BLOCK.model_copy(update={"size_mm": (300, 30, 0.4)})
    for size_mm, same in (
        ((300.9, 30, 0.4), True), ((301.1, 30, 0.4), False),
        ((300, 30, 0.48), True), ((300, 30, 0.52), False),
    ):  # fmt: skip
        assert same_shape(long, long.model_copy(update={"size_mm": size_mm})) is same
    assert same_shape(PLATE, PLATE)
    assert not same_shape(PLATE, BLOCK)
