"""The door: real files become programs that both judges let pass; bad ones are refused in words."""

import hashlib
import json
import math
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from designs.design import Recipe
from designs.errors import DesignRefused, Severity
from designs.estimate import estimate
from designs.geometry.mesh import Mesh, mesh_facts, read_mesh, write_stl
from fablab_agents.prepare import (
    Prepared,
    PrepareRefused,
    beads,
    cutting,
    lastlook,
    prepare,
    printing,
    recipes,
    sheets,
    slicing,
)
from fablab_agents.prepare.order import Order, Printing, Solid, refusal, save
from fablab_agents.protocol.tickets import Manner
from tests.fablab_agents.prepare.tee import tee

PRINT, MILL, LASER = "3d_printing_fdm", "cnc_milling", "laser_cutting"
# Real parts of open projects, where they lie beside this checkout.
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "designs"
MakeOrder = Callable[..., Order]


def words(refused: pytest.ExceptionInfo[PrepareRefused]) -> str:
    return " | ".join(map(str, refused.value.findings))


def placement(made: Prepared) -> dict[str, float]:
    (copy,) = json.loads(made.placement.read_text())["copies"]
    return copy


# ── as the designer asks ─────────────────────────────────────────────────────────────────────


def heights(made: Prepared) -> list[float]:
    """Of each layer, in mm: where the program goes up before it lays something down."""
    z, laid = 0.0, set[float]()
    for line in made.program.read_text().splitlines():
        z = float(found[1]) if (found := re.search(r"\bZ([0-9.]+)", line)) else z
        if re.match(r"G1 X\S+ Y\S+ E[0-9.]", line):
            laid.add(round(z, 3))
    return sorted(laid)


@pytest.mark.usefixtures("slicer")
def test_a_locked_recipe_is_kept_to_the_layer(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder
) -> None:
    file = box_stl(20, 20, 5)
    locked = Manner(locked=True, layer_mm=0.15, walls=4, infill_pct=100)
    made = prepare(order(file, PRINT, "pla", manner=locked, quality="draft"), tmp_path / "locked")
    steps = {round(b - a, 3) for a, b in pairwise(heights(made)[1:])}
    assert steps == {0.15}
    solid_g = 20 * 20 * 5 / 1000 * 1.24
    assert made.grams == pytest.approx(solid_g, rel=0.1)
    usual = prepare(order(file, PRINT, "pla"), tmp_path / "usual")
    assert usual.grams < 0.75 * made.grams
    assert usual.sha256 != made.sha256


@pytest.mark.usefixtures("slicer")
def test_advice_is_followed_where_it_can_be_and_said_where_not(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder
) -> None:
    advice = Manner(layer_mm=1.0, walls=5, material_grade="food")
    file = box_stl(20, 20, 5)
    made = prepare(order(file, PRINT, "pla", manner=advice), tmp_path / "advised")
    told = " ".join(f.what for f in made.findings)
    assert "layers of 1 mm" in told
    assert "'food'" in told
    usual = prepare(order(file, PRINT, "pla"), tmp_path / "usual")
    assert made.grams > usual.grams
    draft = order(file, PRINT, "pla", quality="draft")
    quick = prepare(draft, tmp_path / "draft")
    as_quick = prepare(replace(draft, manner=advice), tmp_path / "advised draft")
    assert quick.sha256 == as_quick.sha256


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"layer_mm": 0.5}, "not for a nozzle of 0.4 mm"),
        ({"material_grade": "medical"}, "'medical'"),
    ],
)
@pytest.mark.usefixtures("slicer")
def test_a_locked_recipe_that_cannot_be_kept_refuses_the_part(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder, wish: dict[str, Any], says: str
) -> None:
    locked = Manner(locked=True, **wish)
    with pytest.raises(PrepareRefused) as refused:
        prepare(order(box_stl(20, 20, 5), PRINT, "pla", manner=locked), tmp_path / "out")
    assert says in words(refused)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.usefixtures("slicer")
