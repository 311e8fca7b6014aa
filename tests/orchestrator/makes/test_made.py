"""Made, and made independently: what is proof of it, and where it is said."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designs.design import Contributor
from orchestrator.app import wire
from orchestrator.catalogue.model import NOT_NAMED
from orchestrator.makes import model
from orchestrator.makes import service as makes
from orchestrator.makes.model import Inspection, Kind, Proof, Verdict
from orchestrator.orders import service as orders
from tests.orchestrator.dispatch.conftest import PRINTER, a_release
from tests.orchestrator.makes.test_recall_pages import operator, post
from tests.orchestrator.test_pages import Site, site

__all__ = ["operator", "site"]

NAMES = st.sampled_from(["Ana Puig", " ana  PUI\u200bG", "Bo", "Fab Nord", NOT_NAMED, "unknown"])
MAKERS = st.one_of(st.none(), st.just("  "), NAMES)
PROOFS = st.builds(
    Proof, st.just("r"), st.sampled_from(["lab-1", "lab-2", None]), MAKERS, MAKERS, MAKERS,
    st.integers(1, 3),
)  # fmt: skip


def bare(name: str) -> str:
    return " ".join(name.replace("\u200b", "").split()).casefold()


@settings(max_examples=60)
@given(st.lists(PROOFS, max_size=5), NAMES, st.lists(NAMES, max_size=2))
def test_independent_is_only_what_names_on_both_sides_prove(
    proofs: list[Proof], licensor: str, contributors: list[str]
) -> None:
    named = tuple(Contributor(name=name.strip()) for name in contributors)
    release = a_release("f" * 64).model_copy(update={"licensor": licensor, "contributors": named})
    made = model.made(proofs, {"r": release})
    assert made.total == sum(each.units for each in proofs) >= made.independently
    assert made.labs == len({each.lab for each in proofs} - {None})
    designers = {bare(each) for each in (licensor, *contributors)}
    for each in proofs:
        makers = {bare(who or "") for who in (each.name, each.party, each.person)}
        nobody = {"", NOT_NAMED, "unknown"}
        if makers & nobody or makers & designers or bare(licensor) in nobody:
            assert not model.independent(each, release)
        else:
            assert model.independent(each, release)


async def finished(site: Site, agent: str, person: str | None, **how: Any) -> str:
    """The passport of a hook that was ordered, made by that person and inspected."""
    await site.order()
    async with site.town.store.unit() as unit:
        row, *_ = await orders.orders(unit)
        (job,) = await orders.jobs_of(unit, row.id)
        await orders.plan_job(unit, job.id, agent, "printer-1")
        await orders.offer_job(unit, job.id, f"a-{job.id}")
        await orders.job_made(unit, job.id, f"a-{job.id}")
        done = makes.Finished(
            job_id=job.id, attempt=f"a-{job.id}", agent=agent, machine="printer-1",
            program_sha256="a" * 64, machine_s=700, operator=person, operator_minutes=None,
            **({"simulated": False} | how),
        )  # fmt: skip
        make = await makes.record(unit, done)
        seen = Inspection(verdict=Verdict.CONFORMS, kind=Kind.PERSON, inspector="Ona")
        await makes.inspected(unit, make.id, seen)
    return make.id


@pytest.mark.parametrize("person", ["Ona", "us"])
async def test_it_is_said_on_the_page_in_the_manifest_and_by_the_api(
    operator: Site, person: str
) -> None:
    wire(operator.town.store)
    await operator.town.publish()  # licensed by "Us"
    sha256 = operator.town.release.sha256
    agent = await operator.town.open_lab("Near", 1, PRINTER)

    async def told() -> tuple[int, int, int]:
        answer = (await operator.client.get(f"/api/releases/{sha256}")).json()["made"]
        assert answer == (await operator.client.get("/api/designs/hook")).json()["made"]
        manifest = await operator.client.get(f"/releases/{sha256}/okh.toml")
        assert "immutable" not in manifest.headers["cache-control"]
        out = tomllib.loads(manifest.text)
        own = out["cosmolocal"]
        counts = (own["made"], own["made_in_labs"], own["made_independently"])
        assert counts == (answer["total"], answer["labs"], answer["independently"])
        assert out.get("made") is (True if counts[0] else None)
        assert out.get("made-independently") is (True if counts[2] else None)
        return counts

    assert await told() == (0, 0, 0)
    assert "Nobody has made this version" in (await operator.get("/designs/hook")).words
    await finished(operator, agent, person, simulated=True)
    assert await told() == (0, 0, 0)
    assert "1 more on simulated machines" in (await operator.get("/designs/hook")).words
    independently = int(person == "Ona")
    await finished(operator, agent, person)
    assert await told() == (1, 1, independently)
    words = (await operator.get("/designs/hook")).words
    assert "1 part, in 1 lab: made, inspected and conforming" in words
    assert ("1 of them independently" in words) is bool(independently)
    if not independently:
        return
    recall = await post(operator, "/api/recalls", design="hook", reason="brittle", by="Ona")
    assert await told() == (0, 0, 0)
    await post(operator, f"/api/recalls/{recall['id']}/lift", 200, why="a jest", by="Ona")
    assert await told() == (1, 1, 1)


async def test_the_card_follows_makes_and_recalls(operator: Site) -> None:
    wire(operator.town.store)
    await operator.town.publish()
    agent = await operator.town.open_lab("Near", 1, PRINTER)

    async def card() -> tuple[int, int, int]:
        (found,) = (await operator.client.get("/api/designs")).json()["designs"]
        return found["made"], found["made_in_labs"], found["made_independently"]

    await finished(operator, agent, "Ona")
    assert await card() == (1, 1, 1)
    assert "made 1 time, in 1 lab" in (await operator.get("/")).words
    wish = {"lot": "PLA 2611", "reason": "brittle", "by": "Ona"}
    await post(operator, "/api/recalls", **wish)
    assert await card() == (1, 1, 1), "of another lot"
    recall = await post(operator, "/api/recalls", design="hook", reason="brittle", by="Ona")
    assert await card() == (0, 0, 0)
    await post(operator, f"/api/recalls/{recall['id']}/lift", 200, why="a jest", by="Ona")
    assert await card() == (1, 1, 1)
