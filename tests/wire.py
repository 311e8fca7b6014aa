"""Messages of the wire with what a test does not care about filled in."""

from datetime import UTC, datetime
from typing import Any

from fablab_agents.protocol import messages


def hello(boot: str = "boot-1", **words: Any) -> messages.Hello:
    """A healthy agent's: one start, nothing told, nothing heard."""
    plain: dict[str, Any] = {
        "version": "0.1.0", "epoch": 1, "boots": (), "floor_seq": 0, "began_seq": 0,
        "head_seq": 0, "acked_up": 0, "acked_down": 0, "attempts": (), "machines": (),
    }  # fmt: skip
    return messages.Hello(boot=boot, **{**plain, **words})


def welcome(boot: str = "boot-1", **words: Any) -> messages.Welcome:
    """To the boot that speaks for its agent, in the store's first epoch."""
    plain: dict[str, Any] = {
        "current": True, "epoch": 1, "speaks": None, "acked_up": 0, "down_from": 0,
        "at": datetime.now(UTC),
    }  # fmt: skip
    return messages.Welcome(boot=boot, **{**plain, **words})
