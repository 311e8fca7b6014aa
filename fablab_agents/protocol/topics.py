"""Topic names of the wire, version 1. An agent may use its own four topics and no other."""

import re

AGENT_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,62}[a-z0-9]")
ROOT = "cosmolocal/v1"


def check_agent_id(agent: str) -> str:
    """Return `agent` if it may stand in a topic; ValueError for what a broker could misread."""
    if not AGENT_ID.fullmatch(agent):
        msg = f"agent id {agent!r}: use 4 to 64 of a-z, 0-9 and inner hyphens"
        raise ValueError(msg)
    return agent


def down(agent: str) -> str:
    return f"{ROOT}/{check_agent_id(agent)}/down"


def up(agent: str) -> str:
    return f"{ROOT}/{check_agent_id(agent)}/up"


def telemetry(agent: str) -> str:
    return f"{ROOT}/{check_agent_id(agent)}/telemetry"


def presence(agent: str) -> str:
    return f"{ROOT}/{check_agent_id(agent)}/presence"


def agent_of(topic: str) -> tuple[str, str] | None:
    """Agent and channel (`up`, `down`, `telemetry`, `presence`) of a topic, None if not ours."""
    parts = topic.split("/")
    if len(parts) != 4 or "/".join(parts[:2]) != ROOT or not AGENT_ID.fullmatch(parts[2]):
        return None
    return parts[2], parts[3]
