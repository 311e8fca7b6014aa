import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fablab_agents import doctor
from fablab_agents.cli import main
from fablab_agents.config import Machine
from fablab_agents.journal import Journal
from firmware_bridge import discovery
from tests.fablab_agents.conftest import LASER, PRINTER, Keys, Workshop, identity
from tests.simulated import Simulated


@pytest.mark.parametrize("command", [[], ["enrol"], ["run"], ["doctor"]])
def test_help_teaches(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) > 8
    if command:
        assert "--json" in said


def test_wrong_usage_is_status_2() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dance"])
    assert ended.value.code == 2


def test_enrolling_without_an_orchestrator_is_refused_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["enrol", "http://127.0.0.1:9", "CODE", "--dir", str(tmp_path), "--json"])
    assert status == 1
    assert "cannot be reached" in json.loads(capsys.readouterr().out)["error"]
    assert list(tmp_path.iterdir()) == []


def test_an_enrolled_folder_is_not_enrolled_over(
    tmp_path: Path, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    identity(keys).save(tmp_path)
    assert main(["enrol", "http://127.0.0.1:9", "CODE", "--dir", str(tmp_path)]) == 1
    assert "enrolled as lab-nord already" in capsys.readouterr().err


def test_running_without_a_file_or_an_identity_says_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--dir", str(tmp_path)]) == 2
    (tmp_path / "agent.toml").write_text("")
    assert main(["run", "--dir", str(tmp_path)]) == 1
    assert "cosmolocal-agent enrol" in capsys.readouterr().err


def _run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fablab_agents.cli", "run", "--dir", str(folder), "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_taken_console_port_is_wrong_usage(tmp_path: Path, keys: Keys) -> None:
    identity(keys).save(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "agent.toml").write_text(f"[console]\nport = {port}")
        ended = _run(tmp_path)
    assert ended.returncode == 2
    assert "choose another port" in json.loads(ended.stdout)["error"]


def test_a_profile_that_does_not_exist_is_wrong_usage(tmp_path: Path, keys: Keys) -> None:
    identity(keys).save(tmp_path)
    text = LASER.format(link="/p").replace("generic-laser-400", "no-such-laser")
    (tmp_path / "agent.toml").write_text(text)
    ended = _run(tmp_path)
    assert ended.returncode == 2
    assert "machine laser-1" in json.loads(ended.stdout)["error"]


def test_a_damaged_journal_needs_a_person(tmp_path: Path, keys: Keys) -> None:
    identity(keys).save(tmp_path)
    (tmp_path / "agent.toml").write_text("")
    (tmp_path / "journal.db").write_bytes(b"not a database at all" * 300)
    ended = _run(tmp_path)
    assert ended.returncode == 3
    assert "damaged" in json.loads(ended.stdout)["error"]


def test_the_doctor_finds_what_is_wrong_and_says_the_fix(
    tmp_path: Path, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    identity(keys, port=9).save(tmp_path)
    path = tmp_path / "identity.json"
    path.chmod(0o644)
    port = tmp_path / "port"
    port.touch()
    text = LASER.format(link=port) + PRINTER.format(link="/dev/no-such-port")
    (tmp_path / "agent.toml").write_text(text)
    assert main(["doctor", "--dir", str(tmp_path), "--json"]) == 1
    checks = {c["what"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["agent.toml"]["how"] == "well"
    assert checks["identity"]["do"] == f"chmod 600 {path}"
    assert checks["machine laser-1"]["how"] == "well"
    assert "plug it in" in checks["machine printer-1"]["do"]
    assert checks["broker"]["how"] == "wrong"
    assert checks["orchestrator"]["how"] == "wrong"
    assert checks["journal"]["how"] == "well"


MACHINE = """
[[machine]]
id = "{id}"
profile = "generic-fdm-220"
driver = "{driver}"
link = "{link}"
materials = ["pla"]
{more}
"""


def told(folder: Path, capsys: pytest.CaptureFixture[str], *wishes: str) -> dict[str, Any]:
    main(["doctor", "--dir", str(folder), "--json", *wishes])
    return {c["what"]: c for c in json.loads(capsys.readouterr().out)["checks"]}


def test_the_doctor_asks_print_servers_with_their_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'kind = "moonraker"\nname = "test"\napi_key = "right"\n'
    server = Simulated(tmp_path / "sim", text, 20)
    try:
        entries = [
            MACHINE.format(id=f"{driver}-{key}", driver=driver, link=f"{server.port}{more}",
                           more=f'api_key = "{key}"')
            for driver, key, more in (
                ("moonraker", "right", ""),
                ("moonraker", "wrong", "/"),
                ("octoprint", "right", "//"),
            )
        ]  # fmt: skip
        folder = tmp_path / "hand-out"
        hand = MACHINE.format(id="hand", driver="by_hand", link=folder, more="")
        (tmp_path / "agent.toml").write_text("".join([*entries, hand]))
        checks = told(tmp_path, capsys)
    finally:
        server.close()
    assert checks["machine moonraker-right"]["how"] == "well"
    assert "key or password" in checks["machine moonraker-wrong"]["said"]
    assert checks["machine octoprint-right"]["how"] == "wrong"
    assert f"the folder {folder} is missing" in checks["machine hand"]["said"]
    folder.mkdir()
    assert told(tmp_path, capsys)["machine hand"]["how"] == "well"


def test_the_doctor_opens_ports_only_when_told_and_says_who_is_there(
    tmp_path: Path, workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    link = workshop.start("printer-1", "printer-220", speed=20)
    entry = MACHINE.format(id="p", driver="grbl", link=link, more="")
    (tmp_path / "agent.toml").write_text(entry)
    assert told(tmp_path, capsys)["machine p"]["how"] == "well"  # it is there; nobody asked
    check = told(tmp_path, capsys, "--open")["machine p"]
    assert (check["how"], check["do"]) == ("wrong", 'write driver = "marlin", or mend `link`')
    entry = MACHINE.format(id="p", driver="marlin", link=link, more="")
    (tmp_path / "agent.toml").write_text(entry)
    assert told(tmp_path, capsys, "--open")["machine p"]["how"] == "well"


def test_the_doctor_names_who_holds_a_port_and_a_wrong_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = tmp_path / "port"
    port.touch()
    entry = Machine(id="p", profile="generic-fdm-220", driver="marlin", link=str(port),
                    materials=("pla",))  # fmt: skip
    found = discovery.Found("marlin", str(port), "Marlin 2.1", 250000)
    monkeypatch.setattr(discovery, "ask_port", lambda *_: found)
    check = doctor._machine(entry, open_ports=True)
    assert (check.how, check.do) == ("wrong", "write baud = 250000")
    monkeypatch.setattr(discovery, "holder", lambda _: "octoprint (pid 812)")
    check = doctor._machine(entry, open_ports=True)
    assert (check.how, check.do) == ("wrong", "close octoprint (pid 812)")


def test_the_doctor_of_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--dir", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "enrol this agent" in said


def test_the_doctor_reads_the_journal_of_a_relative_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab").mkdir()
    Journal.open(tmp_path / "lab/journal.db", "lab-nord", "b1", datetime.now(UTC)).close()
    monkeypatch.chdir(tmp_path)
    assert told(Path("lab"), capsys)["journal"]["said"] == "whole"


@pytest.mark.parametrize(
    ("driver", "link", "words"),
    [
        ("marlinn", "/dev/null", "there is no driver 'marlinn'"),
        ("by_hand", "out", "its whole path"),
    ],
)
def test_the_doctor_names_an_entry_that_no_driver_takes(
    driver: str, link: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = MACHINE.format(id="p", driver=driver, link=link, more="")
    (tmp_path / "agent.toml").write_text(entry)
    check = told(tmp_path, capsys)["machine p"]
    assert check["how"] == "wrong"
    assert words in check["said"]


def test_the_doctor_of_a_missing_folder_says_that_it_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = told(tmp_path / "nowhere", capsys)["disk"]
    assert "there is no folder" in check["said"]
    assert "enrol makes it" in check["do"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_the_doctor_sees_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    assert main(["doctor", "--dir", str(tmp_path)]) == 1
    assert "writable" in capsys.readouterr().out


def _loads(module: str) -> set[str]:
    probe = f"import sys, {module}; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in said.stdout.split()}


def test_nothing_heavy_is_loaded_for_help() -> None:
    assert not _loads("fablab_agents.cli") & {"numpy", "shapely", "trimesh", "uvicorn", "aiomqtt"}


def test_the_agent_itself_loads_no_geometry() -> None:
    heavy = {"numpy", "shapely", "trimesh", "ezdxf", "PIL", "sqlalchemy", "ortools", "fastapi"}
    assert not _loads("fablab_agents.daemon") & heavy
