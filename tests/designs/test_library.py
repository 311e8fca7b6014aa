"""Our own designs: what they promise in their manifests, held against what is built."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from functools import cache

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely import Polygon

from designs import licences, okh
from designs.design import Check, DrawingFacts
from designs.errors import DesignRefused, Severity
from designs.geometry.drawing import drawing_facts, read_drawing
from designs.geometry.mesh import mesh_facts, read_mesh
from designs.inspect import examine
from designs.library import build, slugs, wishes
from designs.library.__main__ import main
from designs.library.assembly import Piece, clashes, quantities
from designs.library.built import HERE, look, refuse, source
from designs.processes import FDM, LASER, MILL, find_material, find_process
from fablab_agents.prepare import prepare
from tests.designs.measured import MEASURES, cut, hole_at
from tests.designs.prepared import order_of

pytest.importorskip("manifold3d", reason="the `library` dependency group is not installed")

ROOM = {FDM: (210, 210, 240), MILL: (290, 170), LASER: (390, 390)}
"""What the shipped machines hold, less a margin for the cutter and a first line around a print."""
ASSEMBLED = tuple(slug for slug in slugs() if source(slug).steps)
TEXTS = {"okh.toml", "make.py", "instructions.md", "parameters.json", "bom.csv", "picture.png"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Every design's folder, and the processor's seconds that all of them took."""
    began = time.process_time()
    folders = {slug: build(slug, tmp_path_factory.mktemp(slug)) for slug in slugs()}
    return folders, time.process_time() - began


@cache
def manifest(slug):
    home = HERE / slug.replace("-", "_")
    return okh.read((home / "okh.toml").read_bytes(), "okh.toml")


def entries(slug):
    return {entry.name: entry for entry in manifest(slug).parts}


PARTS = [(slug, name) for slug in slugs() for name in entries(slug)]


def wished(slug):
    """Parameters anywhere within their bounds, the ends more often than by chance."""
    design = source(slug)
    fields = {
        each.name: st.integers(int(each.least), int(each.most))
        if each.whole
        else st.floats(each.least, each.most).map(lambda v: round(v, 2))
        for each in wishes(slug)
    }
    return st.fixed_dictionaries(fields).map(lambda values: design.wishes(**values))


def hashes(folder) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}


def fits(shape, process) -> bool:
    if isinstance(shape, Polygon):
        left, low, right, high = shape.bounds
        size = (right - left, high - low)
    else:
        box = shape.bounding_box()
        size = tuple(box[i + 3] - box[i] for i in range(3))
    return all(s <= most for s, most in zip(size, ROOM[process], strict=True))


# ── what there is ───────────────────────────────────────────────────────────────────────────


def test_there_are_designs_for_every_process_and_two_for_all_three():
    processes = [{e.process for e in manifest(slug).parts} for slug in slugs()]
    assert len(processes) >= 16
    assert sum({FDM, MILL, LASER} == each for each in processes) >= 2
    for process in (FDM, MILL, LASER):
        assert sum({process} == each for each in processes) >= 1


@pytest.mark.parametrize("slug", slugs())
def test_a_manifest_says_all_that_open_know_how_asks_for(slug):
    read = manifest(slug)
    assert read.missing == ()
    assert read.dialect == "2.4"
    assert read.language == "en"
    assert licences.judge(read.licence, licences.Act.LIST).allowed
    assert licences.judge(read.licence, licences.Act.MAKE_PAID).allowed
    for entry in read.parts:
        process, material = find_process(entry.process or ""), find_material(entry.material or "")
        assert process is not None
        assert material is not None
        assert process.id in material.processes
        assert (entry.thickness_mm is None) == (process.id == FDM)
        assert entry.tolerance_mm
        assert entry.recipe is not None
        assert entry.inspection


@pytest.mark.parametrize("slug", slugs())
def test_nothing_can_be_said_against_a_manifest(slug, built):
    folder = built[0][slug]
    data = (folder / "okh.toml").read_bytes()
    report = okh.lint(data, "okh.toml", lambda path: (folder / path).exists())
    assert report.remarks == ()
    read = okh.read(data, "okh.toml")
    assert read.contributors
    assert read.first_article == (slug in {"chain-gauge", "tool-board", "tyre-lever"})
    assert okh.read(okh.write(read).encode(), "okh.toml") == read


