import math
from itertools import pairwise
from pathlib import Path

import pytest
from shapely import Polygon

from designs.errors import Refused, Severity
from designs.geometry.drawing import as_svg, drawing_facts, read_drawing
from tests.designs.geometry.drawings import dxf, square, svg

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "designs"


def read(tmp_path, content: bytes, units=None):
    kind = "svg" if content.startswith(b"<") else "dxf"
    file = tmp_path / f"part.{kind}"
    file.write_bytes(content)
    return read_drawing(file, kind, units)


def facts(tmp_path, content: bytes, units=None):
    return drawing_facts(read(tmp_path, content, units))


def test_a_plate_with_a_hole_and_an_island_in_it(tmp_path):
    def draw(space):
        square(space)
        space.add_circle((50, 50), 30)
        square(space, 10, at=(45, 45))
        space.add_circle((50, 50), 2)

    found = facts(tmp_path, dxf(draw))
    assert found.size_mm == (100, 100)
    assert (found.outlines, found.holes) == (2, 2)
    assert found.area_mm2 == pytest.approx(10000 - math.pi * 900 + 100 - math.pi * 4, abs=1)
    assert found.cut_length_mm == pytest.approx(400 + 40 + math.pi * 64, abs=0.1)
    assert found.smallest_hole_mm == pytest.approx(4, abs=0.02)


def test_the_lower_left_corner_is_moved_to_zero(tmp_path):
    drawing = read(tmp_path, dxf(lambda space: square(space, at=(-500, 700))))
    assert drawing.regions[0].bounds == pytest.approx((0, 0, 100, 100))


def test_curves_stray_less_than_a_hundredth(tmp_path):
    def draw(space):
        space.add_circle((0, 0), 200)

    (circle,) = read(tmp_path, dxf(draw)).regions
    distances = [math.hypot(x - 200, y - 200) for x, y in circle.exterior.coords]
    assert max(abs(d - 200) for d in distances) < 0.01
    assert 200 - math.sqrt(circle.area / math.pi) < 0.01


def test_loose_lines_and_arcs_are_joined(tmp_path):
    def draw(space):
        space.add_line((0, 0), (50.02, 0))
        space.add_line((50, 20), (50, 0.01))
        space.add_arc((25, 20), 25, 0, 180)
        space.add_line((0, 20), (0, 0))

    found = facts(tmp_path, dxf(draw))
    assert (found.outlines, found.holes) == (1, 0)
    assert found.area_mm2 == pytest.approx(1000 + math.pi * 625 / 2, abs=2)


def test_bulges_splines_and_ellipses_are_curves(tmp_path):
    def draw(space):
        space.add_lwpolyline([(0, 0, 0, 0, 1), (40, 0, 0, 0, 1)], close=True)  # a circle
        space.add_ellipse((100, 0), (30, 0), 0.5)
        space.add_spline([(0, 100), (40, 140), (80, 100), (40, 60), (0, 100)])

    found = facts(tmp_path, dxf(draw))
    assert found.outlines == 3
    circle_and_ellipse = math.pi * 400 + math.pi * 30 * 15
    assert found.area_mm2 > circle_and_ellipse + 2000


def test_what_is_drawn_twice_is_cut_once(tmp_path):
    def draw(space):
        for _ in range(2):
            square(space)
            space.add_circle((50, 50), 5)
        space.add_line((0, 0), (100, 0))
        space.add_line((10, 100.05), (99, 100.05))

    drawing = read(tmp_path, dxf(draw))
    assert drawing_facts(drawing).cut_length_mm == pytest.approx(400 + 10 * math.pi, abs=0.1)
    assert "4 of them" in drawing.notes[0].where


