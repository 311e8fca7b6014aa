"""What machines read of releases: an Atom feed, schema.org metadata, a data package.

The first three functions are pure: a release and the address of this server become a document.
They name nothing but what is listed, except that a data package is made of any release by its hash.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from fastapi import APIRouter, Request
from markupsafe import Markup
from pydantic import JsonValue
from sqlalchemy import select
from starlette.responses import Response

from designs import licences
from designs.design import Release
from designs.processes import MATERIALS, PROCESSES
from orchestrator.catalogue import service
from orchestrator.catalogue.api import base_of, seen
from orchestrator.catalogue.search import index
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.store import Store, Unit

ATOM: Final = "http://www.w3.org/2005/Atom"
PACKAGE: Final = "https://datapackage.org/profiles/2.0/datapackage.json"
_ENTRIES: Final = 50
_SPDX: Final = "https://spdx.org/licenses/"
_TITLES: Final = {each.id: each.title for each in (*PROCESSES, *MATERIALS)}
_MEDIA: Final = {
    "stl": "model/stl", "3mf": "model/3mf", "obj": "model/obj", "step": "model/step",
    "stp": "model/step", "dxf": "image/vnd.dxf", "svg": "image/svg+xml", "png": "image/png",
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "pdf": "application/pdf",
    "md": "text/markdown", "csv": "text/csv", "txt": "text/plain", "toml": "application/toml",
    "yml": "application/yaml", "yaml": "application/yaml", "py": "text/x-python",
}  # fmt: skip

routes = APIRouter()


@dataclass(frozen=True)
class Listed:
    """A release with when it was published, and the parts of it that have a picture."""

    sha256: str
    published_at: datetime
    release: Release
    pictured: tuple[str, ...] = ()


# ── addresses


def design_address(base: str, release: Release) -> str:
    """Where this version of the design stands for good; `base` ends without a slash."""
    return f"{base}/designs/{release.design}/versions/{quote(release.version)}"


def content_name(sha256: str) -> str:
    """`ni:///sha-256;…`: the same release has the same name on every server (RFC 6920)."""
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
    return f"ni:///sha-256;{digest}"


def licence_address(licence: str) -> str | None:
    """The text of a licence; None for what is no SPDX id."""
    if licence.startswith("LicenseRef-"):
        return None
    return f"{_SPDX}{quote(licence.split(maxsplit=1)[0])}.html"


# ── Atom (RFC 4287)


def atom(base: str, path: str, title: str, entries: Sequence[Listed]) -> bytes:
    """A feed of these releases, newest first. An empty one was last changed at the beginning."""
    feed = ET.Element("feed", {"xmlns": ATOM, "xml:lang": "en"})
    _put(feed, "id", f"{base}{path}")
    _put(feed, "title", title)
    changed = max((each.published_at for each in entries), default=datetime(1970, 1, 1, tzinfo=UTC))
    _put(feed, "updated", _moment(changed))
    _link(feed, "self", f"{base}{path}", "application/atom+xml")
    _link(feed, "alternate", f"{base}/", "text/html")
    _put(feed, "generator", "Cosmolocal")
    for each in entries:
        feed.append(_entry(base, each))
    return ET.tostring(feed, encoding="utf-8", xml_declaration=True)


def _entry(base: str, each: Listed) -> ET.Element:
    release = each.release
    entry = ET.Element("entry")
    _put(entry, "id", content_name(each.sha256))
    _put(entry, "title", f"{release.title} {release.version}")
    _put(entry, "updated", _moment(each.published_at))
    _put(entry, "published", _moment(each.published_at))
    author = ET.SubElement(entry, "author")
    _put(author, "name", release.licensor)
    for contributor in release.contributors:
        _put(ET.SubElement(entry, "contributor"), "name", contributor.name)
    _link(entry, "alternate", design_address(base, release), "text/html")
    package = f"{base}/releases/{each.sha256}/datapackage.json"
    _link(entry, "describedby", package, "application/json")
    for licence in licences.named(release.licence):
        if address := licence_address(licence):
            _link(entry, "license", address, "text/html")
    for process in dict.fromkeys(part.process for part in release.parts):
        ET.SubElement(entry, "category", term=process, label=_TITLES.get(process, process))
    _put(entry, "rights", release.licence)
    _put(entry, "summary", release.function)
    return entry


def _put(within: ET.Element, name: str, words: str) -> None:
    ET.SubElement(within, name).text = _printable(words)


def _printable(words: str) -> str:
    """Without what no XML document may hold."""
    return "".join(c for c in words if c in "\t\n\r" or (ord(c) >= 0x20 and _in_xml(ord(c))))


def _in_xml(point: int) -> bool:
    return not (0xD800 <= point <= 0xDFFF or point in {0xFFFE, 0xFFFF})


def _link(within: ET.Element, rel: str, href: str, kind: str) -> None:
    ET.SubElement(within, "link", rel=rel, href=href, type=kind)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# ── schema.org


def schema_org(base: str, each: Listed) -> dict[str, JsonValue]:
    """The release as a Product that is a CreativeWork, too, with its files as encodings."""
    release = each.release
    address = design_address(base, release)
    terms: list[JsonValue] = [
        licence_address(licence) or licence for licence in licences.named(release.licence)
    ]
    images: list[JsonValue] = [
        f"{base}/releases/{each.sha256}/pictures/{part}/thumbnail" for part in each.pictured
    ]
    said: dict[str, JsonValue] = {
        "@context": "https://schema.org",
        "@type": ["Product", "CreativeWork"],
        "@id": address,
        "url": address,
        "name": release.title,
        "description": release.function,
        "version": release.version,
        "datePublished": _moment(each.published_at),
        "license": terms[0] if len(terms) == 1 else terms,
        "copyrightHolder": _named(release.licensor),
        "author": [_named(name) for name in _makers(release)],
        "material": [_TITLES.get(m, m) for m in dict.fromkeys(p.material for p in release.parts)],
        "keywords": [_TITLES.get(p, p) for p in dict.fromkeys(p.process for p in release.parts)],
        "identifier": _identifiers(each),
        "encoding": [_encoding(base, each.sha256, file.name, release) for file in release.files],
        "isAccessibleForFree": True,
    }
    if images:
        said["image"] = images
    if release.repo and release.repo.startswith(("https://", "http://")):
        said["sameAs"] = release.repo
    if based_on := _ancestor(release):
        said["isBasedOn"] = based_on
    return said


def _makers(release: Release) -> list[str]:
    return [each.name for each in release.contributors] or [release.licensor]


def _named(name: str) -> JsonValue:
    return {"@type": "Thing", "name": name}


def _identifiers(each: Listed) -> JsonValue:
    return [
        {"@type": "PropertyValue", "propertyID": "sha256", "value": each.sha256},
        content_name(each.sha256),
    ]


def _encoding(base: str, sha256: str, name: str, release: Release) -> JsonValue:
    file = next(f for f in release.files if f.name == name)
    return {
        "@type": "MediaObject",
        "name": file.name,
        "contentUrl": f"{base}/releases/{sha256}/files/{file.sha256}",
        "encodingFormat": _MEDIA.get(file.format, "application/octet-stream"),
        "contentSize": str(file.size_bytes),
        "sha256": file.sha256,
    }


def _ancestor(release: Release) -> str | None:
    if release.ancestor:
        return content_name(release.ancestor.release)
    return release.forked_from


def ld_json(said: dict[str, JsonValue]) -> Markup:
    """A data block for a page: no script to a browser, and no way out of it for its words."""
    text = json.dumps(said, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")
    text = text.replace("&", "\\u0026").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return Markup('<script type="application/ld+json">') + Markup(text) + Markup("</script>")  # noqa: S704


# ── data package (Frictionless 2.0)


def data_package(base: str, each: Listed) -> dict[str, JsonValue]:
    """Every file with hash, bytes and role; paths are relative to the package's own address."""
    release = each.release
    return {
        "$schema": PACKAGE,
        "name": f"{release.design}-{release.version}".lower(),
        "id": content_name(each.sha256),
        "title": release.title,
        "description": release.function,
        "version": release.version,
        "created": _moment(each.published_at),
        "homepage": design_address(base, release),
        "licenses": [_licensed(licence) for licence in licences.named(release.licence)],
        "contributors": [
            {"title": release.licensor, "roles": ["rightsHolder"]},
            *({"title": c.name, "roles": ["creator"]} for c in release.contributors),
        ],
        "keywords": [*dict.fromkeys(part.process for part in release.parts)],
        **_sources(release),
        "resources": _resources(release),
        "release": {"sha256": each.sha256, "design": release.design, "licence": release.licence},
    }


