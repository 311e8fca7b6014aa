"""The texts that go with a built design: its manifest with the wished figures, list and parameters.

It changes figures in the manifest and never its words.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping

from designs.library.parameters import Parameters, bounds
from designs.okh import Manifest
from designs.processes import find_material, find_process

Stated = Mapping[str, Mapping[str, float]]
"""By part: the nominal value of each inspected dimension by its words, and `quantity`."""


def manifest(text: str, wish: Parameters, stated: Stated) -> str:
    """The manifest of the design as it was wished; its version says so where that is not usual."""
    lines = "\n".join(_restated(text, stated)) + "\n"
    if wish == type(wish)():
        return lines
    mark = hashlib.sha256(wish.model_dump_json().encode()).hexdigest()[:8]
    return re.sub(
        r'^version = "(.*)"$', rf'version = "\1+as-wished.{mark}"', lines, flags=re.MULTILINE
    )


def _restated(text: str, stated: Stated) -> Iterator[str]:
    part, what = "", ""
    for line in text.splitlines():
        if heading := re.fullmatch(r"\[+cosmolocal\.part\.([a-z0-9-]+)(\.inspection)?\]+", line):
            part, what = heading[1], ""
        elif line.startswith("["):
            part = ""
        figures = stated.get(part, {})
        if named := re.fullmatch(r'what = "(.*)"', line):
            what = named[1]
        if line.startswith("nominal_mm =") and what in figures:
            yield f"nominal_mm = {figures[what]:g}"
        elif line.startswith("quantity =") and "quantity" in figures:
            yield f"quantity = {figures['quantity']:g}"
        else:
            yield line


def parameters(wish: Parameters) -> str:
    """Every parameter as it was built, with its bounds, as JSON."""
    built = wish.model_dump()
    table = [{"built": built[each.name], **each.model_dump()} for each in bounds(type(wish))]
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def bill(manifest: Manifest) -> str:
    """What one product is made of, as CSV: parts made here, then what is bought."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["item", "kind", "quantity", "process", "material", "thickness_mm", "note"])
    for part in manifest.parts:
        process, material = find_process(part.process or ""), find_material(part.material or "")
        rows.writerow(
            [
                part.title,
                "made",
                part.quantity,
                process.title if process else "",
                material.title if material else "",
                f"{part.thickness_mm:g}" if part.thickness_mm else "",
                part.file or "",
            ]
        )
    for item in manifest.bought:
        rows.writerow([item.name, "bought", item.quantity, "", "", "", item.note])
    return out.getvalue()
