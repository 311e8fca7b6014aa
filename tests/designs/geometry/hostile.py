"""Files that mean harm or are broken, made anew: name → how to make it, and what must be said.

The names of the first forty-five are those of the project's table of hostile input.
"""

import io
import random
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.designs.geometry import solids, steps
from tests.designs.geometry.drawings import dxf, square, svg

REJECT, REVIEW, ACCEPT = "reject", "review", "accept"
NAN, INF = float("nan"), float("inf")


@dataclass(frozen=True)
class Case:
    make: Callable[[], bytes]
    verdict: str
    says: str  # a pattern that one of its findings matches


CASES: dict[str, Case] = {}


def case(name: str, verdict: str, says: str, content: bytes | Callable[[], bytes]):
    make = content if callable(content) else lambda: content
    assert name not in CASES
    CASES[name] = Case(make, verdict, says)


def rejects(name: str, says: str, content: bytes | Callable[[], bytes]) -> None:
    case(name, REJECT, says, content)


def reviews(name: str, says: str, content: bytes | Callable[[], bytes]) -> None:
    case(name, REVIEW, says, content)


# ── STL ──────────────────────────────────────────────────────────────────────────────────────

CUBE = solids.cube()


def changed(value: float, many: bool = False) -> bytes:
    triangles = CUBE.copy()
    if many:
        triangles[:] = value
    else:
        triangles[3, 1, 2] = value
    return solids.stl(triangles)


def soup(count: int) -> bytes:
    rng = np.random.default_rng(7)
    return solids.stl(rng.uniform(0, 100, (count, 3, 3)).astype(np.float32))


def grid_stl(triangles: np.ndarray) -> bytes:
    """Many triangles at once, quicker than one by one."""
    records = np.zeros(len(triangles), dtype=[("n", "<f4", 3), ("c", "<f4", (3, 3)), ("a", "<u2")])
    records["c"] = triangles
    return bytes(80) + struct.pack("<I", len(records)) + records.tobytes()