def test_blocks_are_expanded_rows_and_columns_too(tmp_path):
    def blocks(document):
        block = document.blocks.new("HOLE")
        block.add_circle((0, 0), 2)
        outer = document.blocks.new("PAIR")
        outer.add_blockref("HOLE", (0, 0))
        outer.add_blockref("HOLE", (10, 0), dxfattribs={"xscale": 2, "yscale": 2})

    def draw(space):
        square(space)
        space.add_blockref("PAIR", (10, 80))
        grid = {"row_count": 3, "column_count": 4, "row_spacing": 10, "column_spacing": 10}
        space.add_blockref("HOLE", (20, 20), dxfattribs=grid)

    found = facts(tmp_path, dxf(draw, prepare=blocks))
    assert found.holes == 14
    assert found.smallest_hole_mm == pytest.approx(4, abs=0.02)


def test_hidden_layers_are_not_cut(tmp_path):
    def layers(document):
        document.layers.add("off").off()
        document.layers.add("frozen").freeze()

    def draw(space):
        square(space)
        for layer in ("off", "frozen", "Defpoints"):
            space.add_circle((50, 50), 5, dxfattribs={"layer": layer})

    assert facts(tmp_path, dxf(draw, prepare=layers)).holes == 0


def test_what_is_not_cut_of_a_dxf_is_said(tmp_path):
    def layers(document):
        document.layers.add("off").off()
        inner = document.blocks.new("INNER")
        inner.add_circle((50, 50), 5, dxfattribs={"layer": "off"})
        document.add_xref_def("/etc/other.dxf", "OTHER")

    def draw(space):
        square(space)
        space.add_circle((50, 50), 5, dxfattribs={"layer": "off"})
        space.add_circle((50, 50), 5, dxfattribs={"layer": "Defpoints"})
        space.add_point((1, 1))
        space.add_hatch().paths.add_polyline_path([(0, 0), (9, 0), (0, 9)])
        space.add_image(space.doc.add_image_def("a.png", (9, 9)), (0, 0), (9, 9))
        for block in ("INNER", "OTHER"):
            space.add_blockref(block, (0, 0))

    drawing = read(tmp_path, dxf(draw, prepare=layers))
    assert drawing_facts(drawing).holes == 0
    assert [(note.severity.value, note.where) for note in drawing.notes] == [
        ("warning", "1 pictures"),
        ("note", "1 point, 1 hatch"),
        ("warning", "blocks OTHER"),
        ("note", "2 hidden entities, on layers off"),
    ]


@pytest.mark.parametrize(
    ("draw", "leans"),
    [
        (lambda s: s.add_polyline3d([(0, 0, 0), (90, 0, 40), (90, 60, 40)], close=True), True),
        (lambda s: s.add_circle((0, 0, 0), 9, dxfattribs={"extrusion": (0, 1, 1)}), True),
        (lambda s: s.add_ellipse((0, 0), (30, 0, 9), 0.5), False),
        (lambda s: s.add_circle((0, 0, 7), 9), False),
        (lambda s: s.add_circle((0, 0, 7), 9, dxfattribs={"extrusion": (0, 0, -1)}), False),
        (lambda s: s.add_polyline3d([(0, 0, 5), (90, 0, 5), (90, 60, 5)], close=True), False),
    ],
)
def test_what_leans_in_space_is_warned_of(tmp_path, draw, leans):
    notes = read(tmp_path, dxf(draw)).notes
    assert [note.what[:18] for note in notes] == (["they lean in space"] if leans else [])


def at_one_height(space):
    space.add_circle((0, 0, -5), 9)
    space.add_circle((0, 0, 5), 19, dxfattribs={"extrusion": (0, 0, -1)})
    space.add_lwpolyline([(50, 0), (70, 0), (70, 9)], dxfattribs={"elevation": -5}, close=True)
    space.add_ellipse((90, 0, -5), (5, 0, 0), 0.5)
    space.add_line((0, 40, -5), (9, 40, -5))
    space.add_polyline3d([(9, 40, -5), (9, 49, -5), (0, 40, -5)])


def test_depths_that_nobody_cuts_are_warned_of(tmp_path):
    """A circle below the outline is how some draw a pocket."""
    assert read(tmp_path, dxf(at_one_height)).notes == ()
    (found,) = read(tmp_path, dxf(lambda s: (at_one_height(s), s.add_circle((0, 0), 4)))).notes
    assert (found.severity.value, found.where) == ("warning", "2 heights, z -5 to 0")


