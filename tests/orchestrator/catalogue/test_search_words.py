"""Words as they are indexed and asked for: one spelling for what people mean by one word."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.catalogue.search import words
from orchestrator.catalogue.search.model import FIELDS, Box, Query, read
from orchestrator.catalogue.search.tables import ENDLESS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Lámparas", "lampara"), ("hooks", "hook"), ("boxes", "box"), ("soportes", "soporte"),
        ("motores", "motor"), ("batteries", "battery"), ("glasses", "glass"), ("buses", "bus"),
        ("Straße", "STRASSE"), ("ﬁx", "fix"), ("Łódź", "lodz"), ("bridges", "bridge"),
        ("Ｈｏｏｋ", "hook"), ("cafe\u0301", "café"), ("keys", "key"), ("Müller", "muller"),
    ],
)  # fmt: skip
def test_what_is_one_word_to_a_person_is_one_token(one: str, other: str) -> None:
    assert words.tokens(one) == words.tokens(other)
    assert len(words.tokens(one)) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("case", "castle"), ("bus", "bu"), ("pan", "pen"), ("caja", "cajón"), ("3d", "3"), ("ж", "з")],
)
def test_other_words_stay_others(one: str, other: str) -> None:
    assert words.tokens(one) != words.tokens(other)


def test_common_words_are_not_looked_for_and_told() -> None:
    asked = words.question("a hook for the door")
    assert [word.token for word in asked.words] == ["hook", "door"]
    assert asked.ignored == ("a", "for", "the")
    assert words.tokens("el gancho de la puerta") == ["gancho", "puerta"]


def test_only_the_last_word_may_be_unfinished() -> None:
    assert [word.prefix for word in words.question("coat hoo").words] == [None, "hoo"]
    assert [word.prefix for word in words.question("coat h").words] == [None, None]
    assert [word.prefix for word in words.question("hook for").words] == [None]


@given(st.text(max_size=200))
def test_any_text_becomes_tokens_that_both_engines_leave_alone(text: str) -> None:
    found = words.tokens(text)
    assert all(re.fullmatch(r"[a-z0-9_]+", token) for token in found)
    assert len(found) == len(set(found))
    assert {word.token for word in words.question(text).words} == set(found)


@given(st.text(min_size=1, max_size=30), st.text(max_size=10))
def test_a_beginning_stays_a_beginning(text: str, more: str) -> None:
    assert words.spelt(text + more).startswith(words.spelt(text))


@given(st.text(max_size=400))
def test_a_fields_token_is_bounded_and_plain(text: str) -> None:
    assert re.fullmatch(r"li_[a-z0-9_]{0,2000}", words.tag("li", text))
    assert words.tag("li", text) == words.tag("li", f"  {text}\t")


# ── the query, from an address and back


ASKED = [
    ("q", "coat hook"), ("process", "3d_printing_fdm"), ("process", "laser_cutting"),
    ("material", "pla"), ("licence", "CC-BY-4.0"), ("sold", "yes"), ("changed", "yes"),
    ("fits", "220x220x250"), ("mass_max", "200"), ("volume_max", "10.5"), ("tolerance", "0.2"),
    ("thickness", "3"), ("format", "stl"), ("version", "1.0.0"), ("since", "2026-01-01"),
    ("until", "2026-11-30"), ("contributor", "Ana Puig"), ("licensor", "Ana Puig"),
    ("forked_from", "hook"), ("recipe", "yes"), ("inspection", "yes"), ("first_article", "yes"),
    ("deprecated", "no"), ("made", "2"), ("near", "41.39,2.17"), ("within", "30"),
]  # fmt: skip


def test_every_field_is_read_and_written_back() -> None:
    asked = read(ASKED)
    assert asked.findings == ()
    assert asked.query.pairs() == ASKED
    assert {name for name, _ in ASKED} | {"limit", "after"} == set(FIELDS)
    assert len(asked.query.active()) == len(ASKED) - 1  # `within` belongs to `near`


def test_leaving_filters_out_one_by_one_ends_at_everything() -> None:
    query = read(ASKED).query
    for _ in range(len(ASKED)):
        for active in query.active()[:1]:
            query = query.without(active.name, active.value)
    assert query == Query()


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("220", Box(220_000, 220_000, 220_000)), ("220 mm", Box(220_000, 220_000, 220_000)),
        ("400x300", Box(400_000, 300_000, ENDLESS)),
        ("400 × 300 x 12,5", Box(400_000, 300_000, 12_500)),
    ],
)  # fmt: skip
def test_boxes(text: str, box: Box) -> None:
    assert read([("fits", text)]).query.fits == box


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("colour", "red"), ("process", "alchemy"), ("material", "unobtainium"), ("fits", "big"),
        ("fits", "1x2x3x4"), ("fits", "-3"), ("fits", "nan"), ("fits", "0"), ("mass_max", "inf"),
        ("mass_max", "nan"), ("made", "-1"), ("made", "9" * 40), ("since", "yesterday"),
        ("since", "0001-01-01"), ("until", "9999-12-31"), ("near", "here"), ("near", "91,0"),
        ("sold", "perhaps"), ("after", "1"), ("after", "9.9"), ("after", "1.9999999999999999999"),
        ("limit", "0"), ("limit", "101"), ("q", "word " * 10_000), ("q", "x" * 301),
        ("contributor", "x" * 301), ("within", "0"), ("deprecated", "maybe"),
        ("q", "a1 b1 c1 d1 e1 f1 g1 h1 i1 j1 k1 l1 m1"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_what_to_write(name: str, text: str) -> None:
    found = read([(name, text)])
    assert [finding.where for finding in found.findings] == [name]
    assert found.findings[0].do
    assert found.query == Query()


def test_what_may_be_no_says_so() -> None:
    (finding,) = read([("deprecated", "maybe")]).findings
    assert "neither yes nor no" in finding.what


def test_an_unknown_name_is_told_the_known_ones() -> None:
    (finding,) = read([("colour", "red")]).findings
    assert all(name in finding.do for name in FIELDS)


def test_twice_the_same_field_is_refused_unless_it_may_be() -> None:
    assert read([("made", "1"), ("made", "2")]).findings
    assert read([("made", "1"), ("made", "1")]).findings == ()
    assert read([("format", "stl"), ("format", "dxf")]).query.format == ("stl", "dxf")


@given(st.lists(st.tuples(st.sampled_from([*FIELDS, "x"]), st.text(max_size=40)), max_size=80))
def test_no_address_breaks_the_reader(pairs: list[tuple[str, str]]) -> None:
    found = read(pairs)
    again = read([*found.query.pairs()])
    assert again.findings == ()
    assert again.query == Query(**{**found.query.__dict__, "limit": 24, "after": None})
