"""An envelope changed by a bit or a sign, forged headers, payloads, signatures, wrong keys."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.tampering.city import City, plain64, raw64, words
from bench.tampering.table import Row, Sample, judge
from fablab_agents.protocol.tickets import Grant, Ticket, canonical

_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_ADDED: Final = ("=", ".", "A", "-", "\n", " ", "\0", "%3D", "é", "\ufeff")
Accepts = Callable[[bytes | str], bool]


@dataclass(frozen=True)
class Subject:
    """What is tampered with: a ticket or a grant of this city, and who judges it."""

    name: str
    city: City
    true: Ticket | Grant
    other: Ticket | Grant
    accepts: Accepts

    @property
    def envelope(self) -> str:
        return self.city.signer.sign(self.true)


def tampered(subject: Subject, sample: Sample) -> Iterator[Row]:
    name, good, accepts = subject.name, subject.envelope, subject.accepts
    yield judge(f"{name}: each single bit flipped", sample.of(flips(good.encode())), accepts)
    yield judge(
        f"{name}: a sign left out, doubled, changed places", sample.of(slips(good)), accepts
    )
    yield judge(f"{name}: cut short at either end", sample.of(cuts(good)), accepts)
    yield judge(f"{name}: something added", sample.of(additions(good)), accepts)
    yield judge(f"{name}: another header, the signature left", headers(subject), accepts)
    yield judge(f"{name}: a header out of form, signed by the right key", signed(subject), accepts)
    yield judge(f"{name}: HMAC with the public key as its secret", macs(subject), accepts)
    yield judge(f"{name}: a payload out of form, signed by the right key", bodies(subject), accepts)
    yield judge(f"{name}: another signature", signatures(subject), accepts)
    yield judge(f"{name}: a stranger's key, under any name", strangers(subject), accepts)
    yield judge(f"{name}: something else of ours in its place", others(subject), accepts)


def flips(raw: bytes) -> Iterator[bytes]:
    for at in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[at // 8] ^= 1 << at % 8
        yield bytes(flipped)


def slips(good: str) -> Iterator[str]:
    for at, sign in enumerate(good):
        yield good[:at] + good[at + 1 :]
        yield good[:at] + sign + good[at:]
        if at + 1 < len(good) and good[at + 1] != sign:
            yield good[:at] + good[at + 1] + sign + good[at + 2 :]


def cuts(good: str) -> Iterator[str]:
    for at in range(1, len(good)):
        yield good[:at]
        yield good[at:]


def additions(good: str) -> Iterator[str]:
    for at in range(len(good) + 1):
        for more in _ADDED:
            yield good[:at] + more + good[at:]
    head, body, signature = good.split(".")
    yield good + "." + signature
    yield f"{good}.{good}"
    yield f"{head}..{signature}"
    yield f".{body}.{signature}"
    yield f"{head}.{body}."
    yield json.dumps({"protected": head, "payload": body, "signature": signature})
    yield base64.b64encode(good.encode()).decode()


def _headers(city: City) -> Iterator[object]:
    good = {"alg": "Ed25519", "kid": city.kid}
    thief = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": plain64(thief), "kid": city.kid}
    for alg in ("none", "None", "nOnE", "HS256", "EdDSA", "Ed448", "ES256", "RS256", "", None, 1):
        yield {**good, "alg": alg}
    for kid in ("", "k-none", "../keys.json", "' OR 1=1", "*", None, 0, [city.kid], {"x": 1}):
        yield {**good, "kid": kid}
    for more in (
        {"jwk": jwk}, {"jku": "https://thief.example/keys"}, {"x5u": "https://thief.example"},
        {"x5c": [plain64(thief)]}, {"x5t": "AA"}, {"crit": ["exp"], "exp": 1}, {"crit": []},
        {"crit": ["b64"], "b64": False}, {"b64": False}, {"typ": "JWT"}, {"cty": "JWT"},
        {"zip": "DEF"}, {"enc": "A128GCM"}, {"p2c": 10**9}, {"Kid": city.kid},
    ):  # fmt: skip
        yield {**good, **more}
    yield {"alg": "Ed25519"}
    yield {"kid": city.kid}
    yield {"alg": "Ed25519", "jwk": jwk}
    twin = json.dumps(city.kid)
    yield f'{{"alg":"none","alg":"Ed25519","kid":{twin}}}'.encode()
    yield f'{{"alg":"Ed25519","kid":"k-none","kid":{twin}}}'.encode()
    yield from (b"", b"{}", b"[]", b"null", b'"x"', b"\xff\xfe", b"{" * 5000, b"1" * 5000)


def headers(subject: Subject) -> Iterator[str]:
    _, body, signature = subject.envelope.split(".")
    for header in _headers(subject.city):
        told = header if isinstance(header, bytes) else json.dumps(header).encode()
        for last in (signature, ""):
            yield f"{plain64(told)}.{body}.{last}"


def signed(subject: Subject) -> Iterator[str]:
    for header in _headers(subject.city):
        yield subject.city.forged(canonical(subject.true), header)


def macs(subject: Subject) -> Iterator[str]:
    city = subject.city
    public = city.private().public_key()
    jwk = city.signer.public()[0]
    ways = (("HS256", hashlib.sha256), ("HS512", hashlib.sha512), ("Ed25519", hashlib.sha256))
    for alg, way in ways:
        signing = ".".join(
            plain64(part)
            for part in (
                json.dumps({"alg": alg, "kid": city.kid}).encode(),
                canonical(subject.true),
            )
        )
        for secret in (
            public.public_bytes_raw(), str(jwk["x"]).encode(), json.dumps(jwk).encode(), b"",
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        ):  # fmt: skip
            yield f"{signing}.{plain64(hmac.digest(secret, signing.encode(), way))}"


def bodies(subject: Subject) -> Iterator[str]:
    for payload in _bodies(subject.true):
        yield subject.city.forged(payload)


def _bodies(true: Ticket | Grant) -> Iterator[bytes]:
    good = canonical(true)
    members: dict[str, object] = json.loads(good)
    for name, said in members.items():
        yield words(true, **{name: [said]})
        yield words(true, **{name: {"is": said}})
        yield good[:-1] + f',"{name}":{json.dumps(said)}}}'.encode()
        if name != "v":  # of which there is one, and which may be left out
            yield words(true, **{name: None})
    for more in ("Fence", "fence ", "grant", "ticket", "also", "alg", "program_path", "__class__"):
        yield words(true, **{more: 1})
    for fence in (0, -1, 1.5, "two", "", 2**63, 10**400, [1]):
        yield words(true, fence=fence)
    yield good.replace(b'"fence":2', b'"fence":NaN')
    yield good.replace(b'"fence":2', b'"fence":Infinity')
    yield good.replace(b'"fence":2', b'"fence":0x2')
    for kind in ("keys", "Ticket", "welcome", "", "both"):
        yield words(true, kind=kind)
    yield words(true, v=2)
    yield words(true, attempt="../a-1")
    yield words(true, issued_at="yesterday")
    yield words(true, issued_at="2026-11-29T12:00:00")
    yield from (
        good[:-1],
        good + b"}",
        good + good,
        b"[" + good + b"]",
        good + b"\0",
        b"\xff" + good,
    )
    yield from (good.decode().encode("utf-16"), b"", b"null", b"[" * 9000, b"{" * 9000, b"1" * 9000)


def signatures(subject: Subject) -> Iterator[str]:
    """Also the one that the same key could have made: Ed25519's second form, S plus the order."""
    head, body, last = subject.envelope.split(".")
    true = raw64(last)
    half, scalar = true[:32], int.from_bytes(true[32:], "little")
    elsewhere = raw64(subject.city.signer.sign(subject.other).split(".")[2])
    identity = b"\x01" + bytes(31)
    forms = [half + (scalar + _ORDER).to_bytes(32, "little"), half + bytes(32), bytes(64)]
    forms += [identity + bytes(32), b"\xff" * 64, true[32:] + half, true[::-1], elsewhere]
    forms += [half + elsewhere[32:], elsewhere[:32] + true[32:], true[:63], true + b"\0", b""]
    forms += [true.hex().encode(), true * 2]
    for form in forms:
        yield f"{head}.{body}.{plain64(form)}"
    next_key = subject.city.private(1)
    yield f"{head}.{body}.{plain64(next_key.sign(f'{head}.{body}'.encode()))}"


def strangers(subject: Subject) -> Iterator[str]:
    city, thief = subject.city, Ed25519PrivateKey.generate()
    for key in (*city.signer.public(), {"kid": "k-thief"}, {"kid": ""}):
        header = {"alg": "Ed25519", "kid": key["kid"]}
        yield city.forged(canonical(subject.true), header, thief)
        yield city.forged(canonical(subject.true), {**header, "alg": "EdDSA"}, thief)


def others(subject: Subject) -> Iterator[str]:
    """The other kind, a list of keys, an order's seal: all of them truly signed."""
    signer = subject.city.signer
    yield signer.sign(subject.other)
    yield from signer.lists()
    yield signer.seal(b"0123 2026-11-29T12:00:00+00:00")
    yield signer.seal(canonical(subject.other).replace(b'"kind"', b'"Kind"'))
