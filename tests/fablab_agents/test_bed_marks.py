"""A clear bed is a person's word: used once, of this boot, under twelve hours, void after trouble.

The real runner, people's doors, journal and bench; what the machine says is set by hand.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fablab_agents.book import Moment, NotReady
from fablab_agents.config import Config, Machine
from fablab_agents.machines import Bench
from fablab_agents.protocol.attempts import Actor, State
from fablab_agents.protocol.messages import Bed, Condition
from fablab_agents.runner import Runner
from fablab_agents.runner.people import NotNow
from tests.fablab_agents.conftest import make_ticket
from tests.fablab_agents.test_journal import NOW, grant_of, open_at, staged

PRINTER = Machine(
    id="printer-1", profile="generic-fdm-220", driver="marlin", link="/dev/none", materials=("pla",)
)
TROUBLE = {Condition.FAULT, Condition.ATTENTION, Condition.OFFLINE}
STRANGER = {Condition.RUNNING, Condition.PAUSED}
LIFE_S = 12 * 3600.0


class BedMarks(RuleBasedStateMachine):
    """`clear_s`: when a person said so, as long as it counts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.boots = self.attempts = 0
        self.elapsed_s = 0.0
        self.clear_s: float | None = None
        self.staged: list[str] = []
        self.condition = Condition.IDLE
        self.boot()

    def boot(self) -> None:
        self.boots += 1
        self.clear_s = None
        self.journal = open_at(Path(self.folder.name), f"b{self.boots}")
        self.bench = Bench(PRINTER, lambda _: None)
        self.bench.condition = self.condition
        self.client = httpx.AsyncClient()
        folder, benches = Path(self.folder.name), {"printer-1": self.bench}
        given = (Config(machine=(PRINTER,)), folder, self.journal, benches, self.client)
        self.runner = Runner(*given, now=lambda: self.moment)

    def ends(self) -> None:
        self.journal.close()
        self.loop.run_until_complete(self.bench.close())
        self.loop.run_until_complete(self.client.aclose())

    def teardown(self) -> None:
        self.ends()
        self.loop.close()
        self.folder.cleanup()

    @property
    def moment(self) -> Moment:
        return Moment(NOW, 1000.0 + self.elapsed_s)

    @property
    def clear(self) -> bool:
        return self.clear_s is not None and self.elapsed_s - self.clear_s < LIFE_S

    # ── people, the machine, time ───────────────────────────────────────────────────────────

    @rule()
    def a_person_says_clear(self) -> None:
        try:
            self.runner.people.bed_clear("printer-1", "Ana")
        except NotNow:
            assert self.condition in TROUBLE - {Condition.FAULT} | STRANGER
        else:
            assert self.condition not in TROUBLE - {Condition.FAULT} | STRANGER
            self.clear_s = self.elapsed_s

    @rule(condition=st.sampled_from(Condition))
    def the_machine_says(self, condition: Condition) -> None:
        self.condition = self.bench.condition = condition
        self.runner.machine_changed("printer-1")
        if condition in TROUBLE | STRANGER:
            self.clear_s = None

    @rule(seconds=st.sampled_from([60.0, 6 * 3600.0, LIFE_S - 1, LIFE_S]))
    def waits(self, seconds: float) -> None:
        self.elapsed_s += seconds

    @rule()
    def is_killed(self) -> None:
        self.ends()
        self.boot()

    # ── attempts ────────────────────────────────────────────────────────────────────────────

    @rule()
    def stages(self) -> None:
        self.attempts += 1
        number = self.attempts
        ticket = make_ticket(attempt=f"a-{number}", jobs=(f"j-{number}",), machine="printer-1")
        staged(self.journal, ticket, number)
        self.staged.append(ticket.attempt)

    @rule(ends=st.sampled_from([State.FINISHED, State.FAILED]))
    def starts(self, ends: State) -> None:
        """An attempt starts on a clear bed and on no other; over, it leaves the bed occupied."""
        if not self.staged:
            return
        row = self.journal.find(self.staged[0])
        assert row is not None
        grant = grant_of(row.ticket, f"{self.attempts:016x}{len(self.staged):016x}")
        try:
            self.journal.begin(row.id, grant, self.moment, attended=False)
        except NotReady:
            assert not self.clear
            return
        assert self.clear, "started on a bed that nobody called clear"
        self.staged.pop(0)
        self.clear_s = None
        self.journal.move(row.id, State.RUNNING, Actor.AGENT, self.moment)
        self.journal.end(row.id, ends, self.moment)

    @rule(ends=st.sampled_from([State.FINISHED, State.FAILED]))
    def goes_the_usual_way(self, ends: State) -> None:
        self.stages()
        self.a_person_says_clear()
        self.starts(ends)

    @rule(back=st.booleans())
    def is_not_made(self, back: bool) -> None:
        """Nothing that ends without a start spends or gives a mark."""
        if self.staged:
            name = self.staged.pop()
            row = self.journal.find(name)
            assert row is not None
            if back:
                self.journal.move(name, State.WITHDRAWN, Actor.AGENT, self.moment)
            else:
                self.journal.tombstone(
                    name, grant_of(row.ticket, f"{self.attempts:032x}"), "late", self.moment
                )

    @rule()
    def software_looks(self) -> None:
        """Whatever the agent does by itself leaves a bed as people called it."""
        self.runner.view()
        self.runner.machines()

    # ── what holds at every moment ──────────────────────────────────────────────────────────

    @invariant()
    def clear_is_what_a_person_said_and_nothing_undid(self) -> None:
        bed = self.journal.bed("printer-1", self.moment.elapsed_s)
        assert (bed is Bed.CLEAR) == self.clear
        [told] = self.runner.machines()
        assert told.bed is bed

    @invariant()
    def every_mark_is_a_persons(self) -> None:
        mark = self.journal.mark("printer-1")
        assert mark is None or mark.person == "Ana"


TestBedMarks = BedMarks.TestCase
TestBedMarks.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
