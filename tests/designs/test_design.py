import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from designs.design import (
    OWN_WORK,
    Alternative,
    Check,
    DrawingFacts,
    File,
    MeshFacts,
    NewRecipe,
    Part,
    Recipe,
    Release,
    Role,
)

SHA = "a" * 64
FACTS = MeshFacts(
    size_mm=(20, 20, 20), volume_mm3=8000, area_mm2=2400, triangles=12, shells=1, watertight=True
)


def a_part(**changes) -> Part:
    given = {
        "name": "hook",
        "title": "Hook",
        "process": "3d_printing_fdm",
        "material": "pla",
        "file_sha256": SHA,
        "file_name": "hook.stl",
        "format": "stl",
        "facts": FACTS,
    }
    return Part.model_validate(given | changes)


def a_release(**changes) -> Release:
    given = {
        "design": "wall-hook",
        "version": "1.0.0",
        "title": "Wall hook",
        "function": "Holds a coat.",
        "licence": "CERN-OHL-W-2.0",
        "licensor": "Ada",
        "parts": (a_part(),),
        "files": (
            File(name="hook.stl", sha256=SHA, size_bytes=684, role=Role.EXPORT, format="stl"),
        ),
    }
    return Release.model_validate(given | changes)


def test_the_hash_is_over_sorted_compact_json():
    release = a_release()
    again = json.dumps(json.loads(release.canonical()), sort_keys=True, separators=(",", ":"))
    assert release.sha256 == hashlib.sha256(again.encode()).hexdigest()


def test_any_change_changes_the_hash_and_a_round_trip_does_not():
    release = a_release()
    assert Release.model_validate_json(release.canonical()).sha256 == release.sha256
    assert a_release(version="1.0.1").sha256 != release.sha256
    assert a_release(parts=(a_part(quantity=2),)).sha256 != release.sha256


def test_facts_come_back_as_what_they_were():
    flat = DrawingFacts(
        size_mm=(10, 5), area_mm2=50, cut_length_mm=30, outlines=1, holes=0, smallest_hole_mm=None
    )
    release = a_release(parts=(a_part(facts=flat),))
    assert Release.model_validate_json(release.canonical()).parts[0].facts == flat


def test_own_work_cannot_be_public():
    with pytest.raises(ValidationError, match="private work"):
        a_release(licence=OWN_WORK)
    assert a_release(licence=OWN_WORK, private=True).private


def test_a_part_needs_its_file_and_a_name_of_its_own():
    with pytest.raises(ValidationError, match="without their file: hook"):
        a_release(parts=(a_part(file_sha256="b" * 64),))
    with pytest.raises(ValidationError, match="same name"):
        a_release(parts=(a_part(), a_part()))


@pytest.mark.parametrize(
    "name", ["../x.stl", "a/../../x", "/etc/passwd", "a//b", "C:/x", "..", "a\\b", "a\nb", ""]
)
def test_a_file_stays_below_its_design(name):
    with pytest.raises(ValidationError):
        File(name=name, sha256=SHA, size_bytes=1, role=Role.EXPORT, format="stl")


def test_what_came_later_leaves_the_hash_of_older_releases_alone() -> None:
    plain = a_release().model_dump(mode="json")
    for name in ("ancestor", "contributors", "first_article"):
        del plain[name]
    for part in plain["parts"]:
        for name in ("recipe", "inspection", "alternatives"):
            del part[name]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert a_release().canonical().decode() == text
    assert a_release(first_article=True).sha256 != a_release().sha256


def test_an_inspection_plan_says_what_it_needs() -> None:
    with pytest.raises(ValidationError, match="nominal_mm"):
        Check(kind="dimension", what="outer diameter")
    with pytest.raises(ValidationError, match="name the gauge"):
        Check(kind="gauge", what="bore")
    check = Check(kind="dimension", what="bore", nominal_mm=8, minus_mm=0, plus_mm=0.2, every=5)
    part = a_part(recipe=Recipe(locked=True, walls=3), inspection=(check,))
    release = a_release(parts=(part,))
    assert Release.model_validate_json(release.canonical()) == release


