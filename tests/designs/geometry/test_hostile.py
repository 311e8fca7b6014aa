"""Every hostile file is refused or put before a person, with a reason, in bounded time and memory.

Each is read as `cosmolocal check` reads it: in a child of its own under limits.
"""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from designs import bounded
from designs.check import name_findings, verdict
from designs.errors import DesignRefused, Finding
from tests.designs.geometry.hostile import CASES, Case

LIMITS = bounded.Limits(cpu_s=30, wall_s=110)
BY_LIMIT = re.compile(r"it takes (more than|longer than)|our reader broke")


def looked(folder: Path, name: str, case: Case) -> tuple[list[Finding], dict[str, Any] | None]:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(case.make())
    found = name_findings(file.name)
    try:
        seen: Any = bounded.run(
            "designs.check:look", str(file), None, None, None, "", limits=LIMITS
        )
    except DesignRefused as refused:
        return [*found, *refused.findings], None
    finally:
        file.unlink()
    return [*found, *(Finding.model_validate(f) for f in seen["findings"])], seen["facts"]


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_judged_with_a_reason(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    began = time.monotonic()
    found, facts = looked(tmp_path, name, case)
    words = "\n".join(str(f) for f in found)
    assert verdict(found) == case.verdict, words
    assert (facts is None) == (case.verdict == "reject")
    assert re.search(case.says, words), words
    assert all(f.what and f.where and f.do for f in found)
    assert not BY_LIMIT.search(words), words
    assert "/tmp" not in words
    assert "Traceback" not in words
    assert time.monotonic() - began < 100


def test_none_of_it_is_followed_or_run() -> None:
    assert not Path("/tmp/owned").exists()
