import re
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designs import licences
from designs.design import LICENCE_LONGEST, OWN_WORK
from designs.errors import Refused
from designs.licences import (
    ANY,
    Act,
    Asked,
    Enclosed,
    Grant,
    Outcome,
    Work,
    citation,
    combine,
    forks_as,
    is_expression,
    judge,
    known,
    normal,
    notices,
    source_until,
    table,
    texts,
    to_add,
)

KNOWN = st.sampled_from(sorted(licences._ROWS))
ACTS = st.sampled_from(list(Act))
STRENGTH = [Outcome.DENIED, Outcome.NEEDS_GRANT, Outcome.ALLOWED]


def expressions():
    return st.recursive(
        st.one_of(KNOWN, st.sampled_from(["LicenseRef-nobody", "Frameworx-1.0"])),
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
        ("CC-BY-ND-4.0", Act.ALTER, "denied"),
        ("CC-BY-NC-ND-3.0", Act.ALTER, "denied"),
        ("CC-BY-NC-4.0", Act.ALTER, "allowed"),
        ("CC-BY-ND-4.0 OR CC-BY-4.0", Act.ALTER, "allowed"),
        ("CC-BY-ND-4.0 AND CC-BY-4.0", Act.ALTER, "denied"),
        ("ODbL-1.0", Act.MAKE_FREE, "denied"),
        ("TAPR-OHL-1.0", Act.MAKE_PAID, "allowed"),
        ("CERN-OHL-1.2", Act.MAKE_PAID, "allowed"),
        ("LicenseRef-coopyleft", Act.LIST, "needs_grant"),
        ("LicenseRef-NONE", Act.LIST, "denied"),
        ("AGPL-3.0-or-later", Act.MAKE_PAID, "allowed"),
        ("MIT-0", Act.FORK, "allowed"),
        ("EUPL-1.2", Act.LIST, "allowed"),
        ("CC-BY-NC-ND-4.0", Act.MAKE_PAID, "needs_grant"),
        ("CC-BY-NC-4.0 OR MIT", Act.MAKE_PAID, "allowed"),
        ("CC-BY-NC-4.0 AND MIT", Act.MAKE_PAID, "needs_grant"),
        ("LicenseRef-nobody OR MIT", Act.LIST, "allowed"),
        ("CC-BY-SA-4.0 AND CERN-OHL-S-2.0", Act.FORK, "denied"),
        ("Apache-2.0 WITH SHL-2.1", Act.MAKE_PAID, "allowed"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", Act.MAKE_PAID, "allowed"),
        ("GPL-2.0-or-later WITH Nonsense-exception", Act.LIST, "denied"),
        ("CC-BY-NC-4.0 WITH Classpath-exception-2.0", Act.MAKE_PAID, "needs_grant"),
        (OWN_WORK, Act.LIST, "denied"),
        (OWN_WORK, Act.MAKE_PAID, "allowed"),
        ("LicenseRef-AllRightsReserved", Act.MAKE_PAID, "needs_grant"),
        ("Frameworx-1.0", Act.LIST, "denied"),
    ],
)
def test_the_table(licence, act, outcome):
    assert judge(licence, act).outcome.value == outcome


def test_reciprocal_licences_keep_the_source_reachable_and_themselves():
    for licence in ("CERN-OHL-S-2.0", "CERN-OHL-W-2.0", "TAPR-OHL-1.0", "GPL-3.0-or-later"):
        verdict = judge(licence, Act.MAKE_PAID)
        assert verdict.source_needed
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
    assert citation("Frameworx-1.0") is None


def test_a_forbidding_licence_behind_a_long_list_is_seen():
    free = " AND ".join(["CC0-1.0", "MIT", "0BSD"] * 12)
    assert judge(free, Act.MAKE_PAID).outcome is Outcome.ALLOWED
    assert judge(f"{free} AND CC-BY-NC-4.0", Act.MAKE_PAID).outcome is not Outcome.ALLOWED


