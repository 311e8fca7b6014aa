"""The production path of one shop: raw bytes off the wire, door, journal, claims, reconciler.

What ends in `Start` would move a machine; what the journal takes up and the shop would make is an
accepted ticket. Nothing here judges a word itself.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.tampering.city import AGENT, BOOT, NONCE, PROGRAM
from fablab_agents.book import Moment
from fablab_agents.claims import Claims
from fablab_agents.config import Machine, Policy
from fablab_agents.journal import Journal
from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import Actor, State
from fablab_agents.protocol.messages import BadMessage, Condition, ProgramFacts
from fablab_agents.protocol.tickets import Grant
from fablab_agents.reconciler import Action, Desk, Refuse, Start, View, Withdraw, next_actions
from fablab_agents.session import Session, Who
from fablab_agents.trust import Pinned

_EPOCH: Final = 1
_ENTRIES: Final = {
    name: Machine(id=name, profile=profile, driver=driver, link=f"/dev/{name}", materials=("pla",))
    for name, profile, driver in (
        ("printer-1", "generic-fdm-220", "marlin"),
        ("printer-2", "generic-fdm-220", "marlin"),
        ("laser-1", "generic-laser-400", "grbl"),
    )
}


class Shop:
    """One boot of one agent on the journal in `folder`."""

    connected = True
    unwell: str | None = None
    welcomed_s: float | None = None

    def __init__(self, folder: Path, pinned: Pinned, boot: str = BOOT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.now = Moment(datetime.now(UTC), 1000.0)
        self.journal = Journal.open(folder / "journal.db", AGENT, boot, self.now.at)
        self.claims = Claims(boot)
        self.distrusted: frozenset[str] = frozenset()
        who = Who(AGENT, pinned.verify, "proof")
        self._session = Session(who, self.journal, self, lambda: self.now)
        told = messages.Welcome(
            boot=boot, current=True, epoch=_EPOCH, speaks=boot,
            acked_up=self.journal.acked_up, down_from=0, at=self.now.at,
        )  # fmt: skip
        self.hear(told.model_dump_json().encode())
        assert self.connected

    def close(self) -> None:
        self.journal.close()

    def wake(self) -> None:
        pass

    def granted(self, grant: Grant) -> str | None:
        return self.claims.granted(self.journal.find(grant.attempt), grant)

    def denied(self, denied: messages.Denied) -> None:
        self.claims.denied(denied, self.now.elapsed_s)

    def ask_anew(self) -> None:
        self.claims.forget()

    def machines(self) -> tuple[messages.Machine, ...]:
        return ()

    # ── what comes off the wire ─────────────────────────────────────────────────────────────

    def hear(self, raw: bytes) -> None:
        try:
            self._session.hear(messages.read_down(raw))
        except BadMessage:
            return

    def offered(self, envelope: bytes | str) -> bool:
        """Whether the shop would make what this offer's ticket says."""
        before = {attempt.id for attempt in self.journal.live()}
        self.hear(_message("offer", "ticket", envelope, self.journal.seen_down + 1))
        against = {a.attempt for a in self.actions() if isinstance(a, Refuse | Withdraw)}
        return bool({attempt.id for attempt in self.journal.live()} - before - against)

    def starts(self, envelope: bytes | str) -> bool:
        """Whether a machine would move on this grant; it is forgotten again."""
        self.hear(_message("grant", "grant", envelope))
        moves = any(isinstance(action, Start) for action in self.actions())
        self.claims.grants.clear()
        return moves

    def actions(self) -> tuple[Action, ...]:
        chosen = {name: self._desk(entry) for name, entry in _ENTRIES.items()}
        return next_actions(
            View(
                moment=self.now, boot=self.journal.boot, local=self.now.at, policy=Policy(),
                desks=chosen, attempts=self.journal.live(), connected=True,
                claims=self.claims.live, grants=self.claims.grants, denials=self.claims.denials,
                not_before_s=self.claims.not_before_s, distrusted=self.distrusted,
            )
        )  # fmt: skip

    def _desk(self, entry: Machine) -> Desk:
        kind = "laser" if entry.driver == "grbl" else "fdm"
        mark = self.journal.mark(entry.id)
        return Desk(entry, kind, offered=True, condition=Condition.IDLE, mark=mark)

    # ── how far an attempt is ───────────────────────────────────────────────────────────────

    def stage(self, name: str, program: str = PROGRAM, nonce: str = NONCE) -> None:
        """Its program is made, its bed clear, its claim under way."""
        facts = ProgramFacts(sha256=program, lines=3, seconds=100, grams=1.0)
        self.journal.move(name, State.ACCEPTED, Actor.AGENT, self.now)
        self.journal.keep_program(name, facts, Path("program.gcode"))
        self.journal.move(name, State.STAGED, Actor.AGENT, self.now)
        attempt = self.journal.find(name)
        assert attempt is not None
        self.journal.put_mark(attempt.machine, "Ana", self.now)
        self.journal.claim(name, self.now)
        self.claims.ask(attempt, self.now.elapsed_s, nonce, again=False)


def _message(kind: str, member: str, envelope: bytes | str, seq: int | None = None) -> bytes:
    """As on the wire; an envelope of bytes stands in it as it is, whatever that does to JSON."""
    inside = envelope if isinstance(envelope, bytes) else json.dumps(envelope)[1:-1].encode()
    numbered = b"" if seq is None else b'"epoch":%d,"seq":%d,' % (_EPOCH, seq)
    return b'{"kind":"%s",%s"%s":"%s"}' % (kind.encode(), numbered, member.encode(), inside)
