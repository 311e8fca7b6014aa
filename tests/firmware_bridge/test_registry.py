"""From an entry of the shop's configuration to a driver."""

import pytest

from firmware_bridge.driver import Condition
from firmware_bridge.errors import Refused
from firmware_bridge.registry import DRIVERS, open_driver


def test_every_row_opens_without_touching_a_port() -> None:
    for name in DRIVERS:
        served = name in ("moonraker", "octoprint", "prusalink")
        link = "http://127.0.0.1:1" if served else "/dev/does-not-exist"
        entry = {"driver": name, "link": link, "password": "p", "title": "left to the agent"}
        driver = open_driver(entry)
        assert driver.status().condition is Condition.OFFLINE
        driver.close()


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"driver": "ruida", "link": "x"}, "no driver 'ruida'"),
        ({"driver": "marlin"}, "link"),
        ({"driver": "marlin", "link": "x", "baud": "fast"}, "baud"),
        ({"driver": "grbl", "link": "x", "timeouts": {"patience": 3}}, "timeouts"),
    ],
)
def test_an_entry_that_cannot_be_read_says_why(entry: dict[str, object], why: str) -> None:
    with pytest.raises(Refused, match=why):
        open_driver(entry)
