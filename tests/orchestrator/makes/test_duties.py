"""What goes with a made part: notices, the grant, and until when its source is reachable."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designs import licences
from designs.design import OWN_WORK, File, Role
from designs.licences import Act, Grant
from orchestrator.app import wire
from orchestrator.catalogue.drafts import UNUSED, Drafts
from orchestrator.catalogue.lifecycle import THE_OPERATOR
from orchestrator.catalogue.model import NOT_NAMED
from orchestrator.grants import service as grants
from orchestrator.grants.model import Wish
from orchestrator.makes import duties
from orchestrator.store import Blobs
from tests.orchestrator.dispatch.conftest import PRINTER, a_release
from tests.orchestrator.makes.test_made import finished
from tests.orchestrator.makes.test_recall_pages import operator, post
from tests.orchestrator.test_pages import Site, site

__all__ = ["operator", "site"]

GRANT = Grant(number="g-7", by="Us", acts=frozenset({Act.MAKE_PAID}))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*licences.table(), OWN_WORK]),
    st.dates(date(2020, 1, 1), date(2100, 1, 1)),
    st.booleans(),
)
def test_every_notice_is_told_and_the_source_promised_for_the_whole_span(
    licence: str, day: date, with_grant: bool
) -> None:
    release = a_release("f" * 64).model_copy(update={"licence": licence})
    owed = duties.owed(release, "https://a.org/hook", day, [GRANT] if with_grant else [])
    verdict = licences.judge(licence, Act.MAKE_PAID)
    assert set(verdict.notices) <= set(owed.notices)
    assert (owed.until is None) is (verdict.source_years == 0)
    if owed.until:
        assert (owed.until.year, owed.until >= day) == (day.year + verdict.source_years, True)
        assert f"Complete source: https://a.org/hook, until {owed.until} at least" in owed.notices
    named = "Made under grant g-7 of Us" in owed.notices
    assert named is (with_grant and licence != OWN_WORK)


async def test_note_and_passport_name_grant_and_day_and_no_clean_up_takes_the_source(
    operator: Site, tmp_path: Any
) -> None:
    store, client = operator.town.store, operator.client
    wire(store)
    source = store.blobs.put(b"solid hook")
    operator.town.release = a_release(source)
    await operator.town.publish(licence="CC-BY-NC-4.0 AND CERN-OHL-S-2.0")
    agent = await operator.town.open_lab("Near", 1, PRINTER)
    async with store.unit() as unit:
        told = Wish(lab="Near", reference="a letter")
        grant = (await grants.record(unit, "hook", told, THE_OPERATOR)).id
    passport = await finished(operator, agent, "Ona")
    order = (await client.get(f"/api/makes/{passport}")).json()["order_id"]
    await post(operator, f"/api/grants/{grant}/withdraw", 200)
    assert "delivery-note" in (await operator.get(f"/orders/{order}")).answer.text

    await post(operator, f"/api/orders/{order}/collected", 204)
    note = (await client.get(f"/api/orders/{order}/delivery-note")).json()
    today = datetime.now(UTC).date()
    until = licences.source_until(licences.judge("CERN-OHL-S-2.0", Act.MAKE_PAID), today)
    assert (note["source_until"], note["parts"][0]["passport"]) == (str(until), passport)
    assert f"Made under grant {grant} of Us" in note["notices"]
    record = (await client.get(f"/p/{passport}.json")).json()
    assert (record["licence_notices"], record["source_until"]) == (note["notices"], str(until))
    for path in (f"/orders/{order}/delivery-note", f"/p/{passport}", f"/p/{passport}.html"):
        words = (await operator.get(path)).words
        assert f"source stays reachable until {until} at least" in words, path
        assert f"Made under grant {grant} of Us" in words, path
    assert "Ana Puig" not in (await operator.get(f"/orders/{order}/delivery-note")).words

    drafts, file = Drafts(store), tmp_path / "hook.stl"
    file.write_bytes(b"solid hook")
    begun = await drafts.begin()
    store.blobs.apart("drafts", begun.id).put(file)
    await drafts.drop(begun.id, "not wanted")
    await drafts.sweep(datetime.now(UTC) + UNUSED * 2)
    sha256 = operator.town.release.sha256
    worse = {"to": "deprecated", "reason": "the new one is lighter"}
    await post(operator, f"/api/releases/{sha256}/state", 200, **worse)
    await post(operator, "/api/recalls", design="hook", reason="brittle", by="Ona")
    kept = await client.get(f"/releases/{sha256}/files/{source}")
    assert (kept.status_code, kept.content) == (200, b"solid hook")
    assert "recalled: do not use it" in (await operator.get(f"/orders/{order}/delivery-note")).words


@pytest.mark.parametrize("name", ["NOTICE", "docs/notice.md"])
async def test_the_note_holds_what_the_licence_names_or_tells_the_lab_to_add_it(
    operator: Site, name: str
) -> None:
    base = operator.town.release
    notice = File(name=name, sha256="b" * 64, size_bytes=9, role=Role.DOCUMENT, format="none")
    plate = notice.model_copy(update={"name": "notice-board.stl", "sha256": "c" * 64})
    await operator.town.publish(licence="Apache-2.0", files=(*base.files, notice, plate))
    sha256 = operator.town.release.sha256
    agent = await operator.town.open_lab("Near", 1, PRINTER)
    passport = await finished(operator, agent, "Ona")
    order = (await operator.client.get(f"/api/makes/{passport}")).json()["order_id"]
    files = f"http://pages.test/releases/{sha256}/files"
    note = (await operator.client.get(f"/api/orders/{order}/delivery-note")).json()
    own = [line for line in note["notices"] if line.startswith(("©", "Its "))]
    assert own == ["© Us", f"Its own notices: {files}/{'b' * 64}"]
    assert note["to_add"] == []
    for path in (f"/orders/{order}/delivery-note", f"/p/{passport}", f"/p/{passport}.html"):
        assert f'<a href="{files}/{"b" * 64}"' in (await operator.get(path)).answer.text, path


async def test_what_is_not_known_is_told_to_the_lab_and_not_to_the_receiver(operator: Site) -> None:
    await operator.town.publish(licence="Apache-2.0", licensor=NOT_NAMED)
    agent = await operator.town.open_lab("Near", 1, PRINTER)
    passport = await finished(operator, agent, "Ona")
    order = (await operator.client.get(f"/api/makes/{passport}")).json()["order_id"]
    page = await operator.get(f"/orders/{order}/delivery-note")
    _, _, add = page.words.partition("Before you hand it over")
    assert "copyright notice: nobody is named" in add
    assert "no file NOTICE came with it" in add
    (card,) = [each for each in page.all("section") if each.get("aria-labelledby") == "add"]
    assert "unprinted" in card["class"]
    told = (await operator.client.get(f"/p/{passport}.json")).json()["licence_notices"]
    assert not [line for line in told if "NOTICE" in line or "©" in line]


@pytest.mark.parametrize(
    ("how", "words"),
    [({"simulated": True}, "simulated machine"), ({"attested": True}, "attested by a person")],
)
async def test_the_note_says_what_no_machine_made(
    operator: Site, how: dict[str, bool], words: str
) -> None:
    await operator.town.publish()
    agent = await operator.town.open_lab("Near", 1, PRINTER)
    passport = await finished(operator, agent, "Ona", **how)
    order = (await operator.client.get(f"/api/makes/{passport}")).json()["order_id"]
    note = (await operator.client.get(f"/api/orders/{order}/delivery-note")).json()
    assert note["parts"][0].items() >= ({"simulated": False, "attested": False} | how).items()
    assert words in (await operator.get(f"/orders/{order}/delivery-note")).words


@pytest.mark.parametrize("way", ["remove", "throw_away"])
def test_there_is_no_way_to_lose_a_file_of_a_release(way: str) -> None:
    assert not hasattr(Blobs, way)