def test_an_expression_too_long_to_be_kept_is_unknown_and_never_cut():
    long = " AND ".join(["CC0-1.0"] * 100)
    assert len(long) > LICENCE_LONGEST
    assert judge(long, Act.MAKE_PAID).outcome is Outcome.DENIED
    assert normal(long) is None


# The table as a whole.


def test_the_table_is_of_this_size():
    """docs/okh.md says so."""
    assert len(table()) == 105
    assert len(licences._ROWS) == len(table())


def test_every_id_is_one_of_spdx_or_allowed_by_name():
    ours = {name for name in table() if name.startswith("LicenseRef-")}
    assert ours == {
        "LicenseRef-coopyleft",
        "LicenseRef-OwnWork",
        "LicenseRef-AllRightsReserved",
        "LicenseRef-scancode-public-domain",
    }
    for name in table():
        assert normal(name) == name
        assert is_expression(name)
        assert known(name)


def test_every_licence_that_a_row_leads_to_has_a_row():
    for row in licences._ROWS.values():
        named = row.fork_as | (row.combine_as or frozenset()) | row.never_in
        assert named <= {ANY, *table()}


def test_every_written_name_leads_to_a_row():
    assert set(licences._WRITTEN.values()) <= set(table())
    assert normal("Apache License 2.0") == "Apache-2.0"
    assert normal("CERN OHL v1.2") == "CERN-OHL-1.2"
    assert normal("LGPL v3") == "LGPL-3.0-only"
    assert normal("GPLv3+") == "GPL-3.0-or-later"


# Properties over all acts, of all that can be written with the table.


@settings(max_examples=60, deadline=None)
@given(expressions(), ACTS)
def test_what_an_expression_allows_does_not_hang_on_its_order_or_repetition(one, act):
    assert strength(f"({one}) AND ({one})", act) <= strength(one, act)
    assert strength(f"({one}) OR ({one})", act) == strength(one, act)


@settings(max_examples=60, deadline=None)
@given(expressions(), expressions())
def test_and_reaches_fewer_forks_and_or_reaches_more(one, other):
    both, either = forks_as(f"({one}) AND ({other})"), forks_as(f"({one}) OR ({other})")
    for part in (forks_as(one), forks_as(other)):
        assert ANY in part or both <= part
        assert ANY in either or part <= either


@settings(max_examples=60, deadline=None)
@given(expressions())
def test_a_fork_never_frees_what_the_ancestor_held_back(expression):
    """However it is forked, a paid making that needed a grant still needs one."""
    for act in (Act.MAKE_PAID, Act.MAKE_FREE, Act.ALTER, Act.LIST):
        if strength(expression, act) < STRENGTH.index(Outcome.ALLOWED):
            for licence in forks_as(expression):
                assert licence != ANY
                assert strength(licence, act) <= strength(expression, act)


@pytest.mark.parametrize("licence", table())
def test_a_chain_of_forks_never_leads_to_more_than_its_own_licence(licence):
    """Of reciprocal licences; CC's way from 3.0 over 4.0 to the GPL is CC's own."""
    for step in forks_as(licence) - {ANY}:
        assert step in forks_as(step)
        further = forks_as(step) - forks_as(licence)
        assert further <= ({"GPL-3.0-only"} if licence.startswith("CC-BY-SA-") else set())


