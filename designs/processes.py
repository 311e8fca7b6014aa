"""Names every process and material we know, with the ids others use for them.

It never says which lab has what: elsewhere these ids are opaque slugs.

Process ids follow the Open Hardware Manager taxonomy; `tsdc` is the OKH technology-specific
documentation criteria code, `wikidata` and `fablabs` (fablabs.io capability) are aliases.
Densities are handbook middles for shop stock; real stock varies by some 5 % (boards by 15 %).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Process:
    id: str
    title: str
    takes: Literal["mesh", "drawing"]  # what a design file for it must hold
    tsdc: str
    wikidata: str
    fablabs: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Material:
    id: str
    title: str
    density_g_cm3: float
    processes: tuple[str, ...]
    aliases: tuple[str, ...] = ()


FDM, MILL, LASER = "3d_printing_fdm", "cnc_milling", "laser_cutting"
_SHEET = (MILL, LASER)

PROCESSES: tuple[Process, ...] = (
    Process(
        FDM,
        "3D printing (filament)",
        takes="mesh",
        tsdc="3DP",
        wikidata="Q229367",
        fablabs="three_d_printing",
        aliases=("3d_printing", "fdm", "fff", "printed", "print"),
    ),
    Process(
        MILL,
        "CNC milling",
        takes="drawing",
        tsdc="CNC",
        wikidata="Q179507",
        fablabs="cnc_milling",
        aliases=("cnc", "cnc_machining", "precision_milling", "milled", "mill", "milling"),
    ),
    Process(
        LASER,
        "Laser cutting",
        takes="drawing",
        tsdc="LAS",
        wikidata="Q3062349",
        fablabs="laser",
        aliases=("lasercut", "laser_cut"),
    ),
)

MATERIALS: tuple[Material, ...] = (
    Material("pla", "PLA", 1.24, (FDM,), ("polylactic_acid",)),
    Material("petg", "PETG", 1.27, (FDM,), ("pet_g",)),
    Material("abs", "ABS", 1.04, (FDM,)),
    Material("asa", "ASA", 1.07, (FDM,)),
    Material("tpu", "TPU (flexible)", 1.21, (FDM,), ("flex",)),
    Material("plywood", "Plywood", 0.60, _SHEET, ("poplar_plywood",)),
    Material("birch_plywood", "Birch plywood", 0.68, _SHEET, ("birch_ply",)),
    Material("mdf", "MDF", 0.75, _SHEET, ("fibreboard",)),
    Material("acrylic", "Acrylic", 1.19, _SHEET, ("pmma", "plexiglass", "perspex")),
    Material("cardboard", "Cardboard", 0.20, (LASER,), ("corrugated_cardboard",)),
    Material("hdpe", "HDPE sheet", 0.95, (MILL,), ("polyethylene",)),
    Material("beech", "Beech", 0.72, (MILL,), ("hardwood",)),
    Material("aluminium", "Aluminium", 2.70, (MILL,), ("aluminum",)),
)


def _plain(word: str) -> str:
    return word.strip().lower().replace("-", "_").replace(" ", "_")


def _process_names(process: Process) -> set[str]:
    others = (process.title, process.tsdc, process.wikidata, process.fablabs, *process.aliases)
    return {process.id, *(_plain(name) for name in others)}


_BY_PROCESS_NAME = {name: process for process in PROCESSES for name in _process_names(process)}
_BY_MATERIAL_NAME = {
    _plain(name): material
    for material in MATERIALS
    for name in (material.id, material.title, *material.aliases)
}


def find_process(name: str) -> Process | None:
    """The process of that id or alias ("FDM", "LAS", "Q179507"), or None."""
    return _BY_PROCESS_NAME.get(_plain(name))


def find_material(name: str) -> Material | None:
    """The material of that id or alias ("PMMA"), or None."""
    return _BY_MATERIAL_NAME.get(_plain(name))
