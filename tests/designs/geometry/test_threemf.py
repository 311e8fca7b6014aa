import io
import zipfile

import pytest

from designs.errors import LimitExceeded, Refused, Severity
from designs.geometry.mesh import mesh_facts, read_mesh
from tests.designs.geometry import solids

OBJECT = f'<object id="1">{solids.mesh_xml()}</object>'
ITEM = '<item objectid="1"/>'
MOVED = '<item objectid="1" transform="1 0 0 0 1 0 0 0 1 {} 0 0"/>'


def read(tmp_path, content: bytes):
    file = tmp_path / "part.3mf"
    file.write_bytes(content)
    return read_mesh(file, "3mf")


def facts(tmp_path, resources: str, build: str, unit: str = "millimeter"):
    return mesh_facts(read(tmp_path, solids.package(solids.model(resources, build, unit))))


def test_every_build_item_is_placed(tmp_path):
    found = facts(tmp_path, OBJECT, ITEM + MOVED.format(30) + MOVED.format(60))
    assert found.size_mm == (80, 20, 20)
    assert found.volume_mm3 == pytest.approx(24000)
    assert found.shells == 3


@pytest.mark.parametrize(("unit", "mm"), [("inch", 25.4), ("centimeter", 10), ("micron", 1e-3)])
def test_units_scale_corners_and_moves(tmp_path, unit, mm):
    size = 20 / mm
    resources = f'<object id="1">{solids.mesh_xml(size)}</object>'
    found = facts(tmp_path, resources, ITEM + MOVED.format(2 * size), unit)
    assert found.size_mm == pytest.approx((60, 20, 20))


def test_components_are_expanded_turned_and_mirrored(tmp_path):
    resources = (
        OBJECT
        + '<object id="2"><components><component objectid="1"/>'
        + '<component objectid="1" transform="-1 0 0 0 1 0 0 0 1 -10 0 0"/></components></object>'
    )
    found = facts(tmp_path, resources, '<item objectid="2" transform="0 1 0 -1 0 0 0 0 1 0 0 0"/>')
    assert found.size_mm == (20, 50, 20)
    assert found.volume_mm3 == pytest.approx(16000)
    assert found.watertight


def test_objects_in_other_parts_of_the_package_are_found(tmp_path):
    production = 'xmlns:p="http://schemas.microsoft.com/3dmanufacturing/production/2015/06"'
    resources = (
        f'<object id="8"><components><component {production} p:path="/3D/Objects/a.model" '
        'objectid="1"/></components></object>'
    )
    other = solids.model(OBJECT, "").encode()
    content = solids.package(
        solids.model(resources, '<item objectid="8"/>'), **{"3D__Objects__a.model": other}
    )
    assert mesh_facts(read(tmp_path, content)).volume_mm3 == pytest.approx(8000)


def test_slicer_settings_and_metadata_are_never_read(tmp_path):
    command = b"; post_process = /bin/sh -c 'touch /tmp/owned'\n" * 50
    with_commands = solids.cube_3mf(
        Metadata__Slic3r_PE_config=command, Metadata__model_settings_config=b"<!DOCTYPE x [broken"
    )
    assert mesh_facts(read(tmp_path, with_commands)).watertight


def test_supports_are_left_out(tmp_path):
    support = OBJECT.replace('id="1"', 'id="2" type="support"')
    found = facts(tmp_path, OBJECT + support, ITEM + '<item objectid="2"/>')
    assert found.volume_mm3 == pytest.approx(8000)


def nested(levels: int, copies: int) -> str:
    resources = OBJECT
    for level in range(2, levels + 2):
        component = f'<component objectid="{level - 1}"/>' * copies
        resources += f'<object id="{level}"><components>{component}</components></object>'
    return resources


LAUGHS = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>]>"
OUTSIDE = "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"
NO_CORNER = OBJECT.replace('v1="0"', 'v1="99999999"', 1)