@pytest.mark.parametrize(("other", "severity"), [("2_Engraving", "warning"), ("Sketch1", "note")])
def test_layers_are_cut_alike_and_that_is_said(tmp_path, other, severity):
    def draw(space):
        square(space)
        space.add_circle((50, 50), 9, dxfattribs={"layer": other})

    (found,) = read(tmp_path, dxf(draw, prepare=lambda d: d.layers.add(other))).notes
    assert (found.severity.value, found.where) == (severity, f"2 layers: 0, {other}")
    assert "cut through" in found.what
    assert read(tmp_path, dxf(square)).notes == ()


def test_colours_are_cut_alike_and_that_is_said(tmp_path):
    outer = '<rect width="90" height="90" style="fill:none;stroke:#F00"/>'
    inner = '<g stroke="#00f"><rect x="9" y="9" width="9" height="9"/></g>'
    filled = '<rect x="30" y="9" width="9" height="9" fill="#000"/>'
    (found,) = read(tmp_path, svg(outer + inner + filled)).notes
    assert found.severity.value == "note"
    assert found.where == "3 colours of lines: #f00, #00f, filled only"
    assert read(tmp_path, svg(f'<g stroke="red">{outer}</g>')).notes == ()


@pytest.mark.parametrize(
    ("second", "where"),
    [
        ((100, 20, 160, 80), "1 place, one around x 100.00, y 50.00 mm"),  # a piece beside it
        ((0, 40, 10, 50), "1 place, one around x 0.00, y 45.00 mm"),  # a hole open to the edge
        ((100, 100, 160, 160), None),  # a corner that touches a corner
        ((100.5, 20, 160, 80), None),
    ],
)
def test_outlines_that_share_a_line_are_warned_of(tmp_path, second, where):
    def draw(space):
        square(space)
        x0, y0, x1, y1 = second
        space.add_lwpolyline([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], close=True)

    found = [n for n in read(tmp_path, dxf(draw)).notes if "share" in n.what]
    assert [(n.severity.value, n.where) for n in found] == ([("warning", where)] if where else [])


@pytest.mark.parametrize(
    ("header", "size", "units", "mm"),
    [
        (4, 100, None, 100),
        (0, 100, None, 100),
        (6, 100, None, 100),  # says metres, but 100 m is no part
        (1, 2, None, 50.8),  # 2 mm is no part, 2 inches are
        (6, 0.3, None, 300),
        (1, 100, None, 100),  # both are possible: millimetres, with a warning
        (1, 100, "in", 2540),
        (13, 90_000, None, 90),  # microns
        (9, 2000, None, 2000),  # mils, or millimetres
    ],
)
def test_the_unit_is_decided_by_what_makes_sense(tmp_path, header, size, units, mm):
    drawing = read(tmp_path, dxf(lambda space: square(space, size), units=header), units)
    assert drawing_facts(drawing).size_mm == pytest.approx((mm, mm))
    doubtful = header in {1, 6, 9} and units is None and mm == size
    assert [n.severity for n in drawing.notes] == ([Severity.WARNING] if doubtful else [])


def test_a_lone_scale_mark_outside_is_left_out_and_said(tmp_path):
    def draw(space):
        square(space)
        space.add_line((120, 0), (170, 0))

    drawing = read(tmp_path, dxf(draw))
    assert drawing_facts(drawing).size_mm == (100, 100)
    assert "scale mark" in drawing.notes[0].what


def open_square(space):
    space.add_lwpolyline([(0, 0), (100, 0), (100, 100), (0, 100)])


def slit(space):
    square(space)
    space.add_line((20, 50), (80, 50))


def two_strays(space):
    square(space)
    space.add_line((120, 0), (170, 0))
    space.add_line((170, 1), (170, 50))


def fork(space):
    for end in ((50, 0), (0, 50), (50, 50)):
        space.add_line((0, 0), end)
    space.add_lwpolyline([(50, 0), (50, 50), (0, 50)])


def crossing(space):
    square(space)
    square(space, at=(50, 50))


