"""What this boot asked for and was answered: claims, grants and denials, which die with it.

Pure but for its own memory: nonces and the time come in as values.
"""

from dataclasses import dataclass, field
from typing import Final

from fablab_agents.book import Attempt
from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.tickets import Grant
from fablab_agents.reconciler import LiveClaim, against_words

DENIED_REST_S: Final = 5.0


@dataclass
class Claims:
    boot: str
    live: dict[str, LiveClaim] = field(default_factory=dict[str, LiveClaim])
    grants: dict[str, Grant] = field(default_factory=dict[str, Grant])
    denials: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    not_before_s: dict[str, float] = field(default_factory=dict[str, float])

    def ask(self, attempt: Attempt, now_s: float, nonce: str, *, again: bool) -> messages.Claim:
        """May it start now? Anew under this nonce, or `again` under the one that is live."""
        live = self.live.get(attempt.id)
        if again and live is not None:
            live = live._replace(last_s=now_s)
        else:
            live = LiveClaim(attempt.id, nonce, first_s=now_s, last_s=now_s)
            self.grants.pop(attempt.id, None)
        self.live[attempt.id] = live
        assert attempt.program is not None
        return messages.Claim(
            boot=self.boot,
            attempt=attempt.id,
            fence=attempt.fence,
            machine=attempt.machine,
            nonce=live.nonce,
            program=attempt.program.sha256,
        )

    def granted(self, attempt: Attempt | None, grant: Grant) -> str | None:
        """Take a verified grant; the reason when it is dropped because nothing waits for it."""
        claim = self.live.get(grant.attempt)
        if attempt is None or claim is None or attempt.state is not State.CLAIMED:
            return "nothing here waits for this grant"
        why = against_words(self.boot, attempt, claim, grant)
        if why is None:
            self.grants[grant.attempt] = grant
        return why

    def denied(self, denied: messages.Denied, now_s: float) -> bool:
        """Take a denial; False when it answers another claim than the live one."""
        claim = self.live.get(denied.attempt)
        if claim is None or claim.nonce != denied.nonce:
            return False
        del self.live[denied.attempt]
        count, _ = self.denials.get(denied.attempt, (0, ""))
        self.denials[denied.attempt] = (count + 1, denied.why)
        self.rest(denied.attempt, now_s + DENIED_REST_S)
        return True

    def rest(self, attempt: str, until_s: float) -> None:
        """Nothing is tried for it before."""
        self.not_before_s[attempt] = until_s

    def forget(self) -> None:
        """What was asked and answered so far counts no more; it may be asked anew."""
        self.live.clear()
        self.grants.clear()

    def drop(self, attempt: str) -> None:
        for kept in (self.live, self.grants, self.denials, self.not_before_s):
            kept.pop(attempt, None)
