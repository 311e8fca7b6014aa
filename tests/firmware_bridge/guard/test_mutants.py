"""A seeded sample of the long proof that no rule of the guard may be removed unnoticed."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.proof.guard_mutants import mutants

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("module", ["hotend", "reading"])
def test_a_removed_rule_is_noticed(module: str) -> None:
    words = ["--module", module, "--rules", "--sample", "2", "--seed", "5", "--quick"]
    command = [sys.executable, "-m", "bench.proof.guard_mutants", *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 survive" in ran.stdout


def test_the_proof_knows_every_finding_that_the_guard_may_tell() -> None:
    silent = [mutant for mutant in mutants() if mutant.way == "silent"]
    assert len(silent) > 120
    modules = "printing head hotend reading cutting milling laser __init__ grbl modal arcs"
    assert set(modules.split()) <= {mutant.module for mutant in silent}
