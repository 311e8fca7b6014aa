"""`cosmolocal-agent machines`: the proposed entry, and what is written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fablab_agents import config
from fablab_agents.cli import main
from fablab_agents.cli.machines import entry
from firmware_bridge.discovery import Found
from firmware_bridge.profiles import load

SERVER = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("found", "name", "profile"),
    [
        (Found("marlin", "/dev/a", "Marlin 2.1", 250000), "printer-2", "generic-fdm-220"),
        (Found("grbl", "/dev/b", "Grbl 1.1h", 115200), "mill-1", "generic-cnc-3018"),
        (Found("grbl", "/dev/c", "Grbl 1.1h", 115200, laser=True), "laser-1", "generic-laser-400"),
        (Found("octoprint", "http://octopi", "OctoPrint"), "printer-2", "generic-fdm-220"),
        (Found("prusalink", "http://mk4", "PrusaLink"), "printer-2", "generic-fdm-220"),
    ],
)
def test_a_proposed_entry_can_be_used_as_it_is(found: Found, name: str, profile: str) -> None:
    (machine,) = config.parse(entry(found, {"printer-1"})).machine
    assert (machine.id, machine.driver, machine.link) == (name, found.driver, found.link)
    assert (machine.profile, machine.baud) == (profile, found.baud)
    load(machine.profile)


def test_what_a_machine_says_of_itself_stays_in_its_comment() -> None:
    said = 'Marlin\n[policy]\nauto_accept = true\n# "'
    text = entry(Found("marlin", '/dev/x"\ny', said), set())
    shop = config.parse(text)
    assert shop.policy == config.Policy()
    assert shop.machine[0].link == '/dev/x"\ny'


def test_nobody_there_is_said_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["machines", "scan", SERVER, "--write", "--json", "--dir", str(tmp_path)]) == 1
    (silent,) = json.loads(capsys.readouterr().out)["silent"]
    assert silent["link"] == SERVER
    assert list(tmp_path.iterdir()) == []


def test_a_found_machine_is_written_behind_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hardware_sim", "run", "prusalink-220"], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["port"]
        (tmp_path / config.FILE).write_text('[lab]\ntitle = "Nord"\n')
        where = ["--dir", str(tmp_path)]
        assert main(["machines", "scan", address, "--write", "--json", *where]) in (0, 3)
        (text,) = json.loads(capsys.readouterr().out)["entries"]
        shop = config.load(tmp_path)
        assert (shop.lab.title, shop.machine[0].link) == ("Nord", address)
        assert text in (tmp_path / config.FILE).read_text()
        assert main(["machines", "list", "--json", *where]) == 0
        assert json.loads(capsys.readouterr().out)["machines"][0]["driver"] == "prusalink"
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
