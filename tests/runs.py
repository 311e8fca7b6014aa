"""Following a run in a test: its events, what to do amid them, and how it ended."""

import time
from collections.abc import Callable

from firmware_bridge.driver import Closing, Ended, Event, Progress, Run, Waiting

Act = Callable[[Event], object]


def follow(run: Run, act: Act = lambda _: None) -> list[Event]:
    """All its events; `act` is told each as it comes."""
    events: list[Event] = []
    for event in run.events():
        events.append(event)
        act(event)
    return events


def end(events: list[Event]) -> Ended:
    """How it ended: once, and last."""
    assert isinstance(events[-1], Ended)
    assert not any(isinstance(event, Ended) for event in events[:-1])
    return events[-1]


def kinds(events: list[Event]) -> list[type]:
    """What happened, in order; how far it was and what was waited for are left out."""
    return [type(event) for event in events if not isinstance(event, Progress | Waiting | Closing)]


def once(when: type[Event] | Callable[[Event], bool], deed: Callable[[], object]) -> Act:
    """Do it at the first such event, and never again."""
    done: list[object] = []

    def act(event: Event) -> None:
        fits = isinstance(event, when) if isinstance(when, type) else when(event)
        if fits and not done:
            done.append(deed() or True)

    return act


def until(holds: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
