"""What `cosmolocal quote`, `watch` and `inspect` print: the labels that their pages show."""

from typing import Any

import pytest

from orchestrator.cli import makes, orders

MADE = {"id": "p-1", "part": "hook", "agent": "north", "machine": "printer-1"}
OPTION = {
    "lab": "Near", "total_minor": 250, "distance_m": 1200, "ready_at": None, "lines": [],
    "why": "it is the nearest",
}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "label"),
    [
        ({"by_hand": True, "simulated": False}, " (driven by hand)"),
        ({"by_hand": True, "simulated": True}, " (simulated, driven by hand)"),
        ({"by_hand": False, "simulated": False}, ""),
    ],
)
def test_a_quote_says_how_the_machine_is_driven(facts: dict[str, Any], label: str) -> None:
    item = {"pieces": 1, "part": "hook", "process": "print", "material": "pla", "why_not": []}
    said = orders.told_item({**item, "options": [{**OPTION, **facts}]}, "EUR")
    assert f"Near{label}: 2.50 EUR" in said[1]


def test_a_word_of_a_person_and_a_simulated_machine_are_named_so() -> None:
    attested = {**MADE, "attested": True, "simulated": False}
    simulated = {**MADE, "attested": False, "simulated": True}
    waiting = makes.told([attested, simulated]).splitlines()
    ended = orders.told_end({"state": "ready"}, [attested, simulated]).splitlines()
    for said in (waiting, ended):
        assert said[0].endswith("north/printer-1 (attested by a person)")
        assert said[1].endswith("north/printer-1 (simulated)")
    assert ended[-1] == "order ready"
