"""What the tests of benches and proofs share."""

from collections.abc import Iterator

import pytest
import structlog

from bench.proof import dst


@pytest.fixture
def quiet_core() -> Iterator[None]:
    """The core's own log would be most of the work."""
    before = structlog.get_config()
    dst.quiet()
    yield
    structlog.configure(**before)