def bow_tie(space):
    space.add_lwpolyline([(0, 0), (100, 100), (100, 0), (0, 100)], close=True)


def bow_tie_of_lines(space):
    corners = [(0, 0), (100, 100), (100, 0), (0, 100), (0, 0)]
    for start, end in pairwise(corners):
        space.add_line(start, end)


def touching_at_a_corner(space):
    for x, y in ((0, 0), (50, 50)):
        corners = [(x, y), (x + 50, y), (x + 50, y + 50), (x, y + 50), (x, y)]
        for start, end in pairwise(corners):
            space.add_line(start, end)


def test_two_outlines_of_lines_may_touch_at_a_corner(tmp_path):
    assert len(read(tmp_path, dxf(touching_at_a_corner)).regions) == 2


def with_dimension(space):
    square(space)
    space.add_linear_dim(base=(0, -20), p1=(0, 0), p2=(100, 0)).render()


@pytest.mark.parametrize(
    ("draw", "what", "where"),
    [
        (open_square, "2 line ends meet nothing", "x 0.00, y 0.00 mm; x 0.00, y 100.00 mm"),
        (slit, "2 line ends", "x 20.00, y 50.00"),
        (two_strays, "4 line ends", "x 120.00, y 0.00"),
        (fork, "more than two lines meet", "x 0.00, y 0.00"),
        (crossing, "cross each other", "mm"),
        (bow_tie, "crosses itself", "x 50.00, y 50.00"),
        (bow_tie_of_lines, "crosses itself", "x 50.00, y 50.00"),
        (with_dimension, "drawing sheet", "model space"),
        (lambda space: space.add_text("hello"), "holds no lines", "the drawing, 1 texts"),
        (lambda space: space.add_point((1, 1)), "holds no lines", "drawing"),
        (lambda space: space.add_3dface([(0, 0), (1, 0), (1, 1)]), "3DFACE", "model space"),
        (lambda space: space.add_circle((0, 0), 1e300), "radius is no sensible", "CIRCLE"),
        (lambda space: space.add_circle((0, 0), 1e9), "radius is no sensible", "CIRCLE"),
        (lambda space: space.add_circle((0, 0), float("nan")), "radius is no", "CIRCLE"),
        (lambda space: space.add_line((0, 0), (float("inf"), 0)), "end is no", "LINE"),
        (
            lambda space: space.add_lwpolyline([(0, 0, 0, 0, 1e300), (1, 0)], close=True),
            "points is no",
            "LWPOLYLINE",
        ),
        (lambda space: square(space, 60_000), "mm large", "outermost"),
        (lambda space: space.add_circle((0, 0), 0.01), "0.0195 mm large", "outermost"),
    ],
)
def test_what_is_no_cut_file_is_refused_with_the_place(tmp_path, draw, what, where):
    with pytest.raises(Refused) as caught:
        read(tmp_path, dxf(draw))
    assert what in caught.value.what
    assert where in caught.value.where
    assert caught.value.do


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (dxf(square)[:-200], "no end mark"),
        (b"hello\nEOF\n", "cannot be read"),
        (b"AutoCAD Binary DXF\r\n\x1a\x00" + b"x" * 50, "binary DXF"),
        (b"", "no end mark"),
    ],
)
def test_what_is_no_dxf_is_refused(tmp_path, content, what):
    with pytest.raises(Refused, match=what):
        read(tmp_path, content)


def inserts(levels: int, copies: int):
    def prepare(document):
        document.blocks.new("B0").add_circle((0, 0), 1)
        for level in range(1, levels + 1):
            block = document.blocks.new(f"B{level}")
            for i in range(copies):
                block.add_blockref(f"B{level - 1}", (i, 0))

    return dxf(lambda space: space.add_blockref(f"B{levels}", (0, 0)), prepare=prepare)


def grid(rows: int):
    def prepare(document):
        document.blocks.new("B").add_circle((0, 0), 1)

    counts = {"row_count": rows, "column_count": rows, "row_spacing": 3, "column_spacing": 3}
    return dxf(lambda space: space.add_blockref("B", (0, 0), dxfattribs=counts), prepare=prepare)