@pytest.mark.parametrize("slug", slugs())
def test_instructions_say_what_for_what_not_and_how_it_ends(slug, built):
    folder = built[0][slug]
    text = (folder / "instructions.md").read_text()
    for words in ("**Not for**", "## Make", "Care and repair", "## At the end"):
        assert words in text or (words == "**Not for**" and "not" in text.lower()), words
    shown = {f.name for f in folder.glob("step-*.png")}
    assert {name for name in shown if name in text} == shown
    assert {f.name for f in folder.iterdir()} >= TEXTS


def test_who_could_be_hurt_is_told_that_it_is_no_medical_device():
    for slug in ("tube_rack", "ear_saver"):
        text = (HERE / slug / "instructions.md").read_text()
        assert "not a certified medical" in text


def test_the_list_of_things_counts_what_the_manifest_counts(built):
    for slug, folder in built[0].items():
        rows = list(csv.DictReader((folder / "bom.csv").read_text().splitlines()))
        made = [int(row["quantity"]) for row in rows if row["kind"] == "made"]
        assert made == [entry.quantity for entry in manifest(slug).parts]
        assert sum(row["kind"] == "bought" for row in rows) == len(manifest(slug).bought)


# ── the same, and in time ───────────────────────────────────────────────────────────────────


def test_the_same_source_gives_the_same_bytes_on_one_core_in_twenty_seconds(built, tmp_path):
    folders, seconds = built
    assert seconds < 20
    subprocess.run(
        [sys.executable, "-m", "designs.library", "build", str(tmp_path)],
        check=True,
        env={"PYTHONHASHSEED": "7", "PATH": ""},
        stdout=subprocess.DEVNULL,
    )
    again = {f.name: hashes(f) for f in tmp_path.iterdir()}
    assert again == {slug: hashes(folder) for slug, folder in folders.items()}


# ── geometry ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("slug", slugs())
def test_every_file_is_one_sound_piece_that_fits_its_machine(slug, built):
    for name, entry in entries(slug).items():
        file = built[0][slug] / str(entry.file)
        kind = file.suffix[1:]
        if kind == "stl":
            facts = mesh_facts(read_mesh(file, kind))
            assert facts.watertight, name
            assert facts.shells == 1, name
        else:
            facts = drawing_facts(read_drawing(file, kind))
            assert isinstance(facts, DrawingFacts)
            assert facts.outlines == 1, name
        most = ROOM[str(entry.process)]
        assert all(s <= m for s, m in zip(facts.size_mm, most, strict=True)), name


@pytest.mark.parametrize(
    ("slug", "name"), [("knob", "knob"), ("tool-board", "key-block"), ("chain-gauge", "gauge")]
)
def test_publishing_finds_nothing_to_warn_of(slug, name, built, tmp_path):
    entry = entries(slug)[name]
    file = built[0][slug] / str(entry.file)
    seen = examine(
        str(file),
        file.suffix[1:],
        str(entry.process),
        str(entry.material),
        entry.thickness_mm,
        str(tmp_path),
    )
    assert [f for f in seen["findings"] if f["severity"] != Severity.NOTE] == []


@pytest.mark.parametrize(("slug", "name"), PARTS)
def test_an_inspection_plan_is_true_of_the_part_that_is_built(slug, name):
    design = source(slug)
    wish = design.wishes()
    shape = design.parts(wish)[name]
    plan = [check for check in entries(slug)[name].inspection if check.kind == "dimension"]
    assert {check.what for check in plan} == set(design.stated(wish)[name]) - {"quantity"}
    for check in plan:
        found = MEASURES[slug, name, check.what](shape, wish)
        assert found == pytest.approx(check.nominal_mm, abs=0.05), check.what
        assert _within(check, found)


def _within(check: Check, found_mm: float) -> bool:
    assert check.nominal_mm is not None
    assert check.minus_mm is not None
    assert check.plus_mm is not None
    return check.nominal_mm - check.minus_mm <= found_mm <= check.nominal_mm + check.plus_mm


