"""Promises GRBL's numbered settings as they survive a reset, checked and printed as it does.
Never checks what a value means for the machine.

Source: gnea/grbl `grbl/settings.c` settings_store_global_setting, `grbl/report.c`
report_grbl_settings, `grbl/defaults.h` DEFAULTS_GENERIC, `doc/markdown/settings.md`.
"""

from hardware_sim.grbl.modal import GrblError
from hardware_sim.grbl.numbers import fixed

DEFAULTS: dict[int, float] = {
    0: 10, 1: 25, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 10: 1, 11: 0.010, 12: 0.002, 13: 0,
    20: 0, 21: 0, 22: 0, 23: 0, 24: 25.0, 25: 500.0, 26: 250, 27: 1.0, 30: 1000, 31: 0, 32: 0,
    100: 250.0, 101: 250.0, 102: 250.0, 110: 500.0, 111: 500.0, 112: 500.0,
    120: 10.0, 121: 10.0, 122: 10.0, 130: 200.0, 131: 200.0, 132: 200.0,
}  # fmt: skip
_BYTES = frozenset((0, 1, 2, 3, 10, 23, 26))
_FLAGS = frozenset((4, 5, 6, 13, 20, 21, 22, 32))
_RPM = frozenset((30, 31))
PULSE_LEAST_US = 3


class Settings:
    """`$` numbers and their values."""

    def __init__(self, own: dict[str, float]) -> None:
        self._shipped = DEFAULTS | {int(key): value for key, value in own.items()}
        self.values = dict(self._shipped)

    def __getitem__(self, number: int) -> float:
        return self.values[number]

    def on(self, number: int) -> bool:
        """A boolean setting."""
        return bool(self.values[number])

    def axes(self, first: int) -> tuple[float, float, float]:
        """Three settings in a row, X Y Z."""
        return self.values[first], self.values[first + 1], self.values[first + 2]

    def write(self, number: int, amount: float) -> None:
        """`$N=V`; GrblError 3 (unknown), 4 (negative), 6 (pulse too short), 10 (needs homing)."""
        if amount < 0:
            raise GrblError(4)
        if number not in self.values:
            raise GrblError(3)
        if number in _BYTES:
            amount = int(amount) & 0xFF
        elif number in _FLAGS:
            amount = 1 if int(amount) & 0xFF else 0
        if number == 0 and amount < PULSE_LEAST_US:
            raise GrblError(6)
        if number == 20 and amount and not self.on(22):
            raise GrblError(10)
        if number == 22 and not amount:
            self.values[20] = 0  # soft limits stand on homing
        self.values[number] = amount

    def restore(self) -> None:
        """`$RST=$`: what the machine was shipped with."""
        self.values = dict(self._shipped)

    def lines(self) -> list[str]:
        """As `$$` prints them: bytes and flags whole, speeds of the spindle without decimals."""
        return [f"${n}={self._printed(n, v)}" for n, v in sorted(self.values.items())]

    def _printed(self, number: int, value: float) -> str:
        if number in _BYTES or number in _FLAGS:
            return str(int(value) & 0xFF)
        return fixed(value, 0 if number in _RPM else 3)