def itself(document):
    document.blocks.new("B").add_blockref("B", (1, 1))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (inserts(7, 20), "expand to 1,280,000,000 entities"),
        (grid(10_000), "expand to 100,000,000 entities"),
        (dxf(lambda s: s.add_blockref("B", (0, 0)), prepare=itself), "cycle|contains itself"),
    ],
)
def test_expansion_is_counted_before_it_happens(tmp_path, content, what):
    with pytest.raises(Refused, match=what):
        read(tmp_path, content)


# ── SVG ──────────────────────────────────────────────────────────────────────────────────────

RECT = '<rect x="10" y="10" width="50" height="20"/>'


@pytest.mark.parametrize(
    ("head", "units", "width"),
    [
        ('width="200mm" height="100mm" viewBox="0 0 200 100"', None, 50),
        ('width="20cm" height="10cm" viewBox="0 0 2000 1000"', None, 5),
        ('width="96" height="96"', None, 50 * 25.4 / 96),
        ('width="1in" height="1in" viewBox="0 0 96 96"', None, 50 * 25.4 / 96),
        ('width="72pt" height="72pt" viewBox="0 0 50 50"', None, 25.4),
        ('viewBox="0 0 100 100"', None, 50 * 25.4 / 96),
        ('viewBox="0 0 100 100"', "mm", 50),
        ('width="100%" height="100%" viewBox="0 0 100 100"', None, 50 * 25.4 / 96),
    ],
)
def test_the_page_says_how_large_it_is(tmp_path, head, units, width):
    drawing = read(tmp_path, svg(RECT, head), units)
    assert drawing_facts(drawing).size_mm[0] == pytest.approx(width, abs=0.01)
    unsure = units is None and ("width" not in head or "%" in head)
    assert bool(drawing.notes) == unsure


@pytest.mark.parametrize(
    ("wrote", "says"),
    [
        ("<!-- Generator: Adobe Illustrator 24.0.1, SVG Export Plug-In -->", "1.333 times"),
        ("<!-- Generator: Something Else -->", ""),
    ],
)
def test_programs_that_count_other_dots_are_told(tmp_path, wrote, says):
    for head in ('width="200px" height="100px" viewBox="0 0 200 100"', 'viewBox="0 0 200 100"'):
        notes = read(tmp_path, wrote.encode() + svg(RECT, head)).notes
        assert says in "".join(note.what for note in notes)
    assert not read(tmp_path, wrote.encode() + svg(RECT)).notes


@pytest.mark.parametrize(("version", "told"), [("0.91 r13725", 1), ("0.48.4", 1), ("0.92.3", 0)])
def test_old_inkscape_counted_ninety(tmp_path, version, told):
    space = 'xmlns:i="http://www.inkscape.org/namespaces/inkscape"'
    notes = read(tmp_path, svg(RECT, f'{space} width="200" i:version="{version}"')).notes
    assert ["1.067 times as large" in note.what for note in notes] == [True] * told


@pytest.mark.parametrize(
    ("says", "left", "size"),
    [
        ("", 25, (50, 50)),
        ("xMinYMin", 0, (50, 50)),
        ("xMaxYMid meet", 50, (50, 50)),
        ("xMidYMax slice", 0, (100, 100)),
        ("none", 0, (100, 50)),
    ],
)
def test_what_is_fitted_lies_where_it_is_said(tmp_path, says, left, size):
    inner = f'viewBox="0 0 10 10" preserveAspectRatio="{says}"'
    square = '<rect width="10" height="10"/>'
    for body in (
        f'<svg width="100" height="50" {inner}>{square}</svg>',
        f'<symbol id="s" {inner}>{square}</symbol><use href="#s" width="100" height="50"/>',
    ):
        drawing = read(tmp_path, svg(body))
        assert drawing_facts(drawing).size_mm == pytest.approx(size)
        assert drawing.frame.corner_mm[0] == pytest.approx(left)
    page = f'width="100mm" height="50mm" {inner}'
    assert drawing_facts(read(tmp_path, svg(square, page))).size_mm == pytest.approx(size)