def test_a_part_is_printed_in_the_pose_that_its_recipe_asks_for(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder
) -> None:
    upright = Manner(locked=True, orientation_deg=(0, 90, 0))
    made = prepare(order(box_stl(4, 12, 20), PRINT, "pla", manner=upright), tmp_path / "out")
    assert made.facts["layers"] == 20  # 4 mm, and not the 20 mm that it is high in its file
    assert made.facts["turned_deg"] == "0, 90, 0"
    too_tall = order(box_stl(300, 12, 4), PRINT, "pla", manner=upright)
    with pytest.raises(PrepareRefused) as refused:
        prepare(too_tall, tmp_path / "out")
    assert "300 mm tall" in words(refused)


@pytest.mark.usefixtures("slicer")
def test_a_part_stands_on_the_supports_that_its_recipe_asks_for(
    tmp_path: Path, order: MakeOrder
) -> None:
    file = tmp_path / "tee.stl"
    write_stl(Mesh(*tee()).turned((-90, 0, 0)), file)
    upright = Manner(locked=True, orientation_deg=(90, 0, 0), supports="from_bed")
    made = prepare(order(file, PRINT, "pla", manner=upright), tmp_path / "out")
    laid, support = (float(made.facts[name]) for name in ("deposited_mm3", "support_mm3"))
    assert 200 < support < 800  # of 1600 mm³ below the arms
    assert made.grams == pytest.approx(laid / 1000 * 1.24, rel=0.01)
    assert laid - support < 1760  # the part's own
    assert f"{support / 1000 * 1.24:.1f} g of what is printed are supports" in str(made.findings)
    text = made.program.read_text()
    assert text.count(beads.SUPPORT) > 10
    unmarked = text.replace(beads.SUPPORT, ";")
    want = Printing(layer_mm=0.2, first_layer_mm=0.24, filament_mm=1.75, temperatures_c=frozenset())
    solid = Mesh(*tee()).moved(110, 110, 0).triangles
    for program, says in ((unmarked, "off the part's outline"), (text, "nobody ordered")):
        assert says in str(lastlook.look(program, solid, want)[0])


