"""Hostile files are refused or put before a person, with a reason, in bounded time and memory.

Each is read as `cosmolocal check` reads it: in a child of its own under limits. This is a sample;
`./run proof hostile_designs` tries them all.
"""

import zlib
from pathlib import Path

import pytest

from bench.proof.hostile_designs import judged
from tests.designs.geometry.hostile import CASES

SAMPLE = [name for name in CASES if zlib.crc32(name.encode()) % 4 == 0]


@pytest.mark.parametrize("name", SAMPLE)
def test_a_hostile_file_is_judged_with_a_reason(tmp_path: Path, name: str) -> None:
    assert judged(name, CASES[name], tmp_path).wrong == ()


def test_none_of_it_is_followed_or_run() -> None:
    assert not Path("/tmp/owned").exists()
