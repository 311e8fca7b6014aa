"""The fields of OKH 2.4: what each has to hold, why it matters, and an example to paste.

Source: the schema and template of the Internet of Production Alliance (iop-alliance/OpenKnowHow,
src/schema/okh.schema.json at 17f45bbc). The schema allows more keys than these.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from designs.licences import is_expression

_CPC = re.compile(r"[A-HY][0-9]{2}[A-HJ-NP-Z]( ?[12]?[0-9]{1,3}/[0-9]{2,6})?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
MOST_CHARACTERS = 20_000

Rule = Callable[[object], str | None]
"""What is wrong with a value, in words that follow its name; None if it fits."""


@dataclass(frozen=True)
class Field:
    """`weight`: essential fields are asked for, wished ones are missed with a note."""

    name: str
    rule: Rule
    why: str
    example: str
    weight: str = "free"

    def fault(self, value: object) -> str | None:
        return self.rule(value)


def path_fault(value: object) -> str | None:
    """Whether a value is a plain path below the manifest's folder."""
    if not isinstance(value, str) or not value.strip():
        return "has to be a path, in quotes"
    if "\\" in value or any(ord(c) < 32 for c in value):
        return f"is no plain path: {value[:80]!r}"
    if value.startswith("/") or _SCHEME.match(value):
        return f"has to be a path below the manifest, not {value[:80]!r}"
    if ".." in value:
        return f"leaves the folder of the manifest, or looks like it: {value[:80]!r}"
    return None


def url_fault(value: object) -> str | None:
    if not isinstance(value, str):
        return "has to be an address, in quotes"
    try:
        parts = urlsplit(value.strip())
        host = parts.hostname
    except ValueError:
        return f"is no address: {value[:80]!r}"
    if parts.scheme not in {"http", "https"} or value != value.strip() or " " in value:
        return f"has to begin with https://, and {value[:80]!r} does not"
    return None if host else f"names no host: {value[:80]!r}"


