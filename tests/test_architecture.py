"""ARCHITECTURE.md against the code: the same rooms, the same states, the same message kinds."""

import re
from enum import StrEnum
from pathlib import Path
from typing import get_args

import pytest

from fablab_agents.protocol.attempts import MOVES, Actor, State
from fablab_agents.protocol.messages import Condition, Down, Up
from orchestrator.catalogue.model import RELEASE_MOVES, ReleaseState
from orchestrator.labs.model import Session
from orchestrator.orders.model import JOB_MOVES, ORDER_MOVES, JobState, OrderState
from orchestrator.proposals.model import PROPOSAL_MOVES, ProposalState
from orchestrator.recalls.model import MOVES as RECALL_MOVES
from orchestrator.recalls.model import State as RecallState

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PACKAGES = {
    "designs": ROOT / "designs",
    "scheduling": ROOT / "scheduling",
    "firmware_bridge": ROOT / "firmware_bridge",
    "hardware_sim": ROOT / "hardware-sim" / "hardware_sim",
    "fablab_agents": ROOT / "fablab_agents",
    "orchestrator": ROOT / "orchestrator",
}


def section(title: str) -> str:
    """Text below the heading that begins with `title`, up to the next heading of its kind."""
    level = title.split(" ", maxsplit=1)[0]
    found = re.search(
        rf"^{re.escape(title)}(?!\w).*?$(.*?)(?=^#{{1,{len(level)}}} |\Z)",
        PAGE,
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"ARCHITECTURE.md has no heading {title}"
    return found[1]


def rows(title: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its two head lines."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def rooms_of(package: Path) -> set[str]:
    """Modules and folders with code or data of ours; `__main__` is only a door."""
    children = (path for path in package.iterdir() if not path.name.startswith(("_", ".")))
    return {path.stem for path in children if path.suffix == ".py" or any(path.glob("*.*"))}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_names_every_room_and_no_other(package: str):
    named = {row[0].strip("`") for row in rows(f"### `{package}`")}
    assert named == rooms_of(PACKAGES[package])


def test_the_page_names_every_package_of_the_project():
    named = set(re.findall(r"^### `(\w+)`", section("## The rooms"), re.MULTILINE))
    with_code = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    with_code |= {path.parent.name for path in ROOT.glob("hardware-sim/*/__init__.py")}
    assert named == with_code - {"demo", "tests", "bench"}


def test_every_step_of_the_walk_is_a_file_of_the_project():
    places = [
        place for row in rows("## The walk") for place in re.findall(r"`(\w+/[\w/]+\.py)`", row[1])
    ]
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_the_page_draws_the_attempts_that_both_sides_share():
    actors = {actor.value: actor for actor in Actor}
    drawn = {
        (State(start), State(end)): frozenset(actors[who] for who in whose.split(", "))
        for start, end, whose, _ in rows("### Attempt")
        if start != "–"
    }
    assert drawn == MOVES


@pytest.mark.parametrize(
    ("title", "states", "moves"),
    [
        ("### Job", JobState, JOB_MOVES),
        ("### Order", OrderState, ORDER_MOVES),
        ("### Release", ReleaseState, RELEASE_MOVES),
        ("### Proposal", ProposalState, PROPOSAL_MOVES),
        ("### Recall", RecallState, RECALL_MOVES),
    ],
    ids=["job", "order", "release", "proposal", "recall"],
)
def test_the_page_draws_the_moves_of(
    title: str, states: type[StrEnum], moves: frozenset[tuple[object, object]]
):
    drawn = {(states(start), states(end)) for start, end, *_ in rows(title)}
    assert drawn == moves


def test_the_page_names_the_conditions_of_a_machine_and_the_sessions_of_an_agent():
    assert {row[0] for row in rows("### Machine")} == set(Condition)
    assert set(re.findall(r"`(\w+)`", section("### Agent session"))) == set(Session)


def test_the_page_names_the_messages_of_the_wire():
    def kinds(union: object) -> set[str]:
        return {kind.model_fields["kind"].default for kind in get_args(union)}

    drawn = {row[0]: set(re.findall(r"`(\w+)`", row[1])) for row in rows("## The wire")}
    assert (drawn["up"], drawn["down"]) == (kinds(Up), kinds(Down))


def test_nobody_writes_a_title_twice():
    titles = re.findall(r"^#+ .*$", PAGE, re.MULTILINE)
    assert len(titles) == len(set(titles))