def test_shares_are_of_the_page_or_of_what_they_lie_in(tmp_path):
    body = (
        '<rect width="100%" height="100%"/><circle cx="25%" cy="50%" r="10"/>'
        '<svg x="50%" width="100" height="100" viewBox="0 0 10 10">'
        '<rect x="20%" y="20%" width="50%" height="50%"/></svg>'
    )
    found = facts(tmp_path, svg(body))
    assert found.size_mm == pytest.approx((200, 100))
    assert found.area_mm2 == pytest.approx(20000 - 100 * math.pi - 2500, abs=1)
    assert facts(tmp_path, svg('<circle cx="99" cy="50" r="10%"/>')).size_mm[0] == pytest.approx(
        0.2 * math.hypot(200, 100) / math.sqrt(2), abs=0.02
    )
    with pytest.raises(Refused, match="its width is no length"):
        read(tmp_path, svg('<rect width="50%" height="9"/>', ""))


def test_every_shape_is_an_outline(tmp_path):
    body = (
        RECT
        + '<rect x="70" y="10" width="50" height="20" rx="5"/>'
        + '<circle cx="20" cy="60" r="8"/><ellipse cx="50" cy="60" rx="12" ry="6"/>'
        + '<polygon points="80,50 100,50 90,70"/>'
        + '<polyline points="110,50 130,50 120,70 110,50"/>'
        + '<path d="M140 50 h20 v20 h-20 z m5 5 h5 v5 h-5 z"/>'
        + '<path d="M140 20 C 140 0 170 0 170 20 S 140 40 140 20 Z"/>'
        + '<path d="M180 20 A 8 8 0 1 1 180 36 A 8 8 0 1 1 180 20"/>'
    )
    found = facts(tmp_path, svg(body))
    assert (found.outlines, found.holes) == (9, 1)


def test_up_is_up(tmp_path):
    drawing = read(tmp_path, svg('<path d="M0 0 H40 V10 H10 V30 H0 Z"/>'))
    assert drawing.regions[0].contains(Polygon([(1, 1), (9, 1), (9, 29), (1, 29)]))
    assert not drawing.regions[0].contains(Polygon([(20, 1), (30, 1), (30, 9), (20, 9)]))


def test_transforms_groups_use_and_symbols(tmp_path):
    body = (
        '<defs><rect id="r" width="10" height="5"/>'
        '<symbol id="s" viewBox="0 0 1 1"><rect width="1" height="1"/></symbol></defs>'
        '<g transform="translate(10 10) scale(2)"><use href="#r"/>'
        '<use xlink:href="#r" x="20" y="5" transform="rotate(90)"/></g>'
        '<use href="#s" x="100" y="50" width="20" height="20"/>'
    )
    drawing = read(tmp_path, svg(body))
    assert sorted(round(r.area) for r in drawing.regions) == [200, 200, 400]


def test_hidden_shapes_are_not_cut_and_words_are_mentioned(tmp_path):
    body = (
        RECT
        + '<g style="display: none"><circle cx="20" cy="20" r="3"/></g>'
        + '<circle cx="20" cy="20" r="3" visibility="hidden"/><text>cut me</text>'
        + "<script>fetch('http://example.org')</script>"
    )
    drawing = read(tmp_path, svg(body))
    assert drawing_facts(drawing).holes == 0
    places = [note.where for note in drawing.notes]
    assert places == ["1 texts", "2 hidden shapes or groups", "1 scripts"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (f'<g clip-path="url(#c)">{RECT}</g>', "1 clipped or masked shapes"),
        (f'<g style="fill:red; Clip-Path : url(#c)">{RECT}</g>', "1 clipped or masked shapes"),
        (f'<g mask="url(#c)">{RECT}</g>', "1 clipped or masked shapes"),
        (f'<g clip-path="none">{RECT}</g>', ""),
        (f'<g style="transform:scale(2)">{RECT}</g>', "1 shapes moved by a style"),
        (f'{RECT}<g style="DISPLAY :none"><circle r="3"/></g>', "1 hidden shapes or groups"),
        (f"<style>rect{{width:20px}}</style>{RECT}", "1 style sheets"),
        (f"<style>.a{{stroke-width:.1;fill:none}}</style>{RECT}", ""),
    ],
)
def test_what_a_style_does_is_not_passed_over(tmp_path, body, where):
    drawing = read(tmp_path, svg(body))
    assert drawing_facts(drawing).size_mm == (50, 20)
    assert [note.where for note in drawing.notes] == [where][: len(where)]