@pytest.mark.parametrize("slug", slugs())
@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_whatever_is_wished_within_bounds_can_be_made_and_is_as_stated(slug, data):
    design = source(slug)
    wish = data.draw(wished(slug))
    stated, shapes = design.stated(wish), design.parts(wish)
    for name, entry in entries(slug).items():
        refuse(look(entry, shapes[name]))
        assert fits(shapes[name], entry.process), name
        for what, nominal in stated[name].items():
            if what != "quantity":
                found = MEASURES[slug, name, what](shapes[name], wish)
                assert found == pytest.approx(nominal, abs=0.06), (name, what)
    if design.steps:
        steps = design.steps(wish)
        assert clashes(steps) == []
        wanted = {
            name: stated[name].get("quantity", e.quantity) for name, e in entries(slug).items()
        }
        assert quantities(steps) == wanted


def _extremes(slug):
    low = {each.name: each.least for each in wishes(slug)}
    high = {each.name: each.most for each in wishes(slug)}
    return low, high


@pytest.mark.parametrize("slug", slugs())
def test_the_ends_of_the_bounds_can_be_made(slug):
    design = source(slug)
    for values in _extremes(slug):
        wish = design.wishes(**values)
        shapes = design.parts(wish)
        for name, entry in entries(slug).items():
            refuse(look(entry, shapes[name]))
            assert fits(shapes[name], entry.process), name
        if design.steps:
            assert clashes(design.steps(wish)) == []


# ── assemblies ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("slug", ASSEMBLED)
def test_each_step_can_be_done_and_nothing_is_in_the_way(slug):
    design = source(slug)
    steps = design.steps(design.wishes())
    assert clashes(steps) == []
    for number, step in enumerate(steps):
        for share in (0.02, 0.1, 0.3, 0.6, 1):
            moving = tuple(_moved(piece, share) for piece in step)
            assert clashes((*steps[:number], moving)) == [], (number, share)


def _moved(piece: Piece, share: float) -> Piece:
    return Piece(piece.part, piece.body.translate([share * step for step in piece.comes_from]))


def test_two_things_in_one_place_are_seen():
    design = source("lantern")
    base, posts, screens = design.steps(design.wishes())
    askew = tuple(Piece(p.part, p.body.translate((0.5, 0.5, 0))) for p in posts)
    assert {(c.one, c.other) for c in clashes((base, askew, screens))} == {
        ("base", "post"),
        ("post", "screen"),
    }


def test_the_lantern_fits_together():
    design = source("lantern")
    steps = design.steps(design.wishes())
    base, posts, screens = ([piece.body for piece in step] for step in steps)
    for post in posts:
        in_base = shapely.distance(cut(base[0], 3), cut(post, 3))
        assert 0.1 <= in_base <= 0.2  # a peg enters by hand
        assert cut(post, 3).area > 40
    grooves = shapely.union_all([cut(post, 15) for post in posts])
    for screen in screens:
        gap = shapely.distance(grooves, cut(screen, 15))
        assert 0.1 <= gap <= 0.35
    held = shapely.union_all([cut(screen, 15) for screen in screens])
    assert shapely.union_all([grooves.convex_hull]).contains(held)


def test_a_hook_goes_through_its_label_into_the_board():
    design = source("tool-board")
    shapes = design.parts(design.wishes())
    tongue = cut(shapes["hook"].rotate((0, 90, 0)), 4)  # across the tongue, behind the plate
    width, height = sorted((s[0] for s in _box(tongue)), reverse=True)
    board, label = shapes["board"], shapes["label-drop"]
    assert (width, height) == pytest.approx((12, 5.8), abs=0.05)
    assert hole_at(label, 0, 37) == pytest.approx((width + 0.4, height + 0.4), abs=0.05)
    slot = Polygon(next(r for r in board.interiors if Polygon(r).contains(shapely.Point(28, 47))))
    assert slot.buffer(-0.05).contains(shapely.box(28 - 6, 47 - 2.9, 28 + 6, 47 + 2.9))
    assert hole_at(board, 28, 32) == pytest.approx(hole_at(label, 0, 22), abs=0.01)


def _box(region):
    left, low, right, high = region.bounds
    return (right - left,), (high - low,)


def test_slots_that_cross_leave_room_for_the_sheet_and_no_more():
    for slug in ("drawer-divider", "phone-stand", "tube-rack"):
        design = source(slug)
        wish = design.wishes()
        slots = [v for s in design.stated(wish).values() for k, v in s.items() if "Slot" in k]
        assert slots
        assert all(0.05 <= slot - wish.sheet_mm <= 0.2 for slot in slots)


