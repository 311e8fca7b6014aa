"""Promises GRBL's numbered settings as they survive a reset, and their printed form.
Never checks what a value means for the machine.

Source: GRBL 1.1 `doc/markdown/settings.md` (numbers, defaults, which are whole).
"""

from hardware_sim.grbl.modal import GrblError

DEFAULTS: dict[int, float] = {
    0: 10, 1: 25, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 10: 1, 11: 0.010, 12: 0.002, 13: 0,
    20: 0, 21: 0, 22: 0, 23: 0, 24: 25.0, 25: 500.0, 26: 250, 27: 1.0, 30: 1000, 31: 0, 32: 0,
    100: 250.0, 101: 250.0, 102: 250.0, 110: 500.0, 111: 500.0, 112: 500.0,
    120: 10.0, 121: 10.0, 122: 10.0, 130: 200.0, 131: 200.0, 132: 200.0,
}  # fmt: skip
WHOLE = frozenset((0, 1, 2, 3, 4, 5, 6, 10, 13, 20, 21, 22, 23, 26, 32))


class Settings:
    """`$` numbers and their values."""

    def __init__(self, own: dict[str, float]) -> None:
        self.values = DEFAULTS | {int(key): value for key, value in own.items()}

    def __getitem__(self, number: int) -> float:
        return self.values[number]

    def on(self, number: int) -> bool:
        """A boolean setting."""
        return bool(self.values[number])

    def axes(self, first: int) -> tuple[float, float, float]:
        """Three settings in a row, X Y Z."""
        return self.values[first], self.values[first + 1], self.values[first + 2]

    def write(self, text: str) -> None:
        """`$N=V`; raises GrblError 2 (number), 3 (unknown), 4 (negative), 10 (needs homing)."""
        name, _, value = text.partition("=")
        try:
            number, amount = int(name), float(value)
        except ValueError as error:
            raise GrblError(2) from error
        if number not in self.values:
            raise GrblError(3)
        if amount < 0:
            raise GrblError(4)
        if number == 20 and amount and not self.on(22):
            raise GrblError(10)
        self.values[number] = amount

    def lines(self) -> list[str]:
        """As `$$` prints them."""
        return [
            f"${n}={v:.0f}" if n in WHOLE else f"${n}={v:.3f}"
            for n, v in sorted(self.values.items())
        ]
