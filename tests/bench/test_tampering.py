"""A sample of `./run proof tampering`, and that it sees: a check taken away must show."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bench.proof import tampering
from bench.tampering import crossed, programs, rotation
from bench.tampering.city import City, grant, ticket
from bench.tampering.envelopes import additions
from bench.tampering.table import Row, Sample, judge
from fablab_agents import claims
from fablab_agents.protocol import tickets
from fablab_agents.trust import Pinned
from firmware_bridge.driver import Program

SAMPLE = Sample(share=0.015, seed=3)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    tampering.quiet()
    yield
    structlog.configure(**before)


def wrong(rows: Iterator[Row]) -> list[str]:
    told = list(rows)
    assert told
    return [str(row) for row in told if not row.holds]


def test_no_changed_forged_or_misdirected_word_is_taken() -> None:
    assert wrong(tampering.words(SAMPLE)) == []


def test_no_changed_program_reaches_a_machine() -> None:
    assert wrong(programs.tampered(10_000, SAMPLE)) == []


def test_a_second_spelling_of_an_envelope_would_be_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    strict = Pinned.verify

    def lax(pinned: Pinned, envelope: str) -> bytes:
        return strict(pinned, "".join(s for s in envelope if s.isalnum() or s in "-_."))

    city = City(tmp_path)
    monkeypatch.setattr(Pinned, "verify", lax)
    with crossed.shop_with(city) as shop:
        others = SAMPLE.of(additions(city.signer.sign(ticket())))
        assert not judge("something added", others, shop.offered).holds


def test_a_grant_for_somebody_else_would_be_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(claims, "against_words", lambda *_: None)
    monkeypatch.setattr("fablab_agents.reconciler.against_words", lambda *_: None)
    assert not crossed.grants_crossed(City(tmp_path)).holds


def test_a_revoked_key_that_still_counts_would_be_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pin = Pinned._pin

    def keeps(pinned: Pinned, told: tickets.KeyList) -> None:
        before = pinned._verify
        pin(pinned, told)
        pinned._verify = before

    monkeypatch.setattr(Pinned, "_pin", keeps)
    assert not rotation.revocation(tmp_path).holds


def test_bytes_that_were_not_hashed_would_be_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unhashed(program: Program) -> bytes:
        return program.path.read_bytes()

    monkeypatch.setattr(programs, "sha256_of", lambda _: None)
    monkeypatch.setattr("firmware_bridge.drivers.by_hand.driver.read_program", unhashed)
    driver = programs.by_hand(tmp_path / "hand-out")
    program = programs.written(tmp_path / "p.gcode", programs.gcode("laser-400", 20))
    assert not programs.on_disk("by hand", program, driver, 2).holds
    driver.close()


def test_true_words_are_taken(tmp_path: Path) -> None:
    city = City(tmp_path)
    with crossed.shop_with(city) as shop:
        assert shop.offered(city.signer.sign(ticket()))
        shop.stage("a-1")
        assert shop.starts(city.signer.sign(grant()))