def test_a_document_type_alone_is_harmless(tmp_path):
    head = b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">'
    assert facts(tmp_path, head + svg(RECT)).outlines == 1


def use_bomb(levels: int) -> str:
    body = '<defs><rect id="u0" width="1" height="1"/>'
    for level in range(1, levels + 1):
        uses = f'<use href="#u{level - 1}"/>' * 10
        body += f'<g id="u{level}">{uses}</g>'
    return f'{body}</defs><use href="#u{levels}"/>'


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (svg(use_bomb(9)), "expand to too much"),
        (svg('<g id="a"><use href="#a"/></g>'), "contains itself"),
        (svg('<use href="http://example.org/x.svg#a"/>'), "outside the file"),
        (svg("<g>" * 200_000), "nested too deep"),
        (svg(RECT * 100_001), "too many elements"),
        (svg('<path d="M0 0 L1e300 0 L0 1 Z"/>'), "absurdly far"),
        (svg('<path d="M0 0 C 1e200 0 0 1e200 0 0 Z"/>'), "absurdly far"),
        (svg('<path d="M0 0 A 1e200 1e200 0 0 1 5 5 Z"/>'), "absurdly far"),
        (svg('<circle cx="0" cy="0" r="nan"/>'), "r is no length"),
        (svg('<g transform="matrix(nan 0 0 1 0 0)"><rect width="1" height="1"/></g>'), "transform"),
        (svg('<path d="M0 0 H50 V50 H0"/>'), "2 line ends"),
        (svg("<text>only</text>"), "holds no lines"),
        (b"<!DOCTYPE x [<!ENTITY a 'ha'>]>" + svg("&a;"), "XML entities"),
        (b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + svg("&a;"), "XML entities"),
        (b"<svg", "XML is broken"),
        (b"<html></html>", "is a web page"),
        (b"<a xmlns='http://www.w3.org/2000/svg'><svg/></a>", "no SVG"),
    ],
)
def test_hostile_and_broken_svg_is_refused(tmp_path, content, what):
    with pytest.raises(Refused) as caught:
        read(tmp_path, content)
    assert what in caught.value.what


def test_the_outline_we_write_is_the_one_we_read(tmp_path):
    def draw(space):
        square(space)
        space.add_circle((50, 50), 20)

    first = read(tmp_path, dxf(draw))
    again = read(tmp_path, as_svg(first.regions).encode())
    before, after = drawing_facts(first), drawing_facts(again)
    assert after.size_mm == before.size_mm
    assert after.area_mm2 == pytest.approx(before.area_mm2, abs=0.01)
    assert (after.outlines, after.holes) == (before.outlines, before.holes)


@pytest.mark.skipif(not REAL.exists(), reason="the real designs are not on this machine")
def test_every_real_drawing_reads():
    files = [f for f in REAL.rglob("*") if f.suffix.lower() in {".dxf", ".svg"}]
    found = {f.name: drawing_facts(read_drawing(f, f.suffix)) for f in files}
    assert len(found) == 10
    knife = found["5mm 5x 01.04.03 Knife1.dxf"]
    assert (knife.outlines, knife.holes) == (1, 1)
    case, older = found["PlanktoScope-Case-5mm.dxf"], found["PlanktoScope-Case-5mm.svg"]
    assert case.size_mm == pytest.approx(older.size_mm, abs=0.1)
    assert (case.outlines, older.outlines) == (14, 14)
    assert found["Mid_Panel.dxf"].size_mm == pytest.approx((230, 170))
