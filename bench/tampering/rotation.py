"""Keys that change: two in rotation, unknown and revoked ones, lists of keys tampered with."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.tampering.city import City, grant, plain64, ticket
from bench.tampering.crossed import shop_with
from bench.tampering.envelopes import additions, cuts, flips
from bench.tampering.table import Row, Sample, judge
from fablab_agents.protocol.tickets import KeyList, PublicKey, canonical, holds
from fablab_agents.trust import Identity, Pinned


def rotated(sample: Sample) -> Iterator[Row]:
    with TemporaryDirectory(prefix="tampering-") as name:
        folder = Path(name)
        yield rotation(folder / "rotation")
        yield revocation(folder / "revocation")
        yield from lists(folder / "lists", sample)


def _city(folder: Path) -> tuple[City, Pinned]:
    city = City(folder)
    return city, Pinned(city.identity(), folder / "agent")


def rotation(folder: Path) -> Row:
    """Two published: whoever pinned them believes both, and follows each list to the next two."""
    row = Row("two keys in rotation: the former, the one in use, the next")
    city, pinned = _city(folder)
    away = Pinned(city.identity(), folder / "away")
    envelopes = [city.signer.sign(ticket())]
    for turn in range(4):
        city.signer.rotate()
        envelopes.append(city.signer.sign(ticket()))
        row.count(pinned.take(city.signer.lists()), right=True)
        row.count(pinned.take(city.signer.lists()))
        for age, envelope in enumerate(reversed(envelopes)):
            row.count(holds(envelope, pinned.verify), right=age < 2)
        row.count(holds(envelopes[-1], away.verify), right=turn < 1)
    return row


def revocation(folder: Path) -> Row:
    """A key that is not on the newer list: what it signed before and signs now is worth nothing."""
    row = Row("a revoked key: tickets, grants, lists of its own; held ones not started")
    city, pinned = _city(folder)
    stolen, kid = city.private(), city.kid
    header = {"alg": "Ed25519", "kid": kid}
    with shop_with(city, "a-1") as shop:
        row.count(shop.starts(city.signer.sign(grant())), right=True)
        city.signer.rotate(revoke=True)
        row.count(pinned.take(city.signer.lists()), right=True)
        shop.distrusted = frozenset(
            name
            for name, held in shop.journal.envelopes().items()
            if not holds(held, pinned.verify)
        )
        row.count("a-1" not in shop.distrusted)
        row.count(shop.starts(city.signer.sign(grant())))
    for payload in (canonical(ticket()), canonical(grant())):
        row.count(holds(city.forged(payload, header, stolen), pinned.verify))
    back = KeyList(serial=99, keys=(_public(stolen, kid),))
    row.count(pinned.take([city.forged(canonical(back), header, stolen)]))
    row.count(holds(city.signer.sign(ticket()), pinned.verify), right=True)
    restarted = Pinned(Identity.load(folder / "agent"), folder / "agent")
    row.count(holds(city.forged(canonical(ticket()), header, stolen), restarted.verify))
    return row


def _public(key: Ed25519PrivateKey, kid: str) -> PublicKey:
    raw = key.public_key().public_bytes_raw()
    return PublicKey(kty="OKP", crv="Ed25519", x=plain64(raw), kid=kid)


def lists(folder: Path, sample: Sample) -> Iterator[Row]:
    city, pinned = _city(folder)
    older = city.signer.lists()
    city.signer.rotate()
    good = city.signer.lists()[0]

    def taken(envelope: bytes | str) -> bool:
        said = envelope if isinstance(envelope, str) else envelope.decode("latin-1")
        fresh = Pinned(pinned.identity, folder / "fresh")
        return fresh.take([said])

    yield judge("a list of keys: each single bit flipped", sample.of(flips(good.encode())), taken)
    changed = [*cuts(good), *additions(good)]
    yield judge("a list of keys: cut short, something added", sample.of(changed), taken)
    assert pinned.take(city.signer.lists())
    yield judge(
        "a list of keys: older, the same, a stranger's", _wrong(city, older), taken_by(pinned)
    )


def taken_by(pinned: Pinned) -> Callable[[str], bool]:
    return lambda envelope: pinned.take([envelope])


def _wrong(city: City, older: list[str]) -> Iterator[str]:
    thief = Ed25519PrivateKey.generate()
    theirs = canonical(KeyList(serial=50, keys=(_public(thief, "k-thief"),)))
    yield from older
    yield from city.signer.lists()
    for kid in ("k-thief", city.kid):
        yield city.forged(theirs, {"alg": "Ed25519", "kid": kid}, thief)
    for payload in (b"{}", canonical(ticket()), canonical(grant()), theirs[:-1]):
        yield city.forged(payload)
