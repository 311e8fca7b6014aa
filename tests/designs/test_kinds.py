"""What a file is, told by its bytes, and told soon whatever they are."""

import time
from pathlib import Path

import pytest

from designs import kinds


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"ISO-10303-21;\nHEADER;", "step"),
        (b" \n/* made * by ** us */ /**/\nISO-10303-21;", "step"),
        (b"  0\r\nSECTION\r\n  2\r\nHEADER", "dxf"),
        (b"999\nmade by us\n999\nreally\n0\nSECTION\n", "dxf"),
        (b"0\n0\nSECTION\n", ""),
    ],
)
def test_words_tell_what_it_is(tmp_path: Path, content: bytes, kind: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert kinds.held(file) == kind


@pytest.mark.parametrize("content", [b"/**/" * 12_000, b"0" + b"\n" * 60_000, b"/*" * 30_000])
def test_no_bytes_are_tried_in_many_ways(tmp_path: Path, content: bytes) -> None:
    """Backtracking over these would take minutes and years."""
    file = tmp_path / "file"
    file.write_bytes(content)
    began = time.process_time()
    kinds.held(file)
    assert time.process_time() - began < 5
