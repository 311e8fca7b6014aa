import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designs import licences
from designs.design import LICENCE_LONGEST, OWN_WORK
from designs.licences import ANY, Act, Outcome, citation, judge, normal

KNOWN = st.sampled_from(sorted(licences._ROWS))
ACTS = st.sampled_from(list(Act))
STRENGTH = [Outcome.DENIED, Outcome.NEEDS_GRANT, Outcome.ALLOWED]


def expressions():
    return st.recursive(
        st.one_of(KNOWN, st.sampled_from(["LicenseRef-nobody", "EUPL-1.2"])),
        lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["AND", "OR"]), inner),
        max_leaves=4,
    )


def strength(expression: str | None, act: Act) -> int:
    return STRENGTH.index(judge(expression, act).outcome)


@settings(max_examples=60, deadline=None)
@given(expressions(), expressions(), ACTS)
def test_and_is_never_freer_and_or_never_stricter_than_its_parts(one, other, act):
    parts = strength(one, act), strength(other, act)
    assert strength(f"({one}) AND ({other})", act) <= min(parts)
    assert strength(f"({one}) OR ({other})", act) == max(parts)


@settings(max_examples=60, deadline=None)
@given(expressions(), expressions())
def test_and_keeps_every_notice_duty_and_the_need_for_source(one, other):
    both = judge(f"({one}) AND ({other})", Act.MAKE_PAID)
    for part in (judge(one, Act.MAKE_PAID), judge(other, Act.MAKE_PAID)):
        assert set(part.notices) <= set(both.notices)
        assert set(part.duties) <= set(both.duties)
        assert both.source_needed or not part.source_needed


@settings(max_examples=40, deadline=None)
@given(expressions())
def test_an_allowed_fork_names_what_it_may_carry(expression):
    verdict = judge(expression, Act.FORK)
    assert not verdict.allowed or verdict.fork_as
    assert all(name == ANY or name in licences._ROWS for name in verdict.fork_as)


@given(st.text(max_size=60), ACTS)
@settings(max_examples=80, deadline=None)
def test_no_text_makes_it_stumble_and_the_unknown_allows_nothing(text, act):
    verdict = judge(text, act)
    assert verdict.why
    if normal(text) is None and " OR " not in text.upper():
        assert verdict.outcome is Outcome.DENIED


@pytest.mark.parametrize("nothing", [None, "", "  ", "NOASSERTION", "none"])
def test_without_a_licence_nothing_is_allowed(nothing):
    assert {judge(nothing, act).outcome for act in Act} == {Outcome.DENIED}
    assert "ask who made it" in judge(nothing, Act.LIST).why


@pytest.mark.parametrize(
    ("licence", "act", "outcome"),
    [
        ("CERN-OHL-S-2.0", Act.MAKE_PAID, "allowed"),
        ("CC-BY-NC-4.0", Act.MAKE_PAID, "needs_grant"),
        ("CC-BY-NC-4.0", Act.MAKE_FREE, "allowed"),
        ("CC-BY-NC-4.0", Act.LIST, "allowed"),
        ("CC-BY-ND-4.0", Act.MAKE_PAID, "allowed"),
        ("CC-BY-ND-4.0", Act.FORK, "denied"),
        ("CC-BY-NC-ND-4.0", Act.MAKE_PAID, "needs_grant"),
        ("CC-BY-NC-4.0 OR MIT", Act.MAKE_PAID, "allowed"),
        ("CC-BY-NC-4.0 AND MIT", Act.MAKE_PAID, "needs_grant"),
        ("LicenseRef-nobody OR MIT", Act.LIST, "allowed"),
        ("CC-BY-SA-4.0 AND CERN-OHL-S-2.0", Act.FORK, "denied"),
        ("Apache-2.0 WITH SHL-2.1", Act.MAKE_PAID, "allowed"),
        (OWN_WORK, Act.LIST, "denied"),
        (OWN_WORK, Act.MAKE_PAID, "allowed"),
        ("LicenseRef-AllRightsReserved", Act.MAKE_PAID, "needs_grant"),
        ("EUPL-1.2", Act.LIST, "denied"),
    ],
)
def test_the_table(licence, act, outcome):
    assert judge(licence, act).outcome.value == outcome


def test_reciprocal_licences_keep_the_source_reachable_and_themselves():
    for licence in ("CERN-OHL-S-2.0", "CERN-OHL-W-2.0", "TAPR-OHL-1.0", "GPL-3.0-or-later"):
        verdict = judge(licence, Act.MAKE_PAID)
        assert verdict.source_needed
        assert any("source" in n or "documentation" in n for n in verdict.notices)
        assert licence in judge(licence, Act.FORK).fork_as
    assert not judge("MIT", Act.MAKE_PAID).source_needed


def test_names_people_write_are_understood():
    assert normal("cc by-sa 4.0") == "CC-BY-SA-4.0"
    assert normal("Creative Commons Attribution-ShareAlike 4.0 International") == "CC-BY-SA-4.0"
    assert normal("mit or (cern ohl s v2)") is None
    assert normal("cern-ohl-s v2") == "CERN-OHL-S-2.0"


def test_the_reason_says_what_to_do():
    assert "https://spdx.org/licenses" in judge("free for all", Act.LIST).why
    assert "grants it" in judge("CC-BY-NC-4.0", Act.MAKE_PAID).why


def test_every_row_says_what_it_stands_on():
    assert all(citation(licence) for licence in licences._ROWS)
    assert citation("EUPL-1.2") is None


def test_a_forbidding_licence_behind_a_long_list_is_seen():
    free = " AND ".join(["CC0-1.0", "MIT", "0BSD"] * 12)
    assert judge(free, Act.MAKE_PAID).outcome is Outcome.ALLOWED
    assert judge(f"{free} AND CC-BY-NC-4.0", Act.MAKE_PAID).outcome is not Outcome.ALLOWED


def test_an_expression_too_long_to_be_kept_is_unknown_and_never_cut():
    long = " AND ".join(["CC0-1.0"] * 100)
    assert len(long) > LICENCE_LONGEST
    assert judge(long, Act.MAKE_PAID).outcome is Outcome.DENIED
    assert normal(long) is None
