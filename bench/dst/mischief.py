"""What others do: a broker that forges and misleads, a lab that lies, makers who order twice.

None of them has the orchestrator's keys; each has whatever else it needs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bench.dst.city import FILE, LIAR, RECIPES, City
from bench.dst.shop import Shop
from bench.dst.store import Agent
from bench.dst.world import Broker, World
from fablab_agents.protocol import messages
from fablab_agents.protocol.attempts import State
from fablab_agents.protocol.messages import Down, Granted, Offer
from fablab_agents.protocol.tickets import Grant, Ticket

_LIES: Final = (State.NOT_STARTED, State.WITHDRAWN, State.REFUSED, State.FINISHED, State.FAILED)
Strike = Callable[[], None]


class Mischief:
    def __init__(self, world: World, city: City, broker: Broker, shops: Sequence[Shop]) -> None:
        self._world, self._city, self._broker, self._shops = world, city, broker, shops
        city.tables.agents[LIAR] = Agent(boot=LIAR)
        self._lies = 0

    def luck(self) -> Iterator[tuple[float, Strike]]:
        """How often, in comparison with other bad luck, and what."""
        yield 4, self._besiege
        yield 2, self._withhold
        yield 0.4, self._count_on
        yield 1, self._lie
        yield 1, self._retire

    def hear(self, message: Down) -> None:
        """The liar cares for no answer."""

    # ── the broker

    def _besiege(self) -> None:
        """For a while the broker says to one lab whatever it can, once a second."""
        self._broker.lied = True
        world, shop = self._world, self._any_shop()
        world.tell("broker: besieges", shop.name)
        says = (self._forged, self._confused, self._renumbered, self._misled, self._stale)
        for second in range(12):
            world.after(
                second + world.chance.random(), self._say_to, shop, world.chance.choice(says)
            )

    def _withhold(self) -> None:
        self._broker.withhold(self._any_shop().hear, self._world.span(20.0, 150.0))

    def _count_on(self) -> None:
        """Numbers are not signed: what bears them need not be worth anything."""
        self._broker.lied = True
        shop = self._any_shop()
        self._world.tell("broker: counts on for", shop.name)
        for _ in range(200):
            shop.hear(self._offer(shop, "nothing"))

    def _any_shop(self) -> Shop:
        return self._world.chance.choice(self._shops)

    def _say_to(self, shop: Shop, says: Callable[[Shop], Iterator[Down]]) -> None:
        if not self._world.calm:
            for said in list(says(shop)):
                shop.hear(said)

    def _forged(self, shop: Shop) -> Iterator[Down]:
        """A grant for each claim that waits, and a ticket for something of its own."""
        for claim in shop.claims.live.values():
            attempt = shop.book.find(claim.attempt)
            if attempt is not None and attempt.program is not None:
                grant = Grant(
                    agent=shop.name, machine=attempt.machine, attempt=attempt.id,
                    fence=attempt.fence, issued_at=self._world.at, nonce=claim.nonce,
                    boot=shop.boot, program=attempt.program.sha256, window_s=60,
                )  # fmt: skip
                yield Granted(grant=grant.model_dump_json())
        yield self._offer(shop, self._ticket(shop).model_dump_json())

    @staticmethod
    def _offer(shop: Shop, ticket: str) -> Offer:
        """As the next that this lab waits for."""
        return Offer(epoch=max(1, shop.book.epoch), seq=shop.book.seen_down + 1, ticket=ticket)

    def _ticket(self, shop: Shop) -> Ticket:
        machine, entry = self._world.chance.choice(list(shop.entries.items()))
        at = self._world.at
        return Ticket(
            agent=shop.name, machine=machine, attempt=f"forged-{shop.book.seen_down}", fence=1,
            issued_at=at, jobs=("forged",), release=FILE, design="hook", version="1", part="hook",
            file=FILE, file_bytes=1, format="stl", quantity=1,
            recipe=RECIPES["mill" if entry.profile == "mill" else "printer"],
            estimate_s=100, not_after=at.replace(year=at.year + 1),
        )  # fmt: skip

    def _confused(self, shop: Shop) -> Iterator[Down]:
        """The envelope of a ticket where a grant belongs, and the other way round."""
        for said in self._broker.sent_to(shop.hear):
            if isinstance(said, Offer):
                yield Granted(grant=said.ticket)
            elif isinstance(said, Granted):
                yield self._offer(shop, said.grant)

    def _renumbered(self, shop: Shop) -> Iterator[Down]:
        """A number is not signed: an old offer comes as a new one."""
        for said in self._broker.sent_to(shop.hear):
            if isinstance(said, Offer):
                yield said.model_copy(update={"seq": shop.book.seen_down + 1})

    def _misled(self, shop: Shop) -> Iterator[Down]:
        """What was said to one lab is said to another, too."""
        other = self._any_shop()
        if other is not shop:
            for said in self._broker.sent_to(other.hear):
                fits = isinstance(said, Offer)
                update = {"seq": shop.book.seen_down + 1} if fits else None
                yield said.model_copy(update=update)

    def _stale(self, shop: Shop) -> Iterator[Down]:
        """Grants of before."""
        yield from (said for said in self._broker.sent_to(shop.hear) if isinstance(said, Granted))

    # ── a lab that lies

    def _lie(self) -> None:
        """An enrolled agent speaks of what was never offered to it, and claims it."""
        self._city.shops[LIAR] = [self]
        for known in list(self._city.tables.attempts.values()):
            self._lies += 1
            self._say(messages.Report(
                boot=LIAR, seq=self._lies, attempt=known.id, fence=known.fence,
                state=self._world.chance.choice(_LIES), at=self._world.at,
            ))  # fmt: skip
            if known.program is not None:
                self._say(messages.Claim(
                    boot=LIAR, attempt=known.id, fence=known.fence, machine=known.machine,
                    nonce=f"{self._world.chance.getrandbits(128):032x}", program=known.program,
                ))  # fmt: skip

    def _say(self, said: messages.Report | messages.Claim) -> None:
        """Without delay, so that nobody else is heard meanwhile."""
        before = dict(self._city.tables.attempts)
        self._city.hear((LIAR, said))
        if self._city.tables.attempts != before:
            self._city.ledger.wrong("an agent changed another's attempt")

    # ── the operator

    def _retire(self) -> None:
        """From now on this agent's word is worth nothing."""
        self._city.operator_retires(self._any_shop().name)
