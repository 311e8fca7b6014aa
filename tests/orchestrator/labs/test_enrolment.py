import subprocess
from pathlib import Path

import pytest

from orchestrator.labs import enrolment
from tests.conftest import need


def test_a_secret_fits_its_own_hash_only():
    kept = enrolment.secret_hash("right")
    assert enrolment.secret_fits("right", kept)
    assert not enrolment.secret_fits("wrong", kept)
    assert kept != enrolment.secret_hash("right")


@pytest.mark.parametrize("kept", ["", "$7$101$x", "$6$101$AA==$AA==", "plain", "$7$0$AA==$AA=="])
def test_a_broken_hash_fits_nothing(kept: str):
    assert not enrolment.secret_fits("right", kept)


def test_mosquitto_reads_the_same_hash(tmp_path: Path):
    """Its own tool's hash fits here: the form is the same in both directions."""
    tool = need("mosquitto_passwd")
    listed = tmp_path / "passwd"
    subprocess.run([tool, "-b", "-c", listed, "lab-a", "right"], check=True, capture_output=True)
    user, kept = listed.read_text().strip().split(":")
    assert user == "lab-a"
    assert enrolment.secret_fits("right", kept)
    assert not enrolment.secret_fits("wrong", kept)


def test_codes_are_read_as_they_are_heard():
    code = enrolment.new_code()
    assert enrolment.code_hash(code) == enrolment.code_hash(f" {code.upper()}\n")
    assert len({enrolment.new_code() for _ in range(100)}) == 100
