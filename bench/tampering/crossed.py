"""Rightly signed words for somebody or something else: every combination, of which one is right."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.tampering.city import AGENT, BOOT, NONCE, PROGRAM, City, grant, ticket
from bench.tampering.shop import Shop
from bench.tampering.table import Row
from fablab_agents.book import Moment
from fablab_agents.protocol.attempts import Actor, State
from fablab_agents.protocol.messages import Denied
from fablab_agents.trust import Pinned

_OTHER_PROGRAM: Final = "b" * 64
_OTHER_NONCE: Final = "2" * 32


@contextmanager
def shop_with(city: City, *names: str, boot: str = BOOT) -> Generator[Shop]:
    """A fresh shop that has staged `a-1` (fence 2, printer-1) and `a-2` (printer-2), as named."""
    with TemporaryDirectory(prefix="tampering-") as folder:
        pinned = Pinned(city.identity(), Path(folder))
        shop = Shop(Path(folder), pinned, boot)
        try:
            for name in names:
                _stage(shop, city, name)
            yield shop
        finally:
            shop.close()


def _stage(shop: Shop, city: City, name: str) -> None:
    if name == "a-1":
        assert shop.offered(city.signer.sign(ticket()))
        shop.stage("a-1")
        return
    other = ticket(attempt="a-2", machine="printer-2", jobs=("j-2",))
    assert shop.offered(city.signer.sign(other))
    shop.stage("a-2", _OTHER_PROGRAM, _OTHER_NONCE)


def crossed(city: City) -> Iterator[Row]:
    yield tickets_crossed(city)
    yield grants_crossed(city)
    yield grants_out_of_time(city)


def tickets_crossed(city: City) -> Row:
    """Agents × machines × attempts × fences × ends, at a shop that has a-1 under fence 2."""
    row = Row("tickets × agents × machines × attempts × fences × ends")
    ends = (timedelta(hours=1), -timedelta(seconds=1))
    machines = ("printer-1", "printer-9", "laser-1")
    for agent, machine, name, fence, end in product(
        (AGENT, "lab-sued"), machines, ("a-1", "a-3"), (1, 2, 3), ends
    ):
        said = ticket(
            agent=agent, machine=machine, attempt=name, fence=fence,
            not_after=datetime.now(UTC) + end,
        )  # fmt: skip
        right = (agent, machine, name, fence, end) == (AGENT, "printer-1", "a-3", 3, ends[0])
        with shop_with(city, "a-1") as shop:
            row.count(shop.offered(city.signer.sign(said)), right=right)
    return row


def grants_crossed(city: City) -> Row:
    """Every grant that could be made of what two live claims and an old one say."""
    row = Row("grants × agents × machines × attempts × fences × boots × nonces × programs")
    rights = {
        (AGENT, "printer-1", "a-1", 2, BOOT, NONCE, PROGRAM),
        (AGENT, "printer-2", "a-2", 2, BOOT, _OTHER_NONCE, _OTHER_PROGRAM),
    }
    said = product(
        (AGENT, "lab-sued"), ("printer-1", "printer-2"), ("a-1", "a-2", "a-9"), (1, 2, 3),
        ("boot-1", BOOT), (NONCE, _OTHER_NONCE, "0" * 32), (PROGRAM, _OTHER_PROGRAM),
    )  # fmt: skip
    with shop_with(city, "a-1", "a-2") as shop:
        for words in said:
            agent, machine, name, fence, boot, nonce, program = words
            told = grant(
                agent=agent, machine=machine, attempt=name, fence=fence, boot=boot, nonce=nonce,
                program=program,
            )  # fmt: skip
            row.count(shop.starts(city.signer.sign(told)), right=words in rights)
    return row


@dataclass(frozen=True)
class Late:
    what: str
    happens: Callable[[Shop], None]
    right: bool = False


def _begins(shop: Shop) -> None:
    shop.journal.begin("a-1", grant(), shop.now, attended=False)


def _passes(seconds: float) -> Callable[[Shop], None]:
    def pass_(shop: Shop) -> None:
        shop.now = Moment(shop.now.at, shop.now.elapsed_s + seconds)

    return pass_


def _newer(shop: Shop) -> None:
    newer = ticket(attempt="a-3", fence=3)
    shop.journal.store_offer(shop.journal.seen_down + 1, newer, "x.y.z", shop.now)


def _asks_anew(shop: Shop) -> None:
    attempt = shop.journal.find("a-1")
    assert attempt is not None
    shop.claims.ask(attempt, shop.now.elapsed_s, "3" * 32, again=False)


def _seen(shop: Shop) -> int:
    return shop.journal.seen_down + 1


LATE: Final = (
    Late("nothing", lambda _: None, right=True),
    Late("59.9 s", _passes(59.9), right=True),
    Late("its window", _passes(60)),
    Late("six hours", _passes(6 * 3600)),
    Late("a clock of the past", _passes(-1)),
    Late("it was used", _begins),
    Late("buried", lambda s: s.journal.tombstone("a-1", grant(), "late", s.now)),
    Late("withdrawn", lambda s: _is(s.journal.store_withdrawal(_seen(s), "a-1", 2, "x", s.now))),
    Late("refused here", lambda s: s.journal.move("a-1", State.WITHDRAWN, Actor.AGENT, s.now)),
    Late("a newer fence", _newer),
    Late("denied", lambda s: s.denied(Denied(attempt="a-1", nonce=NONCE, why="no"))),
    Late("asked anew", _asks_anew),
    Late("its claims died", lambda s: s.claims.forget()),
    Late("the bed is in doubt", lambda s: _is(s.journal.void_mark("printer-1"))),
    Late("its key is gone", lambda s: setattr(s, "distrusted", frozenset({"a-1"}))),
)


def _is(done: bool) -> None:
    assert done


def grants_out_of_time(city: City) -> Row:
    """The right grant, word by word, after something happened."""
    row = Row("the right grant too late, replayed, or after its attempt was ended")
    for late in LATE:
        with shop_with(city, "a-1") as shop:
            late.happens(shop)
            row.count(shop.starts(city.signer.sign(grant())), right=late.right)
    with shop_with(city, "a-1", boot="boot-1") as shop:  # killed, and the grant comes to boot-2
        shop.close()
        again = Shop(shop.journal.path.parent, Pinned(city.identity(), Path()), BOOT)
        row.count(again.starts(city.signer.sign(grant(boot="boot-1"))))
        row.count(again.starts(city.signer.sign(grant())))
        again.close()
    return row
