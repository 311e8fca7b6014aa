"""A town whose every connection to the broker goes over a line of ours."""

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Self

from bench.brokers import late
from bench.brokers.broker import Kind
from bench.brokers.proxy import Proxy
from bench.brokers.town import Reach, Town
from demo.world import Lab, free_port
from fablab_agents.trust import Identity, Mqtt


class Lines:
    """The orchestrator's line, and that of each lab."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self.clock = folder / "seconds-ahead"
        self.city = Proxy(broker_port)
        self.labs: dict[str, Proxy] = {}
        self._broker_port = broker_port
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self.city)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def lead(self, lab: Lab) -> None:
        """Let this lab's agent connect over a line of its own, under a clock of ours."""
        proxy = self._open.enter_context(Proxy(self._broker_port))
        self.labs[lab.agent_id] = proxy
        known = Identity.load(lab.folder)
        mqtt = Mqtt(host="127.0.0.1", port=proxy.port)
        known.model_copy(update={"mqtt": mqtt}).save(lab.folder)
        lab.agent.command = late.command(self.clock, lab.agent.command)

    @property
    def all(self) -> list[Proxy]:
        return [self.city, *self.labs.values()]

    def forward(self, seconds: float) -> None:
        """So much later it is now, for orchestrator and agents alike."""
        fresh = self.clock.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(self.clock)


@contextlib.contextmanager
def lined(
    folder: Path, kind: Kind, *, labs: int = 2, lasers: int = 1
) -> Generator[tuple[Town, Lines]]:
    folder.mkdir(parents=True, exist_ok=True)
    broker_port = free_port()
    lines = Lines(folder, broker_port)
    with lines:
        reach = Reach(broker_port, lines.city.port, lines.lead)
        town = Town(folder / "town", kind, labs=labs, lasers=lasers, reach=reach)
        orchestrator = town.world.orchestrator
        orchestrator.command = late.command(lines.clock, orchestrator.command)
        with town:
            yield town, lines