@pytest.mark.parametrize(
    ("resources", "build", "why"),
    [
        (OBJECT, "", "builds nothing"),
        (OBJECT, '<item objectid="7"/>', "used but not there"),
        (OBJECT, '<item objectid="1" transform="1 2 3"/>', "bad one"),
        (OBJECT, '<item objectid="1" transform="1 0 0 0 1 0 0 0 0 0 0 0"/>', "bad one"),
        (OBJECT, '<item objectid="1" transform="1 0 0 0 1 0 0 0 1 1e9 0 0"/>', "10 m out"),
        (NO_CORNER, ITEM, "names a corner that is not there"),
        (OBJECT.replace('v1="0"', 'v1="-1"', 1), ITEM, "names a corner"),
        (OBJECT.replace('x="0.0"', 'x="nan"', 1), ITEM, "not a finite number"),
        (OBJECT.replace('x="0.0"', 'x="1e300"', 1), ITEM, "10 m out"),
        (OBJECT.replace('x="0.0"', "", 1), ITEM, "lacks a number"),
        (OBJECT + OBJECT, ITEM, "there twice"),
        (nested(6, 20), '<item objectid="7"/>', "expand to"),
        (nested(40, 1), '<item objectid="41"/>', "nested too deep"),
        (
            '<object id="1"><components><component objectid="1"/></components></object>',
            ITEM,
            "contains itself",
        ),
    ],
)
def test_hostile_models_are_refused(tmp_path, resources, build, why):
    with pytest.raises(Refused) as caught:
        facts(tmp_path, resources, build)
    assert why in caught.value.what


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (solids.package(solids.model(OBJECT, ITEM, more=LAUGHS)), "XML entities"),
        (solids.package(solids.model(OBJECT, ITEM, more=OUTSIDE)), "XML entities"),
        (solids.package(solids.model(OBJECT, ITEM, unit="parsec")), "unit 'parsec'"),
        (solids.package("<model"), "XML is broken"),
        (solids.package("<x>" * 500), "nested too deep"),
        (solids.cube_3mf(**{"../../etc/evil": b"x"}), "outside the archive"),
        (solids.cube_3mf(**{"3D/3DMODEL.MODEL": b"x"}), "same name"),
        (solids.cube_3mf(zeros=bytes(50 * 2**20)), "unpacks to 50 MiB"),
        (solids.cube_3mf(**{f"n{i}": b"" for i in range(1001)}), "1003 files"),
        (solids.cube_3mf()[:-40], "damaged"),
        (b"PK\x03\x04" + b"\0" * 100, "damaged"),
        (solids.stl(solids.cube()), "is called 3mf but is an STL"),
    ],
)
def test_hostile_packages_are_refused(tmp_path, content, why):
    with pytest.raises(Refused) as caught:
        read(tmp_path, content)
    assert why in caught.value.what


def test_a_package_that_lies_about_its_size_is_stopped_while_unpacking(tmp_path):
    """The size in the directory says little; the deflated stream holds much more."""
    honest = bytearray(solids.package(b" " * 30_000_000 + b"<model/>"))
    for place in (honest.find(b"PK\x01\x02", honest.find(b"PK\x01\x02") + 1) + 24,):
        honest[place : place + 4] = (1000).to_bytes(4, "little")
    with pytest.raises(Refused):
        read(tmp_path, bytes(honest))


def test_a_needed_extension_is_named(tmp_path):
    text = solids.model(OBJECT, ITEM).replace("<model ", '<model requiredextensions="b" ')
    with pytest.raises(Refused, match="extensions we do not read: b"):
        read(tmp_path, solids.package(text))


def test_limits_are_told_apart(tmp_path):
    with pytest.raises(LimitExceeded):
        facts(tmp_path, nested(6, 20), '<item objectid="7"/>')


def test_a_package_without_a_model_says_so(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(Refused, match="has no _rels"):
        read(tmp_path, out.getvalue())


def test_what_is_not_to_be_printed_is_left_out_and_said(tmp_path):
    idle = MOVED.format(30).replace("/>", ' printable="0"/>')
    support = OBJECT.replace('id="1"', 'id="2" type="support"')
    mesh = read(tmp_path, solids.package(solids.model(OBJECT + support, ITEM + idle)))
    assert mesh_facts(mesh).volume_mm3 == pytest.approx(8000)
    assert [note.where for note in mesh.notes] == ["1 build items", "1 objects"]
    assert [(thing.name, thing.quantity) for thing in mesh.things] == [("object 1", 1)]
    with pytest.raises(Refused, match="no build item is to be printed"):
        read(tmp_path, solids.package(solids.model(OBJECT, idle)))


@pytest.mark.parametrize(
    ("says", "where"),
    [
        (b'<part id="2" subtype="modifier_part"/>', "1 modifiers"),
        (
            b'<metadata type="volume" key="volume_type" value="NegativeVolume"/>',
            "1 bodies to be cut away",
        ),
        (b'<metadata key="volume_type" value="SupportBlocker"/>', "1 support blockers"),
        (b'<part id="2" subtype="normal_part"/>', ""),
        (b'<metadata key="volume_type" value="ModelPart"/>', ""),
    ],
)
def test_bodies_for_the_slicer_alone_are_warned_of(tmp_path, says, where):
    mesh = read(tmp_path, solids.cube_3mf(Metadata__model_settings=says))
    assert [n.where for n in mesh.notes if n.severity is Severity.WARNING] == [where][: len(where)]