def out_of_reach(url: str) -> bool:
    """Whether an address lies in a private network, by its look alone; nothing is asked."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
    except ValueError:
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan"))


def reference_fault(value: object) -> str | None:
    is_url = isinstance(value, str) and value.startswith(("http://", "https://"))
    return url_fault(value) if is_url else path_fault(value)


def text_fault(value: object) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return "has to be text, in quotes"
    return f"is longer than {MOST_CHARACTERS} characters" if len(value) > MOST_CHARACTERS else None


def licence_fault(value: object) -> str | None:
    if text_fault(value):
        return text_fault(value)
    if is_expression(cast("str", value)):
        return None
    return f"is no SPDX expression: {str(value)[:80]!r}"


def _number(value: object) -> str | None:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    return None if fits else "has to be a number, without quotes and without its unit"


def _version(value: object) -> str | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return None if number else text_fault(value)


def _matching(pattern: re.Pattern[str], what: str) -> Rule:
    def rule(value: object) -> str | None:
        return None if isinstance(value, str) and pattern.fullmatch(value) else f"has to be {what}"

    return rule


def _of(*words: str) -> Rule:
    known = ", ".join(words)
    return lambda value: None if value in words else f"has to be one of {known}"


def _many(rule: Rule) -> Rule:
    """One, or a list of them."""

    def each(value: object) -> str | None:
        values = cast("list[object]", value) if isinstance(value, list) else [value]
        return next((fault for item in values if (fault := rule(item))), None)

    return each


def _agent(value: object) -> str | None:
    if isinstance(value, dict):
        plain = cast("dict[str, object]", value)
        if text_fault(plain.get("name")):
            return 'has to say a name, as in {name = "…", email = "…"}'
        wrong = "url" in plain and url_fault(plain["url"])
        return f"has a url that {wrong}" if wrong else None
    return text_fault(value) and "has to be a name, or a table with name, email and url"


def _agents(value: object) -> str | None:
    return "has to name somebody" if value == [] else _many(_agent)(value)


def _image(value: object) -> str | None:
    if isinstance(value, dict):
        return reference_fault(cast("dict[str, object]", value).get("location"))
    return reference_fault(value)


def _box(value: object) -> str | None:
    sides = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if any(_number(sides.get(side)) for side in ("width", "depth", "height")):
        return "has to give width, depth and height, in millimetres"
    return None


def _software(value: object) -> str | None:
    rows = cast("list[object]", value) if isinstance(value, list) else [None]
    for row in rows:
        release = cast("dict[str, object]", row).get("release") if isinstance(row, dict) else None
        if reference_fault(release):
            return "has to be a list of tables, each with a release"
    return None


def _rdf(value: object) -> str | None:
    space = cast("dict[str, object]", value).get("namespace") if isinstance(value, dict) else None
    return "has to give a namespace" if text_fault(space) else None


def _sides(value: object) -> str | None:
    pair = cast("list[object]", value) if isinstance(value, list) else []
    fits = len(pair) == 2 and not any(_number(side) for side in pair)
    return None if fits else "has to be two numbers, in millimetres"


_REFERENCES = _many(reference_fault)
_WORDS = _many(text_fault)

_ALL = (
    Field(
        "okhv",
        _of("2.4"),
        "Readers choose by it what the other fields mean",
        'okhv = "2.4"',
    ),
    Field(
        "name",
        text_fault,
        "It is what people search for and what stands on the order",
        'name = "Table lantern"',
        "essential",
    ),
    Field(
        "function",
        text_fault,
        "Without a sentence on what it does and for whom, nobody finds it or knows if it fits",
        'function = "Makes warm, patterned light on a table from an LED tea light."',
        "essential",
    ),
    Field(
        "license",
        licence_fault,
        "Without a licence nobody may make it or change it: it can only stay a draft",
        'license = "CERN-OHL-S-2.0"',
        "essential",
    ),
    Field(
        "licensor",
        _agents,
        "Whose it is: every part made from it names them, and forks credit them",
        'licensor = "Ada Lovelace <ada@example.org>"',
        "essential",
    ),
    Field(
        "repo",
        url_fault,
        "Where it is developed: people report faults there and find the source",
        'repo = "https://codeberg.org/ada/lantern"',
        "essential",
    ),
    Field(
        "version",
        _version,
        "A release never changes; its version says which one somebody made",
        'version = "1.0.0"',
        "wished",
    ),
    Field(
        "documentation-language",
        _many(_matching(_LANGUAGE, "a language tag such as en or pt-BR")),
        "People look for instructions in a language they read",
        'documentation-language = "en"',
        "wished",
    ),
    Field(
        "image",
        _many(_image),
        "A design with a picture is looked at, one without is passed over",
        'image = "lantern.jpg"',
        "wished",
    ),
    Field(
        "bom",
        _REFERENCES,
        "Whoever builds it has to know what else to buy, and how many",
        'bom = "bom.csv"',
        "wished",
    ),
    Field(
        "manufacturing-instructions",
        _REFERENCES,
        "The next person has to put it together without you",
        'manufacturing-instructions = "assembly.md"',
        "wished",
    ),
    Field(
        "source",
        _REFERENCES,
        "Only with the source can others repair and improve it; some licences demand it",
        'source = "lantern.FCStd"',
        "wished",
    ),
    Field("export", _REFERENCES, "Files that machines work from", 'export = "lantern.stl"'),
    Field("readme", _REFERENCES, "Where people begin to read", 'readme = "README.md"'),
    Field(
        "contribution-guide",
        reference_fault,
        "How others can take part",
        'contribution-guide = "CONTRIBUTING.md"',
    ),
    Field(
        "release",
        reference_fault,
        "Where this version can be had whole",
        'release = "https://codeberg.org/ada/lantern/releases/tag/1.0.0"',
    ),
    Field(
        "fork-of",
        url_fault,
        "It credits the design that yours began from",
        'fork-of = "https://codeberg.org/grace/lamp"',
    ),
    Field("user-manual", _REFERENCES, "How it is used safely", 'user-manual = "manual.md"'),
    Field("auxiliary", _REFERENCES, "Other files of use", 'auxiliary = "lib/symbols.lib"'),
    Field(
        "organization",
        _agents,
        "Who stands behind it",
        'organization = "Lantern Makers"',
    ),
    Field(
        "technology-readiness-level",
        _of(*(f"OTRL-{n}" for n in range(1, 7))),
        "Whether it is an idea or a proven product",
        'technology-readiness-level = "OTRL-4"',
    ),
    Field(
        "documentation-readiness-level",
        _of("ODRL-1", "ODRL-2", "ODRL-3", "ODRL-3*", "ODRL-4"),
        "Whether somebody else can build it from the documents",
        'documentation-readiness-level = "ODRL-3"',
    ),
    Field(
        "attestation",
        _REFERENCES,
        "Proof that it was certified as open hardware",
        'attestation = "https://certification.oshwa.org/de000001.html"',
    ),
    Field("publication", _WORDS, "Where it was published", 'publication = "10.1371/…"'),
    Field(
        "standard-compliance",
        _WORDS,
        "The standards it keeps",
        'standard-compliance = ["DIN EN 1335"]',
    ),
    Field(
        "cpc-patent-class",
        _many(_matching(_CPC, "a class such as A47C 16/04")),
        "Its field of technology",
        'cpc-patent-class = "F21V 1/00"',
    ),
    Field("tsdc", _WORDS, "Which kinds of machine it needs", 'tsdc = ["3DP", "LAS"]'),
    Field("material", text_fault, "What it is made of", 'material = "PETG"'),
    Field(
        "printing-process",
        _of("FDM", "SLA", "SLS", "MJF", "DMLS"),
        "Which kind of 3D printing it needs",
        'printing-process = "FDM"',
    ),
    Field("2d-size-mm", _sides, "The size of a board", "2d-size-mm = [40, 25]"),
    Field("component-sides", _number, "Sides with components", "component-sides = 2"),
    Field("mass", _number, "In grams: what it weighs", "mass = 120"),
    Field(
        "outer-dimensions",
        _box,
        "In millimetres: whether it fits",
        "outer-dimensions = { width = 90, depth = 90, height = 140 }",
    ),
    Field("software", _software, "Programs that it needs", '[[software]]\nrelease = "https://…"'),
    Field("rdf", _rdf, "Where its linked data lives", '[rdf]\nnamespace = "https://…"'),
    Field("$schema", url_fault, "Which schema it keeps", '"$schema" = "https://…"'),
)
FIELDS = {field.name: field for field in _ALL}
PART_FIELDS = {
    name: FIELDS[name]
    for name in (
        "name",
        "source",
        "export",
        "auxiliary",
        "image",
        "tsdc",
        "mass",
        "outer-dimensions",
    )
}
RENAMED = {
    "forkOf": "fork-of",
    "spdx-license": "license",
    "alternative-license": "license",
    "organisation": "organization",
}
"""Keys of the LOSH line that 2.4 calls otherwise."""