A_DRAWING = DrawingFacts(
    size_mm=(20, 20), area_mm2=400, cut_length_mm=80, outlines=1, holes=0, smallest_hole_mm=None
)
ALTERNATIVES = st.lists(
    st.builds(
        Alternative,
        file_name=st.sampled_from(["a.stl", "b.stl"]),
        file_sha256=st.just("b" * 64),
        format=st.just("stl"),
        machine_class=st.sampled_from([None, "fdm-220", "generic-fdm-220", "fdm-300"]),
        facts=st.sampled_from([FACTS, A_DRAWING, None]),
    ),
    max_size=5,
).map(tuple)


@given(ALTERNATIVES, st.sampled_from(["fdm-220", "generic-fdm-220", "fdm-300", "mk4"]))
def test_a_machine_gets_an_export_for_its_class_and_process_or_the_part_itself(others, asked):
    part = a_part(alternatives=others)
    chosen = part.on(asked)
    fit = [
        each
        for each in others
        if each.machine_class is not None
        and each.machine_class.removeprefix("generic-") == asked.removeprefix("generic-")
        and isinstance(each.facts, MeshFacts)
    ]
    assert chosen == (part.made_from(fit[0]) if fit else part)
    same = {"name", "process", "material", "recipe", "alternatives"}
    assert chosen.model_dump(include=same) == part.model_dump(include=same)


def test_an_alternative_that_nobody_read_hashes_as_before() -> None:
    other = Alternative(file_name="hook.stl", file_sha256=SHA, format="stl", machine_class="mk4")
    plain = a_release(parts=(a_part(alternatives=(other,)),)).canonical()
    assert b'"machine_class":"mk4"}' in plain
    assert b'"facts":null' not in plain


@pytest.mark.parametrize(
    ("place", "is_number"),
    [
        (("recipe", "orientation_deg", 0), 90),
        (("recipe", "layer_mm"), 0.2),
        (("inspection", 0, "nominal_mm"), 8),
        (("inspection", 0, "minus_mm"), 0.1),
        (("tolerance_mm",), 0.3),
        (("thickness_mm",), 3),
        (("facts", "size_mm", 0), 20),
        (("facts", "volume_mm3"), 8000),
        (("alternatives", 0, "facts", "area_mm2"), 2400),
    ],
)
@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_record_holds_numbers_only(place, is_number, wrong):
    check = Check(kind="dimension", what="peg", nominal_mm=8, minus_mm=0.1, plus_mm=0)
    other = Alternative(file_name="hook.stl", file_sha256=SHA, format="stl", facts=FACTS)
    part = a_part(
        recipe=Recipe(orientation_deg=(90, 0, 0)), inspection=(check,), alternatives=(other,)
    )
    plain = a_release(parts=(part,)).model_dump(mode="json")
    inner = plain["parts"][0]
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = is_number
    Release.model_validate_json(json.dumps(plain))
    inner[place[-1]] = "HERE"
    with pytest.raises(ValidationError):
        Release.model_validate_json(json.dumps(plain).replace('"HERE"', wrong))


@pytest.mark.parametrize("turn", [1e308, 360.1, -361])
def test_a_part_is_turned_around_once_at_most(turn):
    with pytest.raises(ValidationError, match="orientation_deg"):
        NewRecipe(orientation_deg=(0, turn, 0))


def test_a_release_from_before_a_bound_on_turns_is_read_as_it_is() -> None:
    old = a_release(parts=(a_part(recipe=Recipe(orientation_deg=(0, 450, -720))),))
    read = Release.model_validate_json(old.canonical())
    assert (read, read.sha256) == (old, old.sha256)
    assert b'"orientation_deg":[0.0,450.0,-720.0]' in read.canonical()
