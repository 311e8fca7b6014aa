from datetime import time
from pathlib import Path

import pytest

from fablab_agents.config import EXAMPLE, ConfigRefused, Hours, load, parse
from tests.fablab_agents.conftest import LASER, PRINTER


def test_the_example_is_a_good_file_also_with_its_machine() -> None:
    assert parse(EXAMPLE).machine == ()
    commented = "\n".join(line.removeprefix("# ") for line in EXAMPLE.splitlines()[1:])
    [machine] = parse(commented).machine
    assert machine.id == "printer-1"
    assert not machine.started_by_a_person("fdm")
    assert machine.started_by_a_person("laser")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[consle]", "consle: nobody knows this key; did you mean 'console'?"),
        (LASER.format(link="/p") + 'matrials = ["x"]', "machine 1, matrials: nobody knows"),
        (LASER.format(link="/p") + 'matrials = ["x"]', "did you mean 'materials'?"),
        ("[[machine]]\nid = 'a'", "machine 1, profile: is missing"),
        ("[policy]\nunattended_hours = '8-20'", 'write them as "08:00-20:00"'),
        ("[policy]\nunattended_hours = '24:30-06:00'", "are no hours"),
        ("[console]\nport = 99999", "console, port"),
        (LASER.format(link="/p") + PRINTER.format(link="/p"), "two machines have the link '/p'"),
        (LASER.format(link="/p").replace('"laser-1"', '"Laser 1"'), "machine 1, id"),
        ("[policy\n", "not readable as TOML"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        parse(text)
    assert words in str(refused.value)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigRefused) as refused:
        parse("[console]\nprot = 1\nport = 'x'\n[polcy]")
    assert len(str(refused.value).splitlines()) == 3


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="does not exist"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("hours", "at", "holds"),
    [
        ("08:00-20:00", time(8, 0), True),
        ("08:00-20:00", time(20, 0), False),
        ("22:00-06:00", time(23, 59), True),
        ("22:00-06:00", time(5, 59), True),
        ("22:00-06:00", time(12, 0), False),
        ("00:00-24:00", time(23, 59), True),
        ("08:00-08:00", time(8, 0), False),
    ],
)
def test_hours_of_the_day(hours: str, at: time, holds: bool) -> None:
    assert Hours.read(hours).hold(at) is holds
    assert str(Hours.read(hours)) == hours


def test_a_machines_key_is_not_shown() -> None:
    shop = parse(LASER.format(link="/p") + 'api_key = "very secret"')
    assert "very secret" not in repr(shop)
