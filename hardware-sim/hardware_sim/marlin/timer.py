"""Promises the print timer: how long a job runs, pauses left out, in Marlin's own words.
Never starts by itself.

Source: MarlinFirmware/Marlin `Marlin/src/libs/stopwatch.cpp`, `libs/duration_t.h` (toString).
"""

_UNITS = (("y", 31_536_000), ("d", 86_400), ("h", 3600), ("m", 60))


class Stopwatch:
    """Times in simulated seconds."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._before_s = 0.0
        self._paused = False

    def start(self, now_s: float) -> None:
        """Begin anew, or go on after a pause."""
        if self._since_s is None:
            self._before_s = self._before_s if self._paused else 0.0
            self._since_s, self._paused = now_s, False

    def pause(self, now_s: float) -> None:
        """Only what runs can be paused."""
        if self._since_s is not None:
            self._halt(now_s)
            self._paused = True

    def stop(self, now_s: float) -> None:
        """The time stays readable until the next start."""
        self._halt(now_s)
        self._paused = False

    def _halt(self, now_s: float) -> None:
        self._before_s, self._since_s = self.seconds(now_s), None

    def seconds(self, now_s: float) -> float:
        """What it shows."""
        return self._before_s + (0.0 if self._since_s is None else now_s - self._since_s)

    def words(self, now_s: float) -> str:
        """`1h 2m 3s`: from the largest unit that is not 0 down to seconds."""
        rest, said = int(self.seconds(now_s)), ""
        for unit, length_s in _UNITS:
            count, rest = divmod(rest, length_s)
            if count or said:
                said += f"{count}{unit} "
        return f"{said}{rest}s"
