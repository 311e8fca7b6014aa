"""What damage on the wire costs, in virtual time: exact, and close to what one line a turn can."""

import pytest

from bench.streaming.faults import Dirt
from bench.streaming.programs import printing
from bench.streaming.virtual import Virtual

_LINE_BYTES = 37.6


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def untold(_fact: dict[str, object]) -> None: ...

    monkeypatch.setattr("bench.streaming.board.tell", untold)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("baud", "bad_lines", "share"),
    [
        (1_000_000, 0.0, 0.96),
        (1_000_000, 0.001, 0.75),
        (1_000_000, 0.01, 0.69),
        (250_000, 0.01, 0.87),
        (115_200, 0.001, 0.94),
    ],
)
def test_damage_on_the_wire_costs_little(
    seed: int, baud: int, bad_lines: float, share: float
) -> None:
    speed, end, found = Virtual(printing(3000), baud, Dirt(seed, bad_lines)).run()
    assert (end.outcome, found.exact) == ("finished", True)
    assert speed * _LINE_BYTES * 10 / baud >= share


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lost_ok_costs_a_question(seed: int) -> None:
    speed, end, found = Virtual(printing(2000), 1_000_000, Dirt(seed, acks=0.01)).run()
    assert (end.outcome, found.exact) == ("finished", True)
    assert speed > 800
