"""The manifest that says what a release says: so that its folder, published again, is that release.

What an older manifest said beyond that is kept. Pure: text in, text out.
"""

from designs import okh
from designs.design import Part, Release
from designs.errors import DesignRefused

NAME = "okh.toml"


def text(release: Release, older: bytes | None = None, older_name: str = NAME) -> bytes:
    """`okh.toml` of the release; `older` is the manifest that stands in its place now."""
    known = _read(older, older_name)
    by_name = {part.name: part for part in known.parts}
    changes = {
        "title": release.title,
        "function": release.function,
        "version": release.version,
        "licence": release.licence,
        "licensor": release.licensor,
        "repo": release.repo,
        "forked_from": release.forked_from,
        "bought": release.bought,
        "ancestor": release.ancestor,
        "contributors": release.contributors,
        "first_article": release.first_article,
    }
    news = {field: value for field, value in changes.items() if getattr(known, field) != value}
    parts = tuple(_entry(part, by_name.get(part.name)) for part in release.parts)
    said = known.saying(**news).model_copy(update={"dialect": "2.4", "parts": parts})
    return okh.write(said).encode()


def _read(older: bytes | None, name: str) -> okh.Manifest:
    try:
        return okh.read(older, name) if older is not None else okh.Manifest()
    except DesignRefused:  # an older reader took it
        return okh.Manifest()


_RECORD = ("title", "process", "material", "thickness_mm", "quantity", "tolerance_mm", "recipe")


def _entry(part: Part, known: okh.PartEntry | None) -> okh.PartEntry:
    """The part as the manifest has it; its words stay where they mean the same."""
    entry = known or okh.PartEntry(name=part.name, title=part.title)
    others = tuple(
        okh.AlternativeEntry(file=each.file_name, machine_class=each.machine_class)
        for each in part.alternatives
    )
    said = {field: getattr(part, field) for field in (*_RECORD, "inspection")}
    return entry.model_copy(update=said | {"file": part.file_name, "alternatives": others})
