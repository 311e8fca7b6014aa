"""`cosmolocal okh`: without a server, exit statuses and JSON that programs can trust."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from designs.okh import read
from orchestrator.cli import main

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "designs"
GOOD = """\
okhv = "2.4"
name = "Lantern"
repo = "https://codeberg.org/ada/lantern"
license = "MIT"
licensor = "Ada"
function = "Gives light."
"""
FIRST = (
    "title: Shelf\ndescription: Holds books\nlicense:\n  hardware: MIT\nlicensor:\n  name: Ada\n"
)


def saved(folder: Path, text: str, name: str = "okh.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("text", "status", "verdict"),
    [
        (GOOD, 0, "valid"),
        (GOOD.replace('license = "MIT"\n', ""), 3, "incomplete"),
        (GOOD + 'image = "../x.png"\n', 1, "refused"),
        ("name = ", 1, "refused"),
    ],
)
def test_the_status_says_what_the_verdict_says(tmp_path, capsys, text, status, verdict):
    assert main(["okh", "lint", str(saved(tmp_path, text)), "--json"]) == status
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == verdict
    assert report["file"].endswith("okh.toml")
    assert {r["level"] for r in report["remarks"]} <= {"note", "warning", "essential", "refusal"}


def test_of_several_files_each_has_its_line_and_the_worst_counts(tmp_path, capsys):
    files = [saved(tmp_path, GOOD), saved(tmp_path, FIRST, "okh.yml")]
    assert main(["okh", "lint", *map(str, files), "--json"]) == 3
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [report["verdict"] for report in reports] == ["valid", "incomplete"]
    assert reports[1]["missing"] == ["repo"]


def test_a_person_reads_field_line_reason_and_example(tmp_path, capsys):
    main(["okh", "lint", str(saved(tmp_path, GOOD + 'version = "1.0"\nbom = "b.csv"\n'))])
    said = capsys.readouterr().out
    assert "warning: line 7, version '1.0' is no semantic version" in said
    assert 'for example: version = "1.0.0"' in said
    assert "warning: line 8, bom names 'b.csv', which is not beside the manifest" in said


def test_a_link_out_of_the_folder_is_not_beside_it(tmp_path, capsys):
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.png").write_text("x")
    (tmp_path / "inside" / "image.png").symlink_to(tmp_path / "secret.png")
    main(["okh", "lint", str(saved(tmp_path / "inside", GOOD + 'image = "image.png"\n'))])
    assert "not beside the manifest" in capsys.readouterr().out


def test_converting_asks_for_what_is_missing_and_takes_the_answer(tmp_path, capsys):
    file = saved(tmp_path, FIRST, "okh.yml")
    out = tmp_path / "okh.toml"
    assert main(["okh", "convert", str(file), "--out", str(out)]) == 3
    assert "--repo" in capsys.readouterr().err
    assert not out.exists()
    answered = ["okh", "convert", str(file), "--repo", "https://a.org/shelf", "--out", str(out)]
    assert main(answered) == 0
    table = tomllib.loads(out.read_text())
    assert (table["name"], table["repo"]) == ("Shelf", "https://a.org/shelf")
    assert read(out.read_bytes(), "okh.toml").function == "Holds books"


def test_converting_writes_over_nothing(tmp_path, capsys):
    file = saved(tmp_path, GOOD)
    assert main(["okh", "convert", str(file), "--out", str(file), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert "there already" in answer["findings"][0]["what"]
    assert file.read_text() == GOOD


def test_converting_as_json_or_onto_standard_output(tmp_path, capsys):
    file = saved(tmp_path, GOOD)
    assert main(["okh", "convert", str(file), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["from"], answer["to"]) == ("2.4", "2.4")
    assert main(["okh", "convert", str(file)]) == 0
    assert capsys.readouterr().out == answer["manifest"] == GOOD


def test_refusals_are_json_too(tmp_path, capsys):
    file = saved(tmp_path, "title: !!python/name:os.system x\n", "okh.yml")
    assert main(["okh", "convert", str(file), "--json"]) == 1
    assert "YAML tag" in json.loads(capsys.readouterr().out)["findings"][0]["what"]


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["okh", "lint", str(tmp_path / "none.toml")])
    assert ended.value.code == 2
    assert "No such file" in capsys.readouterr().err


def test_it_starts_without_server_broker_or_solver():
    code = (
        "import sys; from orchestrator.cli import parser; parser({'okh'});"
        "heavy = {'httpx', 'sqlalchemy', 'fastapi', 'ortools', 'joserfc', 'numpy'};"
        "sys.exit(' '.join(heavy & sys.modules.keys()) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_real_manifests_are_valid_and_come_back(tmp_path, capsys):
    if not REAL.exists():
        pytest.skip("the real designs are not on this machine")
    files = sorted(REAL.glob("*/okh.*"))
    assert len(files) == 4
    for file in files:
        assert main(["okh", "lint", str(file), "--json"]) == 0
        out = tmp_path / f"{file.parent.name}.toml"
        assert main(["okh", "convert", str(file), "--out", str(out), "--json"]) == 0
        before, after = (read(f.read_bytes(), f.name) for f in (file, out))
        assert after == before.model_copy(update={"dialect": "2.4"})
