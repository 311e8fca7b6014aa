"""What licences say of proposals: files under another one, and geometry that has to stay."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designs import licences
from designs.design import Alternative, Release
from designs.errors import DesignRefused
from designs.licences import Act, combine, judge
from orchestrator.proposals import model
from orchestrator.proposals.model import FileChange, Wish
from tests.orchestrator.dispatch.conftest import a_release

KNOWN = st.sampled_from(sorted(licences.table()))
WHOLE = st.one_of(KNOWN, st.builds("{} OR {}".format, KNOWN, KNOWN))


@settings(max_examples=120, deadline=None)
@given(st.one_of(st.none(), KNOWN, st.text(max_size=20)), WHOLE)
def test_files_come_in_only_where_the_whole_keeps_its_licence(said: str | None, whole: str) -> None:
    try:
        given_under = model.given_under(said, whole)
    except DesignRefused:
        assert said is not None
        return
    if not given_under:
        assert (licences.normal(said or "") or said) in {None, "", licences.normal(whole)}
        return
    both = combine(whole, given_under)
    assert both.outcome == "allowed"
    free = licences.ANY in both.licences
    assert free or set(licences.named(whole)) <= both.licences
    assert model.contribution("x" * 300, given_under).endswith(f", given under {given_under}")
    assert len(model.contribution("x" * 300, given_under)) == 200


@pytest.mark.parametrize(
    ("said", "whole", "taken"),
    [
        ("mit", "CERN-OHL-W-2.0", True),
        ("CC-BY-4.0", "CC-BY-SA-4.0", True),
        ("CERN-OHL-S-2.0", "CERN-OHL-P-2.0", False),
        ("CC-BY-NC-4.0", "CC-BY-SA-4.0", False),
        ("CC-BY-ND-4.0", "MIT", False),
        ("LicenseRef-nobody", "MIT", False),
        ("cc-by-nd 4.0", "CC-BY-ND-4.0", True),
    ],
)
def test_the_usual_cases(said: str, whole: str, taken: bool) -> None:
    try:
        model.given_under(said, whole)
    except DesignRefused:
        assert not taken
    else:
        assert taken


def changed(release: Release, **part: object) -> Release:
    (hook,) = release.parts
    return release.model_copy(update={"parts": (hook.model_copy(update=part),)})


@given(KNOWN, st.sampled_from(["hook.stl", "src/hook.step", "README.md"]), st.booleans())
@settings(max_examples=80, deadline=None)
def test_geometry_stays_where_it_has_to(licence: str, name: str, other_part: bool) -> None:
    before = a_release("f" * 64).model_copy(update={"licence": licence})
    after = changed(before, thickness_mm=3.0) if other_part else before
    change = FileChange(name=name, before=None, after="a" * 64)
    alters = name != "README.md" or other_part
    try:
        model.check_unaltered(before, after, [change])
    except DesignRefused:
        assert alters
        assert not judge(licence, Act.ALTER).allowed
    else:
        assert not alters or judge(licence, Act.ALTER).allowed


def test_what_labs_with_one_class_of_machine_are_sent_is_geometry_too() -> None:
    kept = a_release("f" * 64).model_copy(update={"licence": "CC-BY-ND-4.0"})
    export = Alternative(
        file_name="hook-220.stl", file_sha256="a" * 64, format="stl", machine_class="fdm-220"
    )
    another = export.model_copy(update={"file_sha256": "b" * 64})
    elsewhere = export.model_copy(update={"machine_class": "mk4"})
    manifest = FileChange(name="okh.toml", before=None, after="c" * 64)
    with_it = changed(kept, alternatives=(export,))
    model.check_unaltered(with_it, with_it, [manifest])
    for before, others in (
        (kept, (export,)), (with_it, ()), (with_it, (another,)), (with_it, (elsewhere,)),
    ):  # fmt: skip
        with pytest.raises(DesignRefused):
            model.check_unaltered(before, changed(kept, alternatives=others), [manifest])


def test_a_wish_names_a_licence_in_a_line() -> None:
    for wrong in ("", "x" * 101, "MIT\nGPL"):
        with pytest.raises(ValueError, match="licence"):
            Wish(author="Cy", message="x", licence=wrong)