def _sources(release: Release) -> dict[str, JsonValue]:
    """Where it came from; nothing for what began here."""
    if release.ancestor:
        found = release.ancestor
        name = content_name(found.release)
        return {"sources": [{"title": f"{found.title} {found.version}", "path": name}]}
    if release.forked_from:
        return {"sources": [{"title": release.forked_from}]}
    return {}


def _licensed(licence: str) -> JsonValue:
    address = licence_address(licence)
    return {"name": licence, "path": address} if address else {"name": licence}


def _resources(release: Release) -> list[JsonValue]:
    parts: dict[str, list[JsonValue]] = {}
    for part in release.parts:
        parts.setdefault(part.file_sha256, []).append(part.name)
    return [
        {
            "name": f"file-{number}",
            "title": file.name,
            "path": f"files/{file.sha256}",
            "format": file.format,
            "mediatype": _MEDIA.get(file.format, "application/octet-stream"),
            "bytes": file.size_bytes,
            "hash": f"sha256:{file.sha256}",
            "role": file.role.value,
            "parts": parts.get(file.sha256, []),
        }
        for number, file in enumerate(release.files, 1)
    ]


# ── doors


@routes.get("/feed.atom", include_in_schema=False)
async def feed(request: Request) -> Response:
    """The newest releases of all designs."""
    async with _store(request).view() as unit:
        entries = await _newest(unit)
    return _feed(request, "/feed.atom", "Open designs: new releases", entries)


