"""What is different between two versions of a part: figures side by side, and one sentence.

It never judges whether the change is good, and never reads a file.
"""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from designs.design import DrawingFacts, Facts, MeshFacts, Part
from designs.processes import find_material

_ALIKE = 1e-4  # relative: less is rounding, not a change
_BOX_MM, _BOX, _FACETS_MM = 1.0, 0.02, 0.1
_AMOUNT = 0.05


class Change(BaseModel):
    """One figure that differs; `before` or `after` is None where that version has no such figure.

    `unit` is "" for counts and words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    unit: str
    before: float | str | None
    after: float | str | None

    @property
    def share(self) -> float | None:
        """As a share of what it was: 0.1 is a tenth more. None where that says nothing."""
        if isinstance(self.before, str) or isinstance(self.after, str) or not self.before:
            return None
        return None if self.after is None else self.after / self.before - 1

    def __str__(self) -> str:
        told = f"{self.what} {_said(self.before)} → {_said(self.after)}"
        share = self.share
        often = f" ({share:+.1%})" if share is not None and self.unit else ""
        return told + (f" {self.unit}" if self.unit else "") + often


class Difference(BaseModel):
    """All figures that changed, and the sentence that says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    changes: tuple[Change, ...]
    sentence: str

    @property
    def same(self) -> bool:
        return not self.changes


def facts_difference(
    before: Facts, after: Facts, material: str | None = None, thickness_mm: float | None = None
) -> Difference:
    """What the facts of a part's new version say beside those of the old one.

    With a material (and for a drawing the sheet's thickness) its mass is compared too: the mass of
    the solid, so of a print with 100 % infill.
    """
    told = (material, thickness_mm)
    return _told(_of_facts(before, after, told, told))


def part_difference(before: Part, after: Part) -> Difference:
    """The same for two parts of the record, with their material, process, sheet and number."""
    was, now = ((p.material, p.thickness_mm) for p in (before, after))
    words: list[tuple[str, str, float | str | None, float | str | None]] = [
        ("process", "", before.process, after.process),
        ("material", "", before.material, after.material),
        ("sheet", "mm", before.thickness_mm, after.thickness_mm),
        ("tolerance", "mm", before.tolerance_mm, after.tolerance_mm),
        ("pieces", "", before.quantity, after.quantity),
    ]
    of_record = (Change(what=w, unit=u, before=b, after=a) for w, u, b, a in words if b != a)
    return _told([*_of_facts(before.facts, after.facts, was, now), *of_record])


def same_shape(one: Facts, other: Facts) -> bool:
    """Whether these can be two files of one part, however each lies.

    Sides of the box within 1 mm and 2 % (0.1 mm of small ones), volume or area within 5 %.
    """
    if one.kind != other.kind:
        return False
    sides = zip(sorted(one.size_mm), sorted(other.size_mm), strict=True)
    boxes = all(abs(a - b) <= max(_FACETS_MM, min(_BOX_MM, _BOX * a)) for a, b in sides)
    was, now = _amount(one), _amount(other)
    return boxes and abs(was - now) <= _AMOUNT * abs(was)


def shape_words(facts: Facts) -> str:
    """Its box as in the file, and its volume or area."""
    box = " × ".join(f"{side:.1f}" for side in facts.size_mm)
    unit = "cm³" if isinstance(facts, MeshFacts) else "cm²"
    return f"{box} mm and {_said(_amount(facts))} {unit}"


def _amount(facts: Facts) -> float:
    if isinstance(facts, MeshFacts):
        return facts.volume_mm3 / 1000
    return facts.area_mm2 / 100


def solid_grams(facts: Facts, material: str | None, thickness_mm: float | None) -> float | None:
    """Grams of the solid in that material; None where material or thickness is not known."""
    stuff = find_material(material) if material else None
    if stuff is None:
        return None
    if isinstance(facts, MeshFacts):
        return round(facts.volume_mm3 / 1000 * stuff.density_g_cm3, 2)
    if thickness_mm is None:
        return None
    return round(facts.area_mm2 * thickness_mm / 1000 * stuff.density_g_cm3, 2)


_Stuff = tuple[str | None, float | None]  # material, thickness in mm
_Figures = dict[str, tuple[str, float | str | None]]


def _of_facts(before: Facts, after: Facts, was: _Stuff, now: _Stuff) -> Iterator[Change]:
    old = _figures(before, solid_grams(before, *was))
    new = _figures(after, solid_grams(after, *now))
    for what in [*old, *(name for name in new if name not in old)]:
        unit = (old.get(what) or new[what])[0]
        one, other = (side.get(what, ("", None))[1] for side in (old, new))
        if not _alike(one, other):
            yield Change(what=what, unit=unit, before=one, after=other)


def _figures(facts: Facts, grams: float | None) -> _Figures:
    box = " × ".join(f"{side:.2f}" for side in facts.size_mm)
    kind = "solid" if isinstance(facts, MeshFacts) else "drawing"
    own = _of_mesh(facts) if isinstance(facts, MeshFacts) else _of_drawing(facts)
    return {"kind": ("", kind), "box": ("mm", box), **own, "mass if solid": ("g", grams)}


def _of_mesh(facts: MeshFacts) -> _Figures:
    return {
        "volume": ("cm³", facts.volume_mm3 / 1000),
        "surface": ("cm²", facts.area_mm2 / 100),
        "triangles": ("", facts.triangles),
        "separate pieces": ("", facts.shells),
        "closed": ("", "yes" if facts.watertight else "no"),
    }


def _of_drawing(facts: DrawingFacts) -> _Figures:
    return {
        "area": ("cm²", facts.area_mm2 / 100),
        "cut length": ("mm", facts.cut_length_mm),
        "outlines": ("", facts.outlines),
        "holes": ("", facts.holes),
        "smallest hole": ("mm", facts.smallest_hole_mm),
    }


def _alike(one: float | str | None, other: float | str | None) -> bool:
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        return one == other
    return abs(one - other) <= _ALIKE * max(abs(one), abs(other))


def _told(found: Iterator[Change] | list[Change]) -> Difference:
    changes = tuple(found)
    if not changes:
        return Difference(changes=(), sentence="Its figures are the same as before.")
    words = "; ".join(map(str, changes))
    return Difference(changes=changes, sentence=f"{words[0].upper()}{words[1:]}.")


def _said(value: float | str | None) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:,.2f}".rstrip("0").rstrip(".")
