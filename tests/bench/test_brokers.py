"""A sample of `./run proof brokers` on Mosquitto, and what its judge and its bytes hold.

The embedded broker is killed in the town of `test_restore.py`.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.brokers import stale, town, wire
from bench.brokers.wire import Message, Packets
from tests.conftest import need


@pytest.mark.journey
@pytest.mark.timeout(300)
def test_old_messages_start_nothing_six_hours_later(tmp_path: Path):
    need("mosquitto")
    result = stale.run(
        "mosquitto", tmp_path / "town", messages=600, seed=7, jobs=2, lasers=1, quiet_s=5
    )
    assert result.starts == 0
    assert result.released["grant"] > 0
    assert result.later > 0, "the machines were not even willing"
    assert result.judged.faults == 0


@settings(deadline=None)
@given(
    st.text(min_size=1, max_size=40).filter(lambda topic: "\0" not in topic),
    st.binary(max_size=300), st.integers(0, 2), st.booleans(), st.integers(1, 7),
)  # fmt: skip
def test_a_message_is_the_same_out_of_a_stream_in_pieces(
    topic: str, payload: bytes, qos: int, retain: bool, piece: int
):
    said, packets = Message(topic, payload, qos, retain), Packets()
    raw = said.packet(9) * 2
    pieces = [raw[at : at + piece] for at in range(0, len(raw), piece)]
    read = [Message.of(packet) for each in pieces for packet in packets.feed(each)]
    assert read == [said, said]


@settings(deadline=None)
@given(st.integers(0, wire.LONGEST))
def test_a_packet_says_its_length_as_mqtt_does(length: int):
    raw = wire.framed(0x30, b"", length)
    said = [byte & 0x7F for byte in raw[1:]]
    assert sum(low << 7 * place for place, low in enumerate(said)) == length
    assert [byte >= 0x80 for byte in raw[1:]] == [True] * (len(said) - 1) + [False]


@pytest.mark.parametrize("plate", [0, 1, 57, 199])
def test_a_plate_is_known_by_what_was_cut(plate: int):
    left, right = 1.075, 1.075 + town.width_mm(plate) + 0.15
    program = f"G0 X0 Y0\nG1 X{left} Y1\nG1 X{right:.3f} Y1\nG1 X{right:.3f} Y13\nM5\nG0 X300 Y0\n"
    assert town.plate_of(program) == plate
    assert town.plate_of("G0 X1 Y1\nM2\n") is None
    assert town.plate_of(program.replace(f"{right:.3f}", f"{right + 0.2:.3f}")) is None
