"""One of our commands with clocks that can be set forward while it runs.

`python -m bench.brokers.late FILE MODULE ARGUMENT...`: the process is the real one in everything
but that both clocks which its decisions stand on are as many seconds ahead as the file says.
"""

import runpy
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

_REAL = datetime


class _Ahead:
    """How far, looked up at each question."""

    file = Path()

    @classmethod
    def seconds(cls) -> float:
        return float(cls.file.read_text()) if cls.file.exists() else 0.0


class _Datetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return _REAL.now(tz) + timedelta(seconds=_Ahead.seconds())


class _Time:
    def __getattr__(self, name: str) -> object:
        return getattr(time, name)

    def clock_gettime(self, clock: int) -> float:
        return time.clock_gettime(clock) + _Ahead.seconds()

    def monotonic(self) -> float:
        return time.monotonic() + _Ahead.seconds()


def command(file: Path, of: Sequence[str]) -> list[str]:
    """`python -m MODULE ARGUMENT...` under clocks that go by `file`."""
    python, minus_m, *rest = of
    return [python, minus_m, __name__, str(file), *rest]


def main() -> None:
    _Ahead.file, module = Path(sys.argv[1]), sys.argv[2]
    if module.startswith("fablab_agents"):
        from fablab_agents.runner import runner

        before = runner.clock()
        setattr(runner, "time", _Time())  # noqa: B010
        setattr(runner, "datetime", _Datetime)  # noqa: B010
        assert runner.clock().at >= before.at
    else:
        from orchestrator.store import engine

        setattr(engine, "datetime", _Datetime)  # noqa: B010
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