@given(st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_what_is_unknown_is_denied_every_act_and_combines_with_nothing(text):
    if not known(text) and " OR " not in text.upper():
        assert {judge(text, act).outcome for act in Act} == {Outcome.DENIED}
        assert combine(text, "MIT").outcome is Outcome.DENIED
        assert not forks_as(text)


@settings(max_examples=80, deadline=None)
@given(expressions(), expressions())
def test_combining_has_no_order(one, other):
    here, there = combine(one, other), combine(other, one)
    assert (here.outcome, here.licences, here.apart) == (there.outcome, there.licences, there.apart)


@settings(max_examples=80, deadline=None)
@given(expressions(), expressions(), ACTS)
def test_a_combined_work_allows_no_more_than_each_of_its_parts(one, other, act):
    whole = combine(one, other)
    if whole.outcome is not Outcome.ALLOWED:
        assert whole.licence is None
        return
    assert whole.licences == {ANY} or whole.licence in whole.licences
    if act is Act.FORK:
        return
    assert strength(whole.licence, act) <= min(strength(one, act), strength(other, act))


@settings(max_examples=80, deadline=None)
@given(expressions(), ACTS, st.integers(0, 12), st.dates(date(2026, 1, 1), date(2027, 1, 1)))
def test_a_grant_lifts_what_needs_one_and_nothing_else(expression, act, before, on):
    grant = Grant(
        number="G-1", by="Ada", acts=frozenset({act}), until=date(2026, 6, 30), most_units=10
    )
    asked = Asked(on=on, units=2, units_before=before)
    plain, granted = judge(expression, act), judge(expression, act, grant, asked)
    assert strength_of(granted) >= strength_of(plain)
    if plain.outcome is Outcome.DENIED:
        assert granted.outcome is Outcome.DENIED
    within = on <= date(2026, 6, 30) and before + 2 <= 10
    if plain.outcome is Outcome.NEEDS_GRANT:
        assert granted.allowed is within
        assert (granted.grant == grant) is within
    else:
        assert granted.grant is None
    assert judge(expression, act, grant).outcome is plain.outcome
    other = next(each for each in Act if each is not act)
    elsewhere = grant.model_copy(update={"acts": frozenset({other})})
    assert judge(expression, act, elsewhere, asked).outcome is plain.outcome


def strength_of(verdict) -> int:
    return STRENGTH.index(verdict.outcome)


@settings(max_examples=60, deadline=None)
@given(expressions())
def test_an_allowed_paid_make_names_its_source_or_is_not_delivered(expression):
    verdict = judge(expression, Act.MAKE_PAID)
    work = Work(title="Lantern", version="1.0.0", licensor="Ada Lovelace")
    if verdict.allowed and verdict.source_needed:
        with pytest.raises(Refused, match="source"):
            notices(verdict, work)
    lines = notices(verdict, work.model_copy(update={"source": "https://a.org/lantern"}))
    assert set(verdict.notices) <= set(lines)
    assert "Complete source: https://a.org/lantern" in lines
    assert lines[0] == "Lantern 1.0.0, by Ada Lovelace"


# By example.


@pytest.mark.parametrize(
    ("one", "other", "whole"),
    [
        ("MIT", "MIT", "MIT"),
        ("MIT", "CERN-OHL-P-2.0", "(MIT) AND (CERN-OHL-P-2.0)"),
        ("CERN-OHL-P-2.0", "CERN-OHL-W-2.0", "CERN-OHL-W-2.0"),
        ("CERN-OHL-W-2.0", "CERN-OHL-S-2.0", "CERN-OHL-S-2.0"),
        ("CERN-OHL-1.2", "CERN-OHL-S-2.0", "CERN-OHL-S-2.0"),
        ("CC0-1.0", "CERN-OHL-S-2.0", "CERN-OHL-S-2.0"),
        ("CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-SA-4.0"),
        ("CC-BY-SA-4.0", "GPL-3.0-only", "GPL-3.0-only"),
        ("CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-NC-4.0"),
        ("GPL-3.0-or-later", "AGPL-3.0-or-later", "AGPL-3.0-or-later"),
        ("GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-only"),
        ("LGPL-2.1-or-later", "GPL-3.0-only", "GPL-3.0-only"),
        ("Apache-2.0", "GPL-3.0-only", "GPL-3.0-only"),
        ("CC-BY-SA-4.0 OR MIT", "CERN-OHL-S-2.0", "CERN-OHL-S-2.0"),
        ("MPL-2.0", "GPL-3.0-or-later", "GPL-3.0-or-later"),
        ("CC-BY-SA-4.0", "CERN-OHL-S-2.0", None),
        ("CC-BY-4.0", "CERN-OHL-S-2.0", None),
        ("CC-BY-NC-4.0", "CC-BY-SA-4.0", None),
        ("CC-BY-NC-4.0", "CERN-OHL-S-2.0", None),
        ("CC-BY-ND-4.0", "MIT", None),
        ("Apache-2.0", "GPL-2.0-only", None),
        ("GPL-2.0-only", "GPL-3.0-only", None),
        ("TAPR-OHL-1.0", "CERN-OHL-S-2.0", None),
        ("LicenseRef-AllRightsReserved", "MIT", None),
        ("Frameworx-1.0", "MIT", None),
    ],
)
def test_two_licences_in_one_work(one, other, whole):
    found = combine(one, other)
    assert found.licence == whole
    assert found.why


def test_what_cannot_be_merged_may_still_stand_side_by_side():
    assert combine("CC-BY-SA-4.0", "CERN-OHL-S-2.0").apart
    assert "assembly" in combine("CC-BY-SA-4.0", "CERN-OHL-S-2.0").why
    assert not combine("Frameworx-1.0", "MIT").apart
    assert not combine("LicenseRef-AllRightsReserved", "MIT").apart


def test_only_and_or_later_are_told_apart():
    assert forks_as("GPL-3.0-only") == {"GPL-3.0-only"}
    assert "GPL-3.0-or-later" in forks_as("GPL-2.0-or-later")
    assert "GPL-3.0-only" not in forks_as("GPL-2.0-only")


def test_a_grant_says_why_it_falls_short():
    grant = Grant(
        number="G-7", by="Ada", acts=frozenset({Act.MAKE_PAID}), until=date(2026, 6, 30),
        most_units=10, fee_cents=150, currency="EUR", share_pct=5,
    )  # fmt: skip
    nc, day = "CC-BY-NC-4.0", date(2026, 6, 30)
    fine = judge(nc, Act.MAKE_PAID, grant, Asked(on=day, units=10))
    assert fine.allowed
    assert fine.grant == grant
    assert "G-7" in fine.why
    assert "ended on 2026-06-30" in judge(nc, Act.MAKE_PAID, grant, Asked(on=date(2026, 7, 1))).why
    many = judge(nc, Act.MAKE_PAID, grant, Asked(on=day, units=2, units_before=9))
    assert "for 10 pieces, 9 were made" in many.why
    other = grant.model_copy(update={"licence": "CC-BY-NC-SA-4.0"})
    assert "is for CC-BY-NC-SA-4.0" in judge(nc, Act.MAKE_PAID, other, Asked(on=day)).why
    assert judge("CC-BY-NC-ND-4.0", Act.ALTER, grant, Asked(on=day)).outcome is Outcome.DENIED
    lines = notices(fine, Work(title="Hook", version="1", licensor="Ada"))
    assert "Made under grant G-7 of Ada" in lines


@pytest.mark.parametrize(
    ("licence", "address"),
    [
        ("MIT", "https://spdx.org/licenses/MIT.html"),
        ("ISC", "https://spdx.org/licenses/ISC.html"),
        ("Unlicense", "https://spdx.org/licenses/Unlicense.html"),
        ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/legalcode"),
        ("CC-BY-3.0-DE", "https://creativecommons.org/licenses/by/3.0/de/"),
        ("CC-BY-NC-SA-2.5", "https://creativecommons.org/licenses/by-nc-sa/2.5/"),
        ("CC-SA-1.0", "https://creativecommons.org/licenses/sa/1.0/"),
        ("LicenseRef-scancode-public-domain", None),
    ],
)
def test_a_notice_leads_to_the_text_of_its_own_licence(licence: str, address: str | None):
    work = Work(title="Hook", version="1.0.0", licensor="Ada", source="https://a.org/hook")
    lines = notices(judge(licence, Act.MAKE_FREE), work)
    found = [line for line in lines if line.startswith(f"{licence}: ")]
    assert found == ([f"{licence}: {address}"] if address else [])


def test_notices_say_whose_which_and_where():
    verdict = judge("CERN-OHL-S-2.0", Act.MAKE_PAID)
    until = source_until(verdict, date(2028, 2, 29))
    assert until == date(2031, 3, 1)
    lines = notices(
        verdict,
        Work(
            title="Lantern",
            version="1.2.0",
            licensor="Ada Lovelace",
            source="https://a.org/lantern",
            changes=("lid 2 mm thicker",),
            until=until,
        ),
    )
    assert lines == (
        "Lantern 1.2.0, by Ada Lovelace",
        "Licence: CERN-OHL-S-2.0",
        "CERN-OHL-S-2.0: https://ohwr.org/cern_ohl_s_v2.txt",
        "Licensed under CERN-OHL-S v2 or later, without warranty",
        "Complete source: https://a.org/lantern, until 2031-03-01 at least",
        "Changed: lid 2 mm thicker",
    )
    assert source_until(judge("MIT", Act.MAKE_PAID), date(2026, 1, 1)) is None


LANTERN = Work(
    title="Lantern", version="1.0.0", licensor="Ada", holder="Ada", source="https://a.org/lantern",
    texts=("https://a.org/lantern/LICENSE",), own_notices=("https://a.org/lantern/NOTICE",),
)  # fmt: skip
BARE = LANTERN.model_copy(update={"holder": None, "texts": (), "own_notices": ()})


@pytest.mark.parametrize("licence", table())
def test_no_line_for_the_receiver_is_a_heading_without_content(licence: str):
    """What the licence wants enclosed is there, or its lack is told to whoever hands it over."""
    verdict = judge(licence, Act.MAKE_PAID)
    for line in verdict.notices:
        assert re.fullmatch(r"No warranty|Licensed under .+", line)
    own = {"© Ada", "Its licence's text: https://a.org/lantern/LICENSE",
           "Its own notices: https://a.org/lantern/NOTICE"}  # fmt: skip
    assert len(own & set(notices(verdict, LANTERN))) == len(verdict.encloses)
    assert not to_add(verdict, LANTERN)
    assert not any(line.startswith(("©", "Its ")) for line in notices(verdict, BARE))
    told = verdict.encloses - ({Enclosed.TEXT} if texts(verdict) else set())
    assert len(to_add(verdict, BARE)) == len(told)


def test_the_copyright_line_and_the_notice_file_go_with_the_part():
    apache = judge("Apache-2.0", Act.MAKE_PAID)
    assert apache.notices == ()
    assert notices(apache, LANTERN) == (
        "Lantern 1.0.0, by Ada",
        "Licence: Apache-2.0",
        "Apache-2.0: https://www.apache.org/licenses/LICENSE-2.0",
        "© Ada",
        "Its licence's text: https://a.org/lantern/LICENSE",
        "Its own notices: https://a.org/lantern/NOTICE",
        "Complete source: https://a.org/lantern",
    )
    copyright_line, file = to_add(apache, BARE)
    assert "copyright notice" in copyright_line
    assert "no file NOTICE" in file
    both = judge("MIT AND CERN-OHL-P-2.0", Act.MAKE_PAID)
    assert {"© Ada", "Its own notices: https://a.org/lantern/NOTICE"} <= {*notices(both, LANTERN)}


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("MIT", True),
        ("MIT OR Apache-2.0", True),
        ("Apache-2.0 WITH SHL-2.1", True),
        ("LicenseRef-My-1.0", True),
        ("MIT AND LicenseRef-x", True),
        ("NONE", False),
        ("", False),
        ("free for all", False),
        ("LicenseRef-", False),
        ("MIT OR", False),
    ],
)
def test_what_is_an_expression(text, is_one):
    assert is_expression(text) is is_one


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize(
    "licence", ["CERN-OHL-S-2.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0"]
)
def test_or_any_later_version_is_judged_as_the_version_that_is_named(licence, act):
    one, later = judge(licence, act), judge(f"{licence}+ AND MIT", act)
    assert (later.outcome, later.source_needed) == (one.outcome, one.source_needed)
    assert normal(f"{licence.lower()}+") == f"{licence}+"
    assert is_expression(f"{licence}+")


@pytest.mark.parametrize("nothing", ["LicenseRef-coopyleft+", "Unheard-1.0+", "CC-BY-4.0++", "+"])
def test_no_later_version_of_what_has_none(nothing):
    assert not known(nothing)
