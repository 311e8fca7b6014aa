"""Open Know-How manifests: reads 1.0 (YAML), LOSH, 2.3 and 2.4 (TOML), writes 2.4.

It takes what it understands, keeps the rest word for word, and says what is missing and why that
matters; it never follows a link or a path.

Fields: OKH 2.4 schema of the Internet of Production Alliance and OKH 1.0. What OKH has no field
for (process, material, thickness, quantity, tolerance, recipe, inspection plan and alternatives of
a part; bought items, contributors) rides in a table of our own, `[cosmolocal]`, which other
readers may ignore. docs/okh.md shows it whole.
"""

from designs import misfits
from designs.errors import Refused
from designs.okh.lint import STRAY, Level, Remark, Report, convert, finding, lint
from designs.okh.manifest import DRAWN, AlternativeEntry, Manifest, PartEntry, slug
from designs.okh.parse import MAX_BYTES, Unreadable, parse
from designs.okh.reading import interpret
from designs.okh.release import Made, of_release
from designs.okh.writing import write

__all__ = [
    "DRAWN",
    "MAX_BYTES",
    "AlternativeEntry",
    "Level",
    "Made",
    "Manifest",
    "PartEntry",
    "Remark",
    "Report",
    "convert",
    "finding",
    "lint",
    "of_release",
    "read",
    "slips",
    "slug",
    "write",
]

_AGAIN = "Correct the manifest, or leave it out and answer the questions instead"


def slips(manifest: bytes, name: str) -> tuple[Remark, ...]:
    """What is said of a part that nobody would follow: a reason not to publish."""
    found = lint(manifest, name).remarks
    return tuple(
        remark
        for remark in found
        if remark.level is Level.ESSENTIAL
        and (".recipe." in remark.field or remark.what.startswith(STRAY))
    )


def read(manifest: bytes, name: str) -> Manifest:
    """The manifest in a file of that name; raises `Refused` if it cannot be understood."""
    try:
        found, faults = interpret(parse(manifest, name))
    except Unreadable as broken:
        raise Refused(str(broken), name, _AGAIN) from None
    if faults:
        table, what = misfits.place(faults[0].where[:-1]).replace(", ", "."), faults[0].what
        raise Refused(what if what.startswith(table) else f"{table}: {what}", name, _AGAIN)
    return found
