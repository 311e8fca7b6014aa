import pytest

from fablab_agents.protocol import topics


def test_an_agent_has_four_topics() -> None:
    made = [topics.down, topics.up, topics.telemetry, topics.presence]
    for channel in made:
        topic = channel("lab-nord")
        assert topics.agent_of(topic) == ("lab-nord", channel.__name__)


@pytest.mark.parametrize(
    "agent", ["", "a", "#", "+", "lab/../b", "Lab-1", "-lab", "lab-", "l" * 65, "läb"]
)
def test_an_id_that_a_broker_could_misread_is_refused(agent: str) -> None:
    with pytest.raises(ValueError, match="use 4 to 64"):
        topics.up(agent)


@pytest.mark.parametrize(
    "topic", ["", "cosmolocal/v1/lab-nord", "other/v1/lab-nord/up", "cosmolocal/v1/#/up"]
)
def test_a_topic_that_is_not_ours_is_nobodys(topic: str) -> None:
    assert topics.agent_of(topic) is None