def zip_behind(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("evil.html", "<script>alert(1)</script>")
    tail = out.getvalue()
    triangles = -(-len(tail) // 50)
    count = struct.pack("<I", (len(content) - 84) // 50 + triangles)
    return content[:80] + count + content[84:] + bytes(50 * triangles - len(tail)) + tail


def in_a_cube(inner: np.ndarray) -> bytes:
    return solids.stl(np.concatenate([CUBE, inner]))


case("00_cube.stl", ACCEPT, "", solids.stl(CUBE))
case("00_text.stl", ACCEPT, "", solids.text_stl(CUBE))
rejects("01_empty.stl", "empty", b"")
rejects("02_trunc.stl", "cut off", solids.stl(CUBE)[:-30])
rejects("03_count_4e9.stl", "says 4000000000", solids.stl(CUBE, count=4_000_000_000))
rejects("04_count_small.stl", "says 6", solids.stl(CUBE, count=6))
rejects("05_nan_vertex.stl", "not a finite number", changed(NAN))
rejects("06_inf_vertex.stl", "not a finite number", changed(INF))
rejects("07_1e30_vertex.stl", "10 m out", changed(1e30))
rejects("08_all_nan.stl", "not a finite number", changed(NAN, many=True))
rejects("09_degenerate.stl", "no triangle with an area", solids.stl(np.zeros((12, 3, 3))))
rejects("10_ascii_long_line.stl", "too long", lambda: b"solid " + b"x" * 20_000_000)
rejects(
    "11_ascii_binary_mix.stl", "cannot stand", solids.text_stl(CUBE)[:300] + solids.stl(CUBE)[84:]
)
rejects("12_random_soup_300k.stl", "loose surfaces", lambda: soup(300_000))
reviews("13_open_shell.stl", "hole in the surface", solids.stl(CUBE[:10]))
reviews("14_inverted.stl", "inside out", solids.stl(CUBE[:, ::-1]))
reviews("15_self_intersect.stl", "through each other", in_a_cube(solids.cube(at=(7, 7, 7))))
rejects("16_tiny_1e-6.stl", "mm large", solids.stl(CUBE * 1e-6))
reviews("17_tall_needle.stl", "0.2 mm thin", solids.stl(CUBE * [0.01, 0.01, 10]))
rejects("18_huge_10km.stl", "10 m out", solids.stl(CUBE * 5e5))
rejects(
    "31_png_polyglot.stl", "a PNG picture", b"\x89PNG\r\n\x1a\n".ljust(80) + solids.stl(CUBE)[80:]
)

reviews("duplicate_shell.stl", "there twice", in_a_cube(CUBE))
reviews("shell_in_shell.stl", "through each other", in_a_cube(solids.cube(5, at=(5, 5, 5))))
case("hollow.stl", ACCEPT, "", in_a_cube(solids.cube(5, at=(5, 5, 5))[:, ::-1]))
reviews("touching_edge.stl", "more than two triangles", in_a_cube(solids.cube(at=(20, 20, 0))))
rejects("flat.stl", "no volume", solids.stl(CUBE * [1, 1, 0]))
rejects("denormal.stl", "mm large", solids.stl(CUBE * 1e-42))
reviews("metres.stl", "drawn in metres", solids.stl(CUBE * 1e-2))
reviews("giant.stl", "largest side", solids.stl(CUBE * 400))
rejects("zip_behind.stl", "a packed archive", zip_behind(solids.stl(CUBE)))
rejects(
    "html.stl", "web page", b"<html><script>alert(1)</script>".ljust(80) + solids.stl(CUBE)[80:]
)
rejects("program.stl", "program for a computer", b"\x7fELF" + solids.stl(CUBE)[4:])
rejects("no_newline_100MB.stl", "too long", lambda: b"solid\n" + b"1" * 100_000_000)
rejects("nan_text.stl", "not a finite", solids.text_stl(CUBE).replace(b"20 20 20", b"nan 20 20", 1))
rejects(
    "underscore.stl", "not three numbers", solids.text_stl(CUBE).replace(b" 20 20", b" 2_0 20", 1)
)
rejects(
    "four_corners.stl",
    "corners",
    solids.text_stl(CUBE).replace(b" endloop", b"vertex 1 1 1\nendloop", 1),
)
rejects("unclosed.stl", "cannot stand", solids.text_stl(CUBE)[:-20])
rejects("zeros_1GB.stl", "larger than 256 MiB", lambda: bytes(256 * 2**20 + 1))
rejects("too_many.stl", "more than 2,000,000", lambda: grid_stl(np.zeros((2_000_001, 3, 3))))
rejects("utf16.stl", "no triangles|cut off|short", solids.text_stl(CUBE).decode().encode("utf-16"))

# ── 3MF ──────────────────────────────────────────────────────────────────────────────────────

OBJECT = f'<object id="1" name="cube">{solids.mesh_xml()}</object>'
ITEM = '<item objectid="1"/>'


def model(resources: str = OBJECT, build: str = ITEM, **how: str) -> bytes:
    return solids.package(solids.model(resources, build, **how))


def nested(levels: int, copies: int) -> bytes:
    resources = OBJECT
    for level in range(2, levels + 2):
        inner = f'<component objectid="{level - 1}"/>' * copies
        resources += f'<object id="{level}"><components>{inner}</components></object>'
    return model(resources, f'<item objectid="{levels + 1}"/>')


def archive(change: Callable[[zipfile.ZipFile], None], packed: bool = True) -> bytes:
    out = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", kind) as made:
        made.writestr("_rels/.rels", solids.RELS)
        made.writestr("3D/3dmodel.model", solids.model(OBJECT, ITEM))
        change(made)
    return out.getvalue()


def link(made: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("3D/other.model")
    info.external_attr = 0o120777 << 16
    made.writestr(info, "/etc/passwd")


def lie(content: bytes, what: str) -> bytes:
    """The first central record says another size, place or way of packing than is true."""
    at = content.index(b"PK\x01\x02")
    offset, value = {
        "size": (24, struct.pack("<I", 50)),
        "zip64": (24, b"\xff\xff\xff\xff"),
        "offset": (42, struct.pack("<I", 4_000_000)),
        "method": (10, struct.pack("<H", 12)),
        "crc": (16, b"\1\2\3\4"),
        "encrypted": (8, struct.pack("<H", 1)),
    }[what]
    return content[: at + offset] + value + content[at + offset + len(value) :]


def overlapping() -> bytes:
    """Two names for the bytes of one entry, as in the bombs of David Fifield (2019)."""
    content = bytearray(archive(lambda made: made.writestr("3D/x.model", solids.model(OBJECT, ""))))
    last = content.rindex(b"PK\x01\x02")
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 1)
    content[last + 42 : last + 46] = content[second + 42 : second + 46]
    return bytes(content)


def flipped(content: bytes, seed: int) -> bytes:
    changed = bytearray(content)
    dice = random.Random(seed)
    for _ in range(40):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


LAUGHS = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
OUTSIDE = "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"
PARAMETER = "<!DOCTYPE x [<!ENTITY % a SYSTEM 'http://127.0.0.1/x.dtd'> %a;]>"
PRUSA = (
    b"; post_process = /bin/sh -c 'touch /tmp/owned'\n; start_gcode = M104 S999\\nG28\n"
    b"; end_gcode = \n; gcode_flavor = marlin\n"
)
ORCA = b'{"machine_start_gcode": "M104 S999", "post_process": [], "layer_height": "0.2"}'
TRANSFORM = '<item objectid="1" transform="{}"/>'

case("20_ok.3mf", ACCEPT, "", solids.cube_3mf())
rejects("21_billion_laughs.3mf", "XML entities", model(more=LAUGHS + "]>"))
rejects("22_xxe.3mf", "XML entities", model(more=OUTSIDE))
rejects(
    "23_zipbomb_2GB_model.3mf",
    "unpacks to",
    lambda: solids.package(b"<model>" + b" " * (310 * 2**20)),
)
rejects(
    "24_path_traversal.3mf", "outside the archive", solids.cube_3mf(**{"../../etc/cron.d/x": b"x"})
)
rejects("25_bad_index.3mf", "not there", model(OBJECT.replace('v1="0"', 'v1="99999999"', 1)))
rejects(
    "26_cyclic_components.3mf",
    "contains itself",
    model('<object id="1"><components><component objectid="1"/></components></object>'),
)
rejects("27_component_explosion_20^6.3mf", "expand to", nested(6, 20))
rejects("28_nan_3mf.3mf", "not a finite", model(OBJECT.replace('x="0.0"', 'x="nan"', 1)))
rejects("29_notzip.3mf", "damaged", b"hello, this is no archive")
rejects("30_stl_named_3mf.3mf", "is an STL", solids.stl(CUBE))

case(
    "m02_3mf_gcode.3mf",
    REVIEW,
    "commands for the computer",
    solids.cube_3mf(Metadata__Slic3r_PE_config=PRUSA),
)
case(
    "orca.3mf", ACCEPT, "machine commands", solids.cube_3mf(Metadata__project_settings_config=ORCA)
)
case(
    "plate.3mf",
    ACCEPT,
    "programs for a machine",
    solids.cube_3mf(**{"Metadata/plate_1.gcode": b"M104 S999"}),
)
rejects("m05_nested.3mf", "no _rels", lambda: archive_of({"inner.3mf": solids.cube_3mf()}))
rejects("m04_bomb_beside.3mf", "unpacks to 50 MiB", solids.cube_3mf(zeros=bytes(50 * 2**20)))
rejects("m06_overlap.3mf", "over each other", overlapping)
rejects("m08_dup_model.3mf", "same name", solids.cube_3mf(**{"3D/3DMODEL.model": b"x"}))
rejects("parameter_entity.3mf", "XML entities", model(more=PARAMETER))
rejects(
    "m12_utf16_dtd.3mf",
    "XML entities",
    solids.package(
        solids.model(OBJECT, ITEM, more=OUTSIDE)
        .replace("?>", " encoding='utf-16'?>", 1)
        .encode("utf-16")
    ),
)
rejects(
    "encoding.3mf",
    "XML is broken",
    model().replace(b"PK", b"PK")
    and solids.package(solids.model(OBJECT, ITEM).replace("?>", " encoding='x-nothing'?>", 1)),
)
rejects(
    "m14_index_4294967295.3mf", "not there", model(OBJECT.replace('v1="0"', 'v1="4294967295"', 1))
)
rejects("index_1e40.3mf", "bad one", model(OBJECT.replace('v1="0"', f'v1="{10**40}"', 1)))
rejects("index_negative.3mf", "not there", model(OBJECT.replace('v1="0"', 'v1="-1"', 1)))
rejects("many_components.3mf", "expand to", lambda: nested(2, 150))
rejects("deep_components.3mf", "nested too deep", lambda: nested(40, 1))
rejects("deep_xml.3mf", "nested too deep", solids.package("<x>" * 100_000))
rejects("links.3mf", "a link", archive(link))
rejects("encrypted.3mf", "encrypted", lie(solids.cube_3mf(), "encrypted"))
rejects("size_lie.3mf", "damaged|broken", lie(archive(lambda _: None, packed=False), "size"))
rejects("zip64_lie.3mf", "damaged|unpacks", lie(solids.cube_3mf(), "zip64"))
rejects("offset_lie.3mf", "damaged|cut off|stands before", lie(solids.cube_3mf(), "offset"))
rejects("method.3mf", "packed in a way", lie(solids.cube_3mf(), "method"))
rejects("crc.3mf", "damaged", lie(solids.cube_3mf(), "crc"))
rejects(
    "before.3mf", "nobody here knows|no zip|damaged|stands before", b"x" * 100 + solids.cube_3mf()
)
rejects("png_zip.3mf", "a PNG picture", b"\x89PNG\r\n\x1a\n" + solids.cube_3mf())
rejects(
    "only_supports.3mf",
    "builds no triangles",
    model(OBJECT.replace('id="1"', 'id="1" type="support"')),
)
rejects("no_build.3mf", "builds nothing", model(build=""))
rejects("missing_object.3mf", "not there", model(build='<item objectid="9"/>'))
rejects("flattened.3mf", "bad one", model(build=TRANSFORM.format("1 0 0 0 1 0 0 0 0 0 0 0")))
rejects("transform_nan.3mf", "bad one", model(build=TRANSFORM.format("nan 0 0 0 1 0 0 0 1 0 0 0")))
rejects(
    "transform_1e300.3mf",
    "10 m out|finite|bad one",
    model(build=TRANSFORM.format("1e300 0 0 0 1e300 0 0 0 1 0 0 0")),
)
rejects(
    "prefix_lie.3mf",
    "extensions we do not read",
    solids.package(
        solids.model(OBJECT, ITEM).replace(
            "<model ", '<model requiredextensions="p" xmlns:p="http://example.org/beams" ', 1
        )
    ),
)
rejects(
    "part_missing.3mf",
    "it has no",
    solids.package(
        solids.model(
            OBJECT,
            (
                '<item xmlns:p="http://schemas.microsoft.com/3dmanufacturing/production/2015/06" '
                'objectid="1" p:path="/3D/gone.model"/>'
            ),
        )
    ),
)
reviews("twice_in_place.3mf", "there twice", model(build=ITEM * 2))
reviews(
    "through.3mf",
    "through each other",
    model(build=ITEM + TRANSFORM.format("1 0 0 0 1 0 0 0 1 7 7 7")),
)
case(
    "long_attribute.3mf",
    ACCEPT,
    "",
    lambda: model(
        OBJECT.replace('name="cube"', f'name="{random.Random(1).randbytes(9 * 2**19).hex()}"')
    ),
)
rejects("truncated.3mf", "damaged", solids.cube_3mf()[:-40])
rejects("docx.3mf", "no _rels|no 3D model", lambda: archive_of({"word/document.xml": b"<x/>"}))


def archive_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


# ── OBJ ──────────────────────────────────────────────────────────────────────────────────────

V = "".join(f"v {x} {y} {z}\n" for x, y, z in solids.CORNERS * 20)
F = "".join(f"f {a + 1} {b + 1} {c + 1}\n" for a, b, c in solids.FACES)


def obj(text: str) -> bytes:
    return text.encode()


case("cube.obj", ACCEPT, "", obj(V + F))
case(
    "m20_mtllib_path.obj",
    ACCEPT,
    "not followed",
    obj("mtllib ../../etc/passwd http://127.0.0.1/x\n" + V + F),
)
reviews("csh.obj", "never run", obj("csh rm -rf /\ncall /etc/passwd\n" + V + F))
rejects("index_1e9.obj", "not there", obj(V + F + "f 1000000000 1 2\n"))
rejects("index_1e30.obj", "not there", obj(V + F + f"f {10**30} 1 2\n"))
rejects("index_0.obj", "not there", obj(V + F + "f 0 1 2\n"))
rejects("index_before.obj", "not there", obj(V + F + "f -9 -1 -2\n"))
rejects("two_corners.obj", "2 corners", obj(V + F + "f 1 2\n"))
rejects("polygon_1e5.obj", "corners", lambda: obj(V + "f" + " 1" * 20_000 + "\n"))
rejects("nan.obj", "finite", obj(V.replace("v 0.0", "v nan", 1) + F))
rejects("1e300.obj", "10 m out", obj(V.replace("v 0.0", "v 1e300", 1) + F))
rejects("no_faces.obj", "no faces", obj(V))
rejects("free_form.obj", "free-form", obj(V + F + "cstype bspline\n"))
rejects("bow_tie.obj", "crosses itself", obj("v 0 0 0\nv 9 9 0\nv 9 0 0\nv 0 9 0\nf 1 2 3 4\n"))
rejects("long_line.obj", "too long", lambda: obj(V + F + "# " + "x" * 1_000_000 + "\n"))
rejects("continued.obj", "too long", lambda: obj(V + F + "f " + "1 \\\n" * 200_000))
rejects("cut.obj", "2 corners", obj(V + F)[:-2])
reviews("no_end.obj", "may be cut off", obj(V + F)[:-1])
reviews("gap.obj", "hole in the surface", obj(V + "".join(F.splitlines(keepends=True)[:-1])))
reviews(
    "inches.obj",
    "drawn in inches",
    obj("".join(f"v {x} {y} {z}\n" for x, y, z in solids.CORNERS) + F),
)
rejects("binary.obj", "nobody here knows|cannot stand|no faces", bytes(range(256)) * 4)
rejects(
    "exploding.obj",
    "too large|crosses itself",
    lambda: obj(star(999) * 60),
)


def star(n: int) -> str:
    """A polygon as slow to cut into triangles as can be."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radius = np.where(np.arange(n) % 2, 100.0, 1.0)
    rows = "".join(
        f"v {r * np.cos(a):.6f} {r * np.sin(a):.6f} 0\n" for r, a in zip(radius, angle, strict=True)
    )
    return rows + "f " + " ".join(str(-k) for k in range(n, 0, -1)) + "\n"


# ── DXF ──────────────────────────────────────────────────────────────────────────────────────


def inserts(levels: int, copies: int, scale: float = 1.0) -> bytes:
    def prepare(document) -> None:
        document.blocks.new("B0").add_circle((0, 0), 1)
        for level in range(1, levels + 1):
            block = document.blocks.new(f"B{level}")
            for i in range(copies):
                block.add_blockref(
                    f"B{level - 1}", (i, 0), dxfattribs={"xscale": scale, "yscale": scale}
                )

    return dxf(lambda space: space.add_blockref(f"B{levels}", (0, 0)), prepare=prepare)


def minsert(rows: int, columns: int) -> bytes:
    def prepare(document) -> None:
        document.blocks.new("B").add_circle((0, 0), 1)

    counts = {"row_count": rows, "column_count": columns, "row_spacing": 3, "column_spacing": 3}
    return dxf(lambda space: space.add_blockref("B", (0, 0), dxfattribs=counts), prepare=prepare)


def itself(document) -> None:
    document.blocks.new("B").add_blockref("B", (1, 1))


def knots(count: int) -> bytes:
    def draw(space) -> None:
        t = np.linspace(0, 2 * np.pi, count)
        points = [(100 * np.cos(a), 100 * np.sin(a)) for a in t]
        space.add_open_spline(points)

    return dxf(draw)


def lines(count: int) -> bytes:
    """The same line very often: nothing to cut, much to compare."""
    one = "0\nLINE\n8\n0\n10\n{}\n20\n0\n11\n{}\n21\n9\n"
    body = "".join(one.format(k % 977, (k * 7) % 983) for k in range(count))
    return f"0\nSECTION\n2\nENTITIES\n{body}0\nENDSEC\n0\nEOF\n".encode()


def circle(radius: float) -> bytes:
    return dxf(lambda space: space.add_circle((0, 0), radius))


case("plate.dxf", ACCEPT, "", dxf(square))
rejects("40_trunc.dxf", "end mark", dxf(square)[:-200])
rejects("41_nan.dxf", "no sensible number", dxf(lambda space: space.add_line((0, 0), (NAN, 0))))
rejects("42_insert_bomb_20^7.dxf", "expand to", lambda: inserts(7, 20))
rejects("43_minsert_1e4x1e4.dxf", "expand to", minsert(10_000, 10_000))
rejects(
    "44_self_insert.dxf",
    "cycle|contains itself|damaged",
    dxf(lambda s: s.add_blockref("B", (0, 0)), prepare=itself),
)
rejects("45_circle_1e300.dxf", "no sensible", circle(1e300))
rejects("46_circle_r1e9_flatten.dxf", "no sensible", circle(1e9))
rejects("47_binary_garbage.dxf", "end mark|cannot be read|nobody", random.Random(1).randbytes(5000))

rejects("minsert_2e9.dxf", "expand to|damaged", minsert(2**31 - 1, 2**31 - 1))
rejects("scaled_bomb.dxf", "no sensible|mm large|understood", lambda: inserts(12, 1, 1e6))
rejects(
    "spline_1e6_knots.dxf",
    "too many|points|larger",
    lambda: knots(60_000),
)
rejects(
    "lines_14k.dxf",
    "lines end or fork",
    lambda: lines(14_000),
)
rejects(
    "lines_400k.dxf",
    "entities|line ends|more than two",
    lambda: lines(400_000),
)
rejects("binary.dxf", "binary DXF", b"AutoCAD Binary DXF\r\n\x1a\0" + bytes(500))
rejects("svg_named.dxf", "is an SVG", svg('<rect width="9" height="9"/>'))
rejects(
    "sheet.dxf",
    "drawing sheet",
    dxf(lambda s: (square(s), s.add_linear_dim(base=(0, -9), p1=(0, 0), p2=(100, 0)).render())),
)
reviews("little.dxf", "drawn in metres", dxf(lambda space: square(space, 0.8)))
reviews("giant.dxf", "largest side", dxf(lambda space: square(space, 9000)))
rejects(
    "open.dxf",
    "2 line ends meet nothing",
    dxf(lambda s: s.add_lwpolyline([(0, 0), (90, 0), (90, 90), (0, 90)])),
)
rejects(
    "bulge.dxf",
    "no sensible",
    dxf(lambda s: s.add_lwpolyline([(0, 0, 0, 0, 1e300), (1, 0)], close=True)),
)
rejects(
    "ellipse_turns.dxf",
    "no sensible|line ends|crosses",
    dxf(lambda s: s.add_ellipse((0, 0), (30, 0), 0.5, 0, 9e5)),
)
rejects(
    "ellipse_flat.dxf",
    "no closed outline|no sensible|understood|line|mm large|no volume",
    dxf(lambda s: s.add_ellipse((0, 0), (30, 0), 1e-9)),
)
reviews("inch_header.dxf", "it says in", dxf(square, units=1))
reviews("metre_header.dxf", "it says m", dxf(square, units=6))
reviews("words.dxf", "text is not cut", dxf(lambda s: (square(s), s.add_text("hello"))))
rejects("specks.dxf", "mm large", circle(0.01))
rejects(
    "loop_of_dots.dxf",
    "too many points",
    lambda: dxf(lambda s: [s.add_circle((k % 200 * 3, k // 200 * 3), 1) for k in range(21_000)]),
)

# ── SVG ──────────────────────────────────────────────────────────────────────────────────────

RECT = '<rect x="10" y="10" width="50" height="20"/>'


def uses(levels: int) -> str:
    body = '<defs><rect id="u0" width="1" height="1"/>'
    for level in range(1, levels + 1):
        body += f'<g id="u{level}">' + f'<use href="#u{level - 1}"/>' * 10 + "</g>"
    return f'{body}</defs><use href="#u{levels}"/>'


case("plate.svg", ACCEPT, "", svg(RECT))
rejects("50_billion_laughs.svg", "XML entities", LAUGHS.encode() + b"]>" + svg("<text>&i;</text>"))
rejects("51_xxe.svg", "XML entities", OUTSIDE.encode() + svg("<text>&a;</text>"))
rejects("52_use_bomb.svg", "expand to too much", svg(uses(9)))
rejects("53_nested_200k.svg", "nested too deep", lambda: svg("<g>" * 200_000))
reviews(
    "54_script_remote.svg",
    "scripts",
    svg(RECT + "<script href='http://127.0.0.1/x.js'>fetch('/')</script>"),
)
reviews(
    "m22_foreignObject.svg",
    "embedded pages",
    svg(
        RECT
        + "<foreignObject><body xmlns='http://www.w3.org/1999/xhtml'><iframe src='//x'/></body></foreignObject>"
    ),
)
reviews("onload.svg", "scripts", svg(RECT.replace("<rect", "<rect onclick='alert(1)'")))
reviews("javascript.svg", "scripts", svg(f"<a href='java\tscript:alert(1)'>{RECT}</a>"))
reviews(
    "animated.svg", "animations", svg(f"<g>{RECT}<animateTransform attributeName='transform'/></g>")
)
reviews(
    "style.svg",
    "style sheets",
    svg("<style>rect{display:none} @import url(http://127.0.0.1/)</style>" + RECT),
)
case("link.svg", ACCEPT, "links", svg(f"<a href='https://example.org/'>{RECT}</a>"))
rejects(
    "m22_external_use.svg", "outside the file", svg(RECT + '<use href="http://127.0.0.1/x.svg#a"/>')
)
rejects("use_file.svg", "outside the file", svg(RECT + '<use href="file:///etc/passwd#a"/>'))
rejects("use_itself.svg", "contains itself", svg('<g id="a"><use href="#a"/></g>'))
rejects(
    "use_pair.svg",
    "contains itself|expand",
    svg('<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>'),
)
rejects("elements_1e5.svg", "too many elements", lambda: svg(RECT * 100_001))
rejects(
    "path_1e6.svg",
    "points|line ends|crosses|too many",
    lambda: svg(
        f'<path d="M0 0{"".join(f"L{k % 997} {k * 7 % 991}" for k in range(1_000_000))}Z"/>'
    ),
)
rejects(
    "curves_far.svg",
    "too many points|absurdly far",
    svg('<path d="M0 0' + "C 9e5 0 0 9e5 0 0" * 3000 + 'Z"/>'),
)
rejects("1e300.svg", "absurdly far", svg('<path d="M0 0 L1e300 0 L0 1 Z"/>'))
rejects(
    "radius_1e300.svg",
    "absurdly far|no length|understood",
    svg('<circle cx="0" cy="0" r="1e300"/>'),
)
rejects("nan.svg", "no length", svg('<circle cx="0" cy="0" r="nan"/>'))
rejects(
    "viewbox_0.svg",
    "mm large|absurdly|understood|holds no",
    svg('<svg viewBox="0 0 1e-300 1e-300" width="10" height="10">' + RECT + "</svg>"),
)
rejects(
    "skew.svg",
    "transform|absurdly|understood|mm large|no closed",
    svg(f'<g transform="skewX(90) scale(1e200)">{RECT}</g>'),
)
rejects(
    "utf16_entity.svg",
    "XML entities",
    (f"<?xml version='1.0' encoding='utf-16'?>{OUTSIDE}" + svg("&a;").decode()).encode("utf-16"),
)
rejects("truncated.svg", "XML is broken", svg(RECT)[:-12])
rejects("html.svg", "web page", b"<!doctype html><html><body>hello</body></html>")
rejects(
    "attribute_30MB.svg",
    "too many points",
    lambda: svg(f'<path d="{"M0 0L1 1" * 3_500_000}"/>'),
)
rejects(
    "ids.svg",
    "expand to too much|too many",
    lambda: svg(
        "".join(
            f'<g id="a{k}"><use href="#a{k + 1}"/><use href="#a{k + 1}"/></g>' for k in range(40)
        )
        + '<g id="a40">'
        + RECT
        + "</g>"
    ),
)

# ── STEP ─────────────────────────────────────────────────────────────────────────────────────

BOX = steps.box(20, 20, 20)


def bspline(count: int) -> bytes:
    rows = ",".join(
        "(" + ",".join(f"#{2 + i * count + j}" for j in range(count)) + ")" for i in range(count)
    )
    knots = f"({','.join(['1'] * (count + 2))}),({','.join(['1'] * (count + 2))}),({','.join(f'{k}.' for k in range(count + 2))}),({','.join(f'{k}.' for k in range(count + 2))}),.UNSPECIFIED."
    points = [
        f"CARTESIAN_POINT('',({i}.,{j}.,{i * j % 7}.))" for i in range(count) for j in range(count)
    ]
    return steps.surface(
        f"B_SPLINE_SURFACE_WITH_KNOTS('',1,1,({rows}),.UNSPECIFIED.,.F.,.F.,.F.,{knots})", *points
    )


def tampered(old: bytes, new: bytes, content: bytes = BOX) -> bytes:
    assert old in content
    return content.replace(old, new, 1)


case("box.step", ACCEPT, "", BOX)
case("metres.step", ACCEPT, "", steps.box(0.02, 0.02, 0.02, unit=steps.METRE))
rejects("60_trunc.step", "cut off", BOX[: len(BOX) // 2])
rejects("61_garbage.step", "nobody here knows|cut off", random.Random(2).randbytes(4000))
rejects(
    "middle_gone.step",
    "damaged|no solid|enclose|loose|no shape|not closed",
    BOX[:900] + BOX[-900:],
)
rejects("empty_data.step", "no shape", steps.Step().text())
rejects("ifc.step", "not one for parts", tampered(b"AUTOMOTIVE_DESIGN", b"IFC4"))
rejects("no_schema.step", "no schema", tampered(b"FILE_SCHEMA", b"FILE_NOTHING"))
rejects(
    "elsewhere.step",
    "other files",
    tampered(b"#1=", b"#9999=DOCUMENT_FILE('/etc/passwd','','',#1,'','');\n#1="),
)
rejects(
    "reference.step", "names #99999", tampered(b"CLOSED_SHELL('',(", b"CLOSED_SHELL('',(#99999,")
)
rejects("twice.step", "there twice", tampered(b"#2=", b"#1="))


def used_in_itself() -> bytes:
    step = steps.Step()
    where = steps.context(step, steps.MM)
    one = steps.product(step, "A")
    held = steps.represented(step, one, ["$"], where)
    zero = step.add(f"AXIS2_PLACEMENT_3D('',{step.point((0, 0, 0))},$,$)")
    steps.use(step, (one, held), (one, held), "1", (zero, zero))
    return step.text()


rejects("itself.step", "contains itself", used_in_itself)
rejects(
    "dangling.step",
    "no shape|damaged|no solid|loose|volume",
    tampered(b"MANIFOLD_SOLID_BREP('body',#", b"MANIFOLD_SOLID_BREP('body',#9"),
)
rejects(
    "assembly_bomb.step",
    "its assembly places",
    lambda: steps.assembly(7, 12),
)
rejects(
    "entities.step",
    "too many entities|larger",
    lambda: tampered(
        b"#1=",
        b"".join(b"#%d=DIRECTION('',(1.,0.,0.));\n" % k for k in range(10_000, 1_020_000)) + b"#1=",
    ),
)
rejects(
    "nan.step",
    "number that no part has",
    tampered(b"(20.000000000,20.000000000,20.000000000)", b"(nan,1.E+400,-1.E+400)"),
)
rejects(
    "far.step",
    "10 m out|loose",
    tampered(b"(20.000000000,20.000000000,20.000000000)", b"(1.E+30,1.E+30,1.E+30)"),
)
rejects(
    "bspline.step",
    "very long",
    lambda: bspline(200),
)
rejects("stl_named.step", "is an STL", solids.stl(CUBE))
rejects(
    "deep_list.step",
    "nested too deep",
    tampered(b"#1=", b"#90000=PERSON(" + b"(" * 20_000 + b"1" + b")" * 20_000 + b");\n#1="),
)
rejects(
    "long_string.step",
    "very long",
    lambda: tampered(b"'Bracket'", b"'" + b"x" * 20_000_000),
)

# ── manifests, pictures and whatever else ────────────────────────────────────────────────────


def photo(**more: object) -> bytes:
    image = Image.effect_noise((64, 48), 80).convert("RGB")
    exif = Image.Exif()
    exif[0x0110] = "Camera 3000"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (41.0, 23.0, 24.0)
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    return out.getvalue()


def png(size: tuple[int, int] = (40, 30), behind: bytes = b"") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, "PNG")
    return out.getvalue() + behind


def png_bomb() -> bytes:
    data = bytearray(png())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", __import__("zlib").crc32(bytes(data[12:29])))
    return bytes(data)


OKH = """okhv = "2.4"
name = "Hook"
version = "1.0.0"
function = "Holds a coat."
license = "CC0-1.0"
licensor = "Ana Puig"
repo = "https://example.org/hook"
documentation-language = "en"
[[part]]
name = "hook"
export = "hook.stl"
tsdc = "3DP"
"""

case("photo.jpg", ACCEPT, "GPS position", photo)
case("picture.png", ACCEPT, "", png())
case("hidden.png", ACCEPT, "bytes behind", png(behind=solids.cube_3mf()))
rejects("bomb.png", "points|damaged", png_bomb)
rejects("html.png", "web page", b"<html><script>alert(1)</script></html>")
rejects("cut.jpg", "damaged", lambda: photo()[:700])
case("okh.toml", ACCEPT, "", OKH.encode())
reviews("okh-2.toml", "licensor: is missing", OKH.replace("licensor", "someone").encode())
rejects("t37_yaml_tag/okh.yml", "YAML tag", b"title: !!python/object/apply:os.system ['id']\n")
rejects("yaml_alias/okh.yml", "aliases", b"title: &a [x]\nb: [*a, *a]\n")
rejects("document.pdf", "a PDF", b"%PDF-1.7\n" + bytes(100))
rejects("program.gcode", "program for one machine", b"G28\nM104 S999\nG1 X0\nG1 X1\nG1 X2\n")
rejects("notes.txt", "nobody here knows", b"hello\n")
rejects("tool.exe", "program for a computer", b"MZ\x90\0" + bytes(500))
reviews("part.bin", "its name ends in .bin", solids.stl(CUBE))
reviews("noending", "no ending", solids.stl(CUBE))
reviews('"><img src=x onerror=alert(1)>.stl', "not every computer", solids.stl(CUBE))
reviews("in\u202elts.stl", "U\\+202E", solids.stl(CUBE))
reviews("bell\x07\x1b[31m.stl", "U\\+0007", solids.stl(CUBE))
reviews("CON.stl", "cannot keep", solids.stl(CUBE))
reviews("x" * 230 + ".stl", "more than 200", solids.stl(CUBE))