def test_supports_that_are_advice_are_left_out_where_they_cannot_be_made(
    tmp_path: Path, order: MakeOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def best(work: printing._Work) -> str:
        if work.config["support_material"] == "1":
            raise PrepareRefused([refusal("height 3 mm", "it lies wrong", "do not")])
        return "plain"

    monkeypatch.setattr(printing, "_best", best)
    solid = Solid(size_mm=(1, 1, 1), moved_mm=(0, 0, 0), findings=())
    plain = order(tmp_path / "part.stl", PRINT, "pla")
    work = printing._Work(
        plain, slicing.Slicer("", ""), solid, tmp_path, tmp_path, {"support_material": "1"}
    )
    made, (told,) = printing._as_advised(work, locked=False)
    assert (made, told.severity) == ("plain", Severity.NOTE)
    assert "it lies wrong" in told.what
    with pytest.raises(PrepareRefused):
        printing._as_advised(work, locked=True)


RECIPES = [
    Recipe(walls=4, infill_pct=40), Recipe(layer_mm=0.12), Recipe(layer_mm=0.3, walls=3),
    Recipe(infill_pct=100), Recipe(walls=1, infill_pct=5),
]  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.usefixtures("slicer")
def test_the_quote_of_a_recipe_is_near_its_program(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder, recipe: Recipe
) -> None:
    file = box_stl(30, 30, 30)
    manner = Manner.model_validate(recipe.model_dump(mode="json"))
    made = prepare(order(file, PRINT, "pla", manner=manner), tmp_path / "out")
    facts = mesh_facts(read_mesh(file, "stl"))
    told = estimate(facts, PRINT, "pla", "fdm-220", recipe=recipe)
    running_s = made.seconds - recipes.filament("pla").heating_s
    # A program that takes a fifth longer than its quote is not started: rather too long than that.
    assert 0.85 < told.minutes_p50 * 60 / running_s < 1.4
    assert 0.8 < told.grams_p50 / made.grams < 1.25


def test_a_locked_recipe_of_a_sheet_is_not_passed_over(
    tmp_path: Path, plate_svg: Path, order: MakeOrder
) -> None:
    for wish, says in (({"material_grade": "birch BB"}, "'birch BB'"), ({"walls": 3}, "a sheet")):
        asked = order(
            plate_svg, LASER, "plywood", thickness_mm=3.0, manner=Manner(locked=True, **wish)
        )
        with pytest.raises(PrepareRefused) as refused:
            prepare(asked, tmp_path / "out")
        assert says in words(refused)
        advised = replace(asked, manner=Manner(**wish))
        assert any(says in f.what for f in prepare(advised, tmp_path / "advised").findings)


# ── printed ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("slicer")
def test_a_box_is_printed_in_the_middle_of_the_bed(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder
) -> None:
    file = box_stl(20, 10, 4, at=(-300, 40, -2))
    made = prepare(order(file, PRINT, "pla"), tmp_path / "out")
    data = made.program.read_bytes()
    assert made.sha256 == hashlib.sha256(data).hexdigest()
    assert made.lines == data.count(b"\n")
    assert placement(made) == {"dx_mm": 400, "dy_mm": 65, "dz_mm": 2, "rotation_deg": 0}
    assert 0.3 < made.grams < 1.3
    assert made.seconds > 60
    assert made.facts["layers"] == 20
    assert str(tmp_path) not in data.decode()


@pytest.mark.usefixtures("slicer")
def test_the_same_order_gives_the_same_bytes_and_is_kept(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder
) -> None:
    once = order(box_stl(12, 12, 3), PRINT, "petg", cache=tmp_path / "cache")
    first = prepare(once, tmp_path / "a")
    again = prepare(replace(once, cache=None), tmp_path / "b")
    kept = prepare(once, tmp_path / "c")
    assert first.program.read_bytes() == again.program.read_bytes() == kept.program.read_bytes()
    assert kept == replace(first, program=kept.program, placement=kept.placement)
    hotter = prepare(replace(once, material="abs"), tmp_path / "d")
    assert hotter.sha256 != first.sha256


@pytest.mark.usefixtures("slicer")
def test_a_kept_program_that_was_touched_is_made_again(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder
) -> None:
    once = order(box_stl(12, 12, 3), PRINT, "pla", cache=tmp_path / "cache")
    first = prepare(once, tmp_path / "a")
    (kept,) = (tmp_path / "cache").glob("*/program.gcode")
    kept.write_text("M104 S999\n")
    assert prepare(once, tmp_path / "b").sha256 == first.sha256
    assert kept.read_bytes() == first.program.read_bytes()


@pytest.mark.usefixtures("slicer")
def test_commands_hidden_in_a_3mf_neither_run_nor_reach_the_program(
    tmp_path: Path, order: MakeOrder
) -> None:
    witness = tmp_path / "witness"
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\ntouch {witness}\n")
    script.chmod(0o755)
    hostile = tmp_path / "hostile.3mf"
    hidden = f"; post_process = {script}\n; start_gcode = M104 S999\n; end_gcode = M500\n"
    write_3mf(hostile, hidden)
    made = prepare(order(hostile, PRINT, "pla"), tmp_path / "out")
    program = made.program.read_text()
    assert not witness.exists()
    assert "S999" not in program
    assert "M500" not in program


@pytest.mark.usefixtures("slicer")
def test_a_part_taller_than_the_printer_is_refused_in_words(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder
) -> None:
    with pytest.raises(PrepareRefused) as refused:
        prepare(order(box_stl(20, 20, 295), PRINT, "pla"), tmp_path / "out")
    assert "the part is 295 mm tall; this printer's limit is 250 mm" in words(refused)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("slicer")
def test_a_wall_thinner_than_the_nozzle_is_not_left_out_in_silence(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder
) -> None:
    plate = box_stl(20, 10, 1).read_text().replace("endsolid box\n", "")
    wall = box_stl(20, 0.1, 5, at=(0, -5, 0)).read_text().replace("solid box\n", "", 1)
    file = tmp_path / "both.stl"
    file.write_text(plate + wall)
    with pytest.raises(PrepareRefused) as refused:
        prepare(order(file, PRINT, "pla"), tmp_path / "out")
    assert "thicken walls thinner than 0.5 mm" in words(refused)


@pytest.mark.usefixtures("slicer")
def test_a_thin_wall_is_printed_as_one_line(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder
) -> None:
    plate = box_stl(20, 10, 4).read_text().replace("endsolid box\n", "")
    wall = box_stl(0.42, 12, 4, at=(10, 9.5, 0)).read_text().replace("solid box\n", "", 1)
    file = tmp_path / "both.stl"
    file.write_text(plate + wall)
    made = prepare(order(file, PRINT, "pla"), tmp_path / "out")
    assert not [f for f in made.findings if "lost" in f.what]


@pytest.mark.usefixtures("slicer")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:84] + struct.pack("<12f", 0, 0, 1, *([math.nan] * 9)) + data[132:],
        lambda data: data[:84] + struct.pack("<12f", 0, 0, 1, *([1e30] * 9)) + data[132:],
        lambda data: data[:80] + struct.pack("<I", 2**32 - 1) + data[84:],
        lambda _: b"",
        lambda _: b"PK\x03\x04 no zip at all",
    ],
    ids=["cut off", "NaN", "huge", "count lies", "empty", "not a zip"],
)
def test_broken_solids_are_refused_with_what_to_do(
    tmp_path: Path, order: MakeOrder, spoil: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "part.stl"
    file.write_bytes(spoil(binary_box()))
    with pytest.raises(PrepareRefused) as refused:
        prepare(order(file, PRINT, "pla"), tmp_path / "out")
    (finding,) = refused.value.findings
    assert finding.what
    assert finding.do
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("slicer")
def test_unknown_filament_and_quality_are_refused(
    tmp_path: Path, box_stl: Callable[..., Path], order: MakeOrder
) -> None:
    plain = order(box_stl(10, 10, 3), PRINT, "pla")
    with pytest.raises(PrepareRefused, match="nothing is known about how 'butter' is printed"):
        prepare(replace(plain, material="butter"), tmp_path / "out")
    with pytest.raises(PrepareRefused, match="not a print quality"):
        prepare(replace(plain, quality="golden"), tmp_path / "out")


# ── milled and cut ───────────────────────────────────────────────────────────────────────────


def test_a_plate_is_milled(tmp_path: Path, plate_svg: Path, order: MakeOrder) -> None:
    made = prepare(order(plate_svg, MILL, "plywood", thickness_mm=6), tmp_path / "out")
    lines = made.program.read_text().splitlines()
    assert max(map(len, lines)) <= 79
    assert lines[0] == "(cosmolocal thing)"
    assert "M3 S10000" in lines
    assert lines[-1] == "M2"
    assert min(float(w[1:]) for line in lines for w in line.split() if w[0] == "Z") == -6.2
    # The cutter's own width and a margin stay free at the edge of the travel.
    assert placement(made)["dx_mm"] == pytest.approx(1 + 3.175, abs=1e-6)
    assert made.grams == pytest.approx(14, abs=1.5)
    assert [f.severity for f in made.findings if f.where == "set-up"] == [Severity.NOTE]


def test_a_plate_is_cut_by_the_laser(tmp_path: Path, plate_svg: Path, order: MakeOrder) -> None:
    made = prepare(order(plate_svg, LASER, "acrylic", thickness_mm=3), tmp_path / "out")
    lines = made.program.read_text().splitlines()
    assert "M4 S0" in lines
    assert not any(line.startswith("M3") for line in lines)
    assert all("S0" in line for line in lines if line.startswith("G0") and line != "G0 X0 Y0")
    assert lines[-3:] == ["M5 S0", "G0 X0 Y0", "M2"]


@pytest.mark.parametrize(
    ("process", "others", "said"),
    [
        (MILL, {}, "needs the thickness"),
        (MILL, {"thickness_mm": -6}, "needs the thickness"),
        (MILL, {"thickness_mm": 18}, "deeper than this mill reaches: 14.8 mm"),
        (MILL, {"thickness_mm": 6, "tool_mm": 6}, "too small for the 6 mm cutter"),
        (MILL, {"thickness_mm": 6, "material": "granite"}, "nothing is known"),
        (LASER, {"thickness_mm": 30}, "too thick for a laser"),
        (LASER, {"thickness_mm": 3, "material": "pvc"}, "hydrogen chloride"),
        (LASER, {"thickness_mm": 3, "material": "refused"}, "nothing is known"),
        (MILL, {"thickness_mm": 6, "quantity": 2}, "2 copies"),
        (MILL, {"thickness_mm": 6, "process": LASER}, "is not what"),
        (MILL, {"thickness_mm": 6, "process": "welding"}, "unknown"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    tmp_path: Path, plate_svg: Path, order: MakeOrder, process: str, others: dict, said: str
) -> None:
    plain = order(plate_svg, process, "plywood")
    with pytest.raises(PrepareRefused) as refused:
        prepare(replace(plain, **others), tmp_path / "out")
    assert said in words(refused)


def test_a_sheet_part_larger_than_the_machine_is_refused_and_turned_when_that_helps(
    tmp_path: Path, order: MakeOrder
) -> None:
    tall = plain_plate(tmp_path, 100, 200)
    made = prepare(order(tall, MILL, "plywood", thickness_mm=6), tmp_path / "a")
    assert placement(made)["rotation_deg"] == 90
    large = plain_plate(tmp_path, 200, 200)
    with pytest.raises(PrepareRefused, match=r"it is 200\.0 x 200\.0 mm"):
        prepare(order(large, MILL, "plywood", thickness_mm=6), tmp_path / "b")


def test_the_same_drawing_gives_the_same_bytes(
    tmp_path: Path, plate_svg: Path, order: MakeOrder
) -> None:
    once = order(plate_svg, MILL, "plywood", thickness_mm=6)
    assert prepare(once, tmp_path / "a").sha256 == prepare(once, tmp_path / "b").sha256


def test_a_full_disk_is_said_plainly() -> None:
    with pytest.raises(PrepareRefused, match="No space left on device"):
        save(Path("/dev/full"), "G21\n")


# ── other people's files ─────────────────────────────────────────────────────────────────────


def shared_drawings() -> list[Path]:
    return sorted(p for p in SHARED.glob("*/*") if p.suffix.lower() in {".dxf", ".svg"})


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs other people's designs in {SHARED}")
def test_every_shared_drawing_that_can_be_read_is_milled_and_cut(
    tmp_path: Path, order: MakeOrder
) -> None:
    made = 0
    for file in shared_drawings():
        for process, material in ((MILL, "plywood"), (LASER, "plywood")):
            try:
                asked = order(file, process, material, thickness_mm=5)
                sheets.make(cutting.sheet(asked, tmp_path / "program").model_dump_json())
                made += 1
            except DesignRefused as refused:
                said = " ".join(map(str, refused.findings))
                assert any(w in said for w in ("meet nothing", "too small for", "limit is")), said
    assert made >= 12


# ── making files ─────────────────────────────────────────────────────────────────────────────


def plain_plate(folder: Path, x: float, y: float) -> Path:
    path = folder / f"{x}x{y}.svg"
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{x}mm" height="{y}mm" '
        f'viewBox="0 0 {x} {y}"><rect width="{x}" height="{y}"/></svg>'
    )
    return path


CORNERS = [(x, y, z) for z in (0, 20) for y in (0, 20) for x in (0, 20)]
FACES = [
    (0, 2, 1), (1, 2, 3), (4, 5, 6), (5, 7, 6), (0, 1, 4), (1, 5, 4),
    (2, 6, 3), (3, 6, 7), (0, 4, 2), (2, 4, 6), (1, 3, 5), (3, 7, 5),
]  # fmt: skip


def binary_box() -> bytes:
    rows = [
        struct.pack("<12fH", 0, 0, 0, *(v for i in face for v in CORNERS[i]), 0) for face in FACES
    ]
    return bytes(80) + struct.pack("<I", len(rows)) + b"".join(rows)


def write_3mf(path: Path, hidden: str) -> None:
    points = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in CORNERS)
    faces = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in FACES)
    model = (
        '<?xml version="1.0" encoding="UTF-8"?><model unit="millimeter" '
        'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02"><resources>'
        f'<object id="1" type="model"><mesh><vertices>{points}</vertices>'
        f"<triangles>{faces}</triangles></mesh></object></resources>"
        '<build><item objectid="1"/></build></model>'
    )
    types = (
        '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
        'content-types"><Default Extension="model" ContentType="application/vnd.ms-package.'
        '3dmanufacturing-3dmodel+xml"/><Default Extension="rels" ContentType="application/vnd.'
        'openxmlformats-package.relationships+xml"/></Types>'
    )
    rels = (
        '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/'
        '2006/relationships"><Relationship Target="/3D/3dmodel.model" Id="r" Type="http://schemas.'
        'microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
    )
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("[Content_Types].xml", types)
        package.writestr("_rels/.rels", rels)
        package.writestr("3D/3dmodel.model", model)
        package.writestr("Metadata/Slic3r_PE.config", hidden)
