from datetime import UTC, datetime
from typing import Any

import pytest

from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import BadMessage, read_down, read_presence, read_up
from fablab_agents.protocol.tickets import canonical
from tests.wire import hello, welcome

NONCE, SHA = "0" * 32, "a" * 64
AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MACHINE = messages.Machine(
    machine="m-1", title="M", model="generic-fdm-220", processes=("fdm",), materials=("pla",),
    envelope_mm=(220, 220, 250), tolerance_mm=0.3, attended=False, rate_minor_per_h=400,
    setup_minor=150, offered=True, condition=messages.Condition.IDLE, bed=messages.Bed.CLEAR,
)  # fmt: skip
UP: list[Any] = [
    hello("b-1"),
    messages.Report(boot="b-1", seq=1, attempt="a-1", fence=1, state=State.ACCEPTED, at=AT),
    messages.Claim(boot="b-1", attempt="a-1", fence=1, machine="m-1", nonce=NONCE, program=SHA),
    messages.UpAck(boot="b-1", seq=1),
    messages.Recall(boot="b-1", attempt="a-1", ticket="a.b.c"),
]
DOWN: list[Any] = [
    welcome("b-1"),
    messages.Offer(epoch=1, seq=1, ticket="a.b.c"),
    messages.Withdraw(epoch=1, seq=1, attempt="a-1", fence=1, why="x"),
    messages.Stop(epoch=1, seq=1, attempt="a-1", fence=1, why="x"),
    messages.Doubt(epoch=1, seq=1, ticket="a.b.c"),
    messages.Ask(attempt="a-1"),
    messages.Granted(grant="a.b.c"),
    messages.Denied(attempt="a-1", nonce=NONCE, why="x"),
    messages.DownAck(seq=1),
]


@pytest.mark.parametrize("message", UP)
def test_what_an_agent_says_is_read_as_it_was_said(message: Any) -> None:
    assert read_up(canonical(message)) == message


@pytest.mark.parametrize("message", DOWN)
def test_what_the_orchestrator_says_is_read_as_it_was_said(message: Any) -> None:
    assert read_down(canonical(message)) == message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"kind":"dance"}',
        b'{"kind":"ack","boot":"b-1","seq":1,"more":1}',
        b'{"kind":"ack","boot":"b-1","seq":1,"seq":2}',
        b'{"kind":"ack","boot":"b-1","seq":0}',
        b'{"kind":"ack","boot":"B 1","seq":1}',
        b'{"kind":"ack","boot":"b-1","seq":NaN}',
        b"[" * 60_000,
        b'{"kind":"offer","seq":1,"ticket":"' + b"x" * messages.MAX_BYTES + b'"}',
    ],
)
def test_what_is_no_message_is_told_so(raw: bytes) -> None:
    for read in (read_up, read_down, read_presence):
        with pytest.raises(BadMessage):
            read(raw)


def test_a_report_without_a_time_zone_is_none() -> None:
    raw = canonical(UP[1]).replace(b"12:00:00Z", b"12:00:00")
    with pytest.raises(BadMessage, match="timezone"):
        read_up(raw)


@pytest.mark.parametrize("digits", [20, 5000])
@pytest.mark.parametrize("read", [read_up, read_down, read_presence])
def test_a_number_beyond_all_reading_is_no_message(read: Any, digits: int) -> None:
    """5000 digits once ended both programs: Python reads no such number, and says so in its way."""
    for kind in ("welcome", "withdraw", "hello", "report", "presence"):
        raw = f'{{"kind":"{kind}","boot":"b","seq":{"9" * digits},"acked_up":{"9" * digits}}}'
        with pytest.raises(BadMessage):
            read(raw.encode())


def test_whatever_somebody_said_can_be_sent_and_read() -> None:
    """A print server's own words in a report once ended both programs."""
    odd = "bed\x00 \ud800\x1b[0m\r\n\thot"
    said = messages.Report(
        boot="b-1", seq=1, attempt="a-1", fence=1, state=State.FAILED, at=AT, cause=odd, person=odd,
        evidence={odd: odd, "lines": 3, "whole": True, "share": 0.5},
    )  # fmt: skip
    assert said.cause == "bed� ��[0m\r\n\thot"
    assert said.evidence == {said.cause: said.cause, "lines": 3, "whole": True, "share": 0.5}
    assert read_up(canonical(said)) == said
    asked = messages.Withdraw(epoch=1, seq=1, attempt="a-1", fence=1, why=odd)
    assert read_down(canonical(asked)) == asked


@pytest.mark.parametrize(
    "absurd",
    [
        {"tolerance_mm": -1.0},
        {"tolerance_mm": 1e300},
        {"envelope_mm": (0.0, 1.0, 1.0)},
        {"thickness_max_mm": -1.0},
        {"tool_mm": 1e300},
    ],
)
def test_a_machine_beyond_all_measure_is_none(absurd: dict[str, Any]) -> None:
    machine = MACHINE.model_copy(update=absurd)
    raw = messages.Machines.model_construct(boot="b-1", machines=(machine,)).model_dump_json()
    with pytest.raises(BadMessage, match=next(iter(absurd))):
        read_up(raw.encode())
