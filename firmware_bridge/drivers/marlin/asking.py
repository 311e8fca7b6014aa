"""When to ask a machine that owes an answer, and which of its answers still prove anything.

Time and counts only; what is asked, and what an answer means, the conversation decides.
"""

from firmware_bridge.drivers.marlin import quirks


class Questions:
    """A question is due when nothing moved for much longer than this machine usually takes, and
    always well before its silence would be taken for its end (`silence_s`).
    """

    def __init__(self, longest_s: float, silence_s: float) -> None:
        self.open = 0
        self._after_busy_s = min(quirks.BUSY_ASK_AFTER_S, silence_s / 3)
        self._busy = False
        self._longest_s = longest_s
        self._gap_s = longest_s / quirks.GAPS_TO_ASK
        self._moved_at = 0.0
        self._asked_at = 0.0

    def moved(self, now: float) -> None:
        """It answered a line."""
        self._busy = False
        gap = now - self._moved_at
        self._gap_s = max(gap, self._gap_s * quirks.GAP_FADES)
        self._moved_at = now

    def busy(self, now: float) -> None:
        """It says that it is at work, and will say so again soon."""
        self._busy, self._moved_at = True, now

    def waits(self, now: float) -> None:
        """From here on it owes an answer; before, it owed none."""
        self._moved_at = now

    @property
    def brisk(self) -> bool:
        """Lately it answered every line at once."""
        return self._gap_s < quirks.BRISK_S

    def still_s(self, now: float) -> float:
        return now - self._moved_at

    def due(self, now: float) -> bool:
        if self.open >= quirks.QUESTIONS_OPEN:
            return False
        usual = min(max(quirks.GAPS_TO_ASK * self._gap_s, quirks.ASK_AFTER_S), self._longest_s)
        usual = max(usual, self._after_busy_s) if self._busy else usual
        since = max(self._moved_at, self._asked_at)
        return now - since > usual * 2**self.open

    def asked(self, now: float) -> None:
        self.open += 1
        self._asked_at = now

    def answered(self, now: float) -> None:
        self.open, self._busy = 0, False
        self._moved_at = now


class Trust:
    """Whether a sync is wanted, and whether this machine's answers to syncs can be had at all."""

    def __init__(self, failed: int = 0) -> None:
        self.wants_sync = False
        self.failed = failed
        self._since = 0
        self._surplus = 0

    def acked(self) -> None:
        """A lost ok leaves no trace but a smaller window: now and then, count anew."""
        self._since += 1
        if self._since >= quirks.SYNC_EVERY:
            self.doubts()

    def doubts(self) -> None:
        self.wants_sync, self._since = self.failed < quirks.SYNC_TRIES, 0

    def synced(self) -> None:
        self.failed = self._surplus = self._since = 0
        self.wants_sync = False

    def surplus(self) -> bool:
        """An ok for no line; True when there are more of them than lateness explains."""
        self._surplus += 1
        return self._surplus > quirks.SURPLUS_OKS