@routes.get("/designs/{design}/feed.atom", include_in_schema=False)
async def feed_of_design(design: str, request: Request) -> Response:
    """The releases of one design."""
    async with _store(request).view() as unit:
        row = await service.newest(unit, design)
        entries = await _newest(unit, design)
    return _feed(request, f"/designs/{design}/feed.atom", f"{row.title}: releases", entries)


@routes.get("/releases/{sha256}/datapackage.json", tags=["catalogue"])
async def package(sha256: str, request: Request) -> dict[str, Any]:
    """The release as a Frictionless data package: its files with hash, bytes, role and licence."""
    async with _store(request).view() as unit:
        row = await seen(unit, request, sha256)
    return data_package(base_of(request), listed(row))


def listed(row: ReleaseRow) -> Listed:
    pictured = tuple(part for part, kinds in row.pictures.items() if "thumbnail" in kinds)
    release = Release.model_validate_json(row.manifest)
    return Listed(row.sha256, row.published_at, release, pictured)


async def _newest(unit: Unit, design: str | None = None) -> list[Listed]:
    rows = select(ReleaseRow).where(index.is_public())
    if design is not None:
        rows = rows.where(ReleaseRow.design == design)
    newest = rows.order_by(ReleaseRow.published_at.desc(), ReleaseRow.sha256).limit(_ENTRIES)
    return [listed(row) for row in await unit.session.scalars(newest)]


def _feed(request: Request, path: str, title: str, entries: Iterable[Listed]) -> Response:
    """Whoever has it already is told so in a few bytes."""
    given = list(entries)
    tag = f'"{given[0].sha256[:32]}-{len(given)}"' if given else '"empty"'
    headers = {"ETag": tag, "Cache-Control": "max-age=60"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    body = atom(base_of(request), path, title, given)
    return Response(body, media_type="application/atom+xml", headers=headers)


def _store(request: Request) -> Store:
    return request.app.state.store
