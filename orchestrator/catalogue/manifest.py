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
    said = known.model_copy(
        update={
            "dialect": "2.4",
            "title": release.title,
            "function": release.function,
            "version": release.version,
            "licence": release.licence,
            "licensor": release.licensor,
            "repo": release.repo,
            "forked_from": release.forked_from,
            "parts": tuple(_entry(part, by_name.get(part.name)) for part in release.parts),
            "bought": release.bought,
            "ancestor": release.ancestor,
            "contributors": release.contributors,
        }
    )
    return okh.write(said).encode()


def _read(older: bytes | None, name: str) -> okh.Manifest:
    try:
        return okh.read(older, name) if older is not None else okh.Manifest()
    except DesignRefused:  # an older reader took it
        return okh.Manifest()


def _entry(part: Part, known: okh.PartEntry | None) -> okh.PartEntry:
    kept = known or okh.PartEntry(name=part.name, title=part.title)
    shared = set(okh.PartEntry.model_fields) & set(Part.model_fields)
    said = {name: getattr(part, name) for name in shared}
    return kept.model_copy(update=said | {"file": part.file_name})