# ── wishes ──────────────────────────────────────────────────────────────────────────────────


def test_a_wish_changes_files_manifest_and_version(tmp_path, built):
    usual = built[0]["drawer-divider"]
    out = build("drawer-divider", tmp_path / "wide", length_mm="200", columns=5)
    read = okh.read((out / "okh.toml").read_bytes(), "okh.toml")
    long, short = read.parts
    assert read.version is not None
    assert read.version.startswith("1.1.0+as-wished.")
    assert (long.quantity, short.quantity) == (2, 4)
    assert next(c.nominal_mm for c in long.inspection if c.what == "Length") == 200
    facts = drawing_facts(read_drawing(out / "long-wall.svg", "svg"))
    assert facts.size_mm[0] == pytest.approx(200)
    told = {
        each["name"]: each["built"] for each in json.loads((out / "parameters.json").read_text())
    }
    assert (told["length_mm"], told["columns"], told["rows"]) == (200, 5, 3)
    assert (out / "short-wall.svg").read_bytes() == (usual / "short-wall.svg").read_bytes()
    assert (out / "okh.toml").read_bytes() != (usual / "okh.toml").read_bytes()


@pytest.mark.parametrize(
    ("wish", "where", "do"),
    [
        ({"columns": "99"}, "columns", "from 2 to 7"),
        ({"columns": "2.5"}, "columns", "a whole number"),
        ({"length_mm": "nan"}, "length_mm", "from 100 to 380"),
        ({"length_mm": "-1e308"}, "length_mm", "from 100 to 380"),
        ({"length_mm": "wide"}, "length_mm", "a number"),
        ({"lenght_mm": "120"}, "lenght_mm", "Choose among length_mm"),
        ({"": ""}, "", "Choose among length_mm"),
    ],
)
def test_a_wish_out_of_bounds_is_refused_and_nothing_written(wish, where, do, tmp_path):
    with pytest.raises(DesignRefused) as refused:
        build("drawer-divider", tmp_path / "out", **wish)
    (finding,) = refused.value.findings
    assert where in finding.where
    assert do in finding.do
    assert not (tmp_path / "out").exists()


def test_what_could_not_be_made_is_refused():
    design = source("tool-rack")
    wish = design.wishes()
    board = design.parts(wish)["board"].difference(shapely.Point(60, 20).buffer(1))
    with pytest.raises(DesignRefused, match=r"narrower than a 3.175 mm cutter"):
        refuse(look(entries("tool-rack")["board"], board))
    halves = design.parts(wish)["bracket"]
    halves += halves.translate((100, 0, 0))
    with pytest.raises(DesignRefused, match="falls into 2 pieces"):
        refuse(look(entries("tool-rack")["bracket"], halves))


def test_an_unknown_design_is_named(tmp_path):
    with pytest.raises(KeyError, match="lantern"):
        build("spaceship", tmp_path)


def test_the_command_lists_shows_builds_and_refuses(tmp_path, capsys):
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == list(slugs())
    assert main(["show", "tube-rack"]) == 0
    assert "tube_mm" in capsys.readouterr().out
    out = str(tmp_path)
    assert main(["build", out, "knob", "--set", "face_mm=30", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [str(tmp_path / "knob")]
    assert main(["build", out, "knob", "--set", "face_mm=3000"]) == 1
    assert "from 22 to 50" in capsys.readouterr().err
    for wrong in (["build", out, "spaceship"], ["build", out, "--set", "a=1"]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2


# ── made by shipped machines ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("slug", "name"),
    [("tool-board", "spacer"), ("tool-board", "board"), ("tool-board", "label-wheel")],
)
def test_a_shipped_machine_takes_it(slug, name, built, tmp_path):
    """One part of each process of the assembly; all parts: `python -m tests.designs.prepared`."""
    entry = entries(slug)[name]
    if entry.process == FDM and shutil.which("prusa-slicer") is None:
        assert os.environ.get("CI") != "true", "CI skips nothing"
        pytest.skip("needs prusa-slicer")
    made = prepare(order_of(entry, built[0][slug]), tmp_path)
    assert [f for f in made.findings if f.severity is not Severity.NOTE] == []
    assert made.grams > 0
    assert made.seconds > 30
