"""A disk that fails under a running agent: one sync, or all syncs or all writes for a while."""

import errno
import time
from collections.abc import Callable, Mapping
from typing import Final

from bench.crash import gate
from bench.crash.gate import GO, Call, Word

LASTS_S: Final = 2.0


class Failing:
    """A judge that lets the N-th call to the journal fail, and those of the next `lasts_s`, too."""

    def __init__(
        self, at: int, why: int, names: tuple[str, ...], lasts_s: float, phase: Callable[[], str]
    ) -> None:
        self._at, self._why, self._names, self._lasts_s = at, why, names, lasts_s
        self._until_s, self._phase = 0.0, phase
        self.phase = ""
        self.seen = 0
        self.failed = 0
        self.claimed = False
        """It asked leave to start while the disk did not keep what it wrote."""

    def __call__(self, call: Call) -> Word:
        if call.name in gate.SENDS:
            self.claimed |= self.failed > 0 and self._fails() and b'"kind":"claim"' in call.data
            return GO
        if call.name not in self._names or "journal.db" not in call.path:
            return GO
        self.seen += 1
        if self.seen == self._at:
            self._until_s, self.phase = time.monotonic() + self._lasts_s, self._phase()
        elif not self._fails():
            return GO
        self.failed += 1
        return self._why

    def _fails(self) -> bool:
        return time.monotonic() < self._until_s


SYNCS: Final = ("a sync fails", "syncs fail a while")
FULL: Final = "the disk is full a while"
KINDS: Final[Mapping[str, tuple[int, tuple[str, ...], float]]] = {
    SYNCS[0]: (errno.EIO, gate.SYNCS, 0.0),
    SYNCS[1]: (errno.EIO, gate.SYNCS, LASTS_S),
    FULL: (errno.ENOSPC, ("pwrite64",), LASTS_S),
}
