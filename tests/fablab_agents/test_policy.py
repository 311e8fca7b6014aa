from datetime import datetime

import pytest

from fablab_agents import policy
from fablab_agents.config import Hours, Machine, Policy
from tests.fablab_agents.conftest import make_ticket

NIGHT = datetime(2026, 11, 22, 3, 0)  # noqa: DTZ001 - the shop's own clock
DAY = datetime(2026, 11, 22, 12, 0)  # noqa: DTZ001
OPEN = Policy(unattended_hours=Hours.read("08:00-20:00"))


def printer(**changes: object) -> Machine:
    fields = {"id": "p-1", "profile": "generic-fdm-220", "driver": "marlin", "link": "/p"}
    return Machine.model_validate({**fields, "materials": ("pla",), **changes})


def test_a_printer_starts_alone_in_the_hours_only() -> None:
    assert policy.against_now(printer(), "fdm", OPEN, DAY) is None
    said = policy.against_now(printer(), "fdm", OPEN, NIGHT)
    assert said == "the shop lets machines start alone only in 08:00-20:00"


@pytest.mark.parametrize("kind", ["mill", "laser"])
def test_with_a_person_there_the_hours_do_not_matter(kind: str) -> None:
    assert policy.against_now(printer(attended=False), kind, OPEN, NIGHT) is None
    assert policy.against_now(printer(attended=True), "fdm", OPEN, NIGHT) is None


@pytest.mark.parametrize(("seconds", "kept"), [(120, True), (121, False), (0, True)])
def test_a_program_may_be_a_fifth_longer_than_the_quote(seconds: int, kept: bool) -> None:
    assert (policy.against_length(seconds, 100) is None) is kept


def test_a_long_program_is_told_in_minutes() -> None:
    said = policy.against_length(7200, 1800)
    assert said == ("it would take 120 min, the quote stands on 30 min; it must be quoted again")


def test_an_offer_that_fits_is_taken() -> None:
    laser = printer(id="laser-1", materials=("plywood",), thickness_max_mm=3.0)
    assert policy.against_offer(laser, "laser", make_ticket(), offered=True) is None
