"""The small city that dispatch is tested in, as makes see it."""

from tests.orchestrator.dispatch.conftest import city

__all__ = ["city"]
