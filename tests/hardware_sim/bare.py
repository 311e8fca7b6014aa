"""A simulated controller without a port and without a wall clock, asked line by line."""

from pathlib import Path

from hardware_sim.config import GrblMachine, MarlinMachine, load
from hardware_sim.grbl import Grbl
from hardware_sim.marlin import Marlin
from hardware_sim.records import Journal

FOREVER = 100_000


class Bare:
    """Bytes in, lines out; time passes only as far as an answer needs it."""

    def __init__(self, shipped: str, folder: Path | None = None, **changes: object) -> None:
        machine = load(shipped)
        self.machine = machine.model_copy(update=changes)
        journal = Journal(folder)
        self.journal = journal
        if isinstance(self.machine, MarlinMachine):
            self.board: Marlin | Grbl = Marlin(self.machine, journal)
        else:
            self.board = Grbl(self.machine, journal)
        self.now_s = 0.0
        self.board.power_up(0.0)
        self.banner = self.heard()

    @property
    def printer(self) -> Marlin:
        assert isinstance(self.board, Marlin)
        return self.board

    @property
    def mill(self) -> Grbl:
        assert isinstance(self.board, Grbl)
        return self.board

    def heard(self) -> list[str]:
        return self.board.take_output().decode("latin-1").replace("\r\n", "\n").splitlines()

    def put(self, data: bytes | str) -> None:
        self.board.receive(data.encode("latin-1") if isinstance(data, str) else data, self.now_s)

    def wait(self, seconds: float) -> list[str]:
        end_s = self.now_s + seconds
        while (wake_s := self.board.wake_s()) is not None and self.now_s < wake_s < end_s:
            self.now_s = wake_s
            self.board.run(self.now_s)
        self.now_s = end_s
        self.board.run(end_s)
        return self.heard()

    def ask(self, *lines: str) -> list[str]:
        """Everything that is said to the last line, until the board would read the next."""
        said: list[str] = []
        for line in lines:
            self.put(line + "\n")
            for _ in range(FOREVER):
                wake_s = self.board.wake_s()
                if not self.board.blocked or wake_s is None or self.board.wants_person:
                    break
                self.now_s = max(self.now_s, wake_s)
                self.board.run(self.now_s)
            said = self.heard()
        return said

    def still(self) -> None:
        """Let all queued moves end."""
        for _ in range(FOREVER):
            if not self.board.moving:
                break
            self.board.settle(self.now_s)
            self.now_s = max(self.now_s, self.board.wake_s() or self.now_s)
            self.board.run(self.now_s)

    def status(self) -> str:
        self.put("?")
        return next(x for x in reversed(self.heard()) if x.startswith("<"))


def with_settings(shipped: str, settings: dict[str, float]) -> dict[str, float]:
    machine = load(shipped)
    assert not isinstance(machine, MarlinMachine)
    told: GrblMachine = machine
    return {**told.settings, **settings}
