from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designs.design import Bought
from designs.errors import Refused
from designs.library import slugs
from designs.okh import Manifest, PartEntry, read, slug, write

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "designs"
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1)
SHORT = LINES.map(lambda text: text[:40])


@st.composite
def manifests(draw) -> Manifest:
    names = draw(
        st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True), unique=True)
    )
    parts = [
        PartEntry(
            name=name,
            title=draw(SHORT),
            file=draw(st.sampled_from([f"{name}.stl", f"{name}.dxf"])),
            process=draw(st.sampled_from(["laser_cutting", "cnc_milling", "3d_printing_fdm"])),
            material=draw(st.sampled_from(["pla", "plywood"])),
            thickness_mm=draw(st.none() | st.floats(0.1, 100)),
            quantity=draw(st.integers(1, 50)),
        )
        for name in names
    ]
    return Manifest(
        title=draw(SHORT),
        function=draw(SHORT),
        version="1.2.3",
        licence="CERN-OHL-W-2.0",
        licensor="Ada Lovelace",
        repo="https://example.org/x",
        parts=tuple(parts),
        bought=(Bought(name=draw(SHORT), quantity=3),),
    )


def test_a_name_is_no_title():
    assert slug("a--0") == "a--0"
    assert slug("Pump -- Slide") == "pump-slide"


@settings(max_examples=40, deadline=None)
@given(manifests())
def test_what_is_written_is_read_back(manifest):
    assert read(write(manifest).encode(), "okh.toml") == manifest


def test_our_own_manifests_miss_nothing():
    home = Path("designs/library")
    for name in slugs():
        manifest = read((home / name.replace("-", "_") / "okh.toml").read_bytes(), "okh.toml")
        assert not manifest.missing
        assert manifest.dialect == "2.4"
        assert all(p.process and p.material and p.file for p in manifest.parts)


def test_version_1_yaml():
    manifest = read(
        b"title: Shelf\ndescription: Holds\n  books\nlicense:\n  hardware: CC BY-SA 4.0\n"
        b"licensor:\n  name: Ada\nproject-link: https://example.org\n"
        b"manufacturing-files:\n  - path: shelf.dxf\n    title: the shelf\n",
        "okh.yml",
    )
    assert (manifest.dialect, manifest.title, manifest.function) == ("1.0", "Shelf", "Holds books")
    assert (manifest.licence, manifest.licensor) == ("CC-BY-SA-4.0", "Ada")
    assert manifest.exports == ("shelf.dxf",)
    assert manifest.missing == ()


def test_losh_toml_with_parts_of_the_old_kind():
    manifest = read(
        b'okhv = "OKH-LOSHv1.0"\nname = "Box"\nspdx-license = "MIT"\n'
        b'licensor = ["Ada <ada@example.org>", {name = "Grace"}]\nforkOf = "https://example.org/a"\n'
        b'image = [{location = "box.png", slots = ["photo-thing-main"]}]\n'
        b'[[part]]\nname = "Side Wall"\ntsdc = "LAS"\nexport = ["side.pdf", "side.DXF"]\n',
        "okh.toml",
    )
    assert manifest.dialect == "LOSH"
    assert manifest.licensor == "Ada, Grace"
    assert manifest.forked_from == "https://example.org/a"
    assert manifest.image == "box.png"
    assert manifest.missing == ("function", "repo")
    (side,) = manifest.parts
    assert (side.name, side.file, side.process) == ("side-wall", "side.DXF", "laser_cutting")


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        (b"name = ", "okh.toml", "cannot be read"),
        (b"\xff\xfe", "okh.toml", "not UTF-8"),
        (b"a: &a [1]\nb: *a\n", "okh.yml", "aliases"),
        (b"- 1\n- 2\n", "okh.yml", "no table"),
        (b"[" * 5000, "okh.yml", "cannot be read"),
        (b"a = " + b"[" * 5000, "okh.toml", "cannot be read"),
        (b"x" * (2**20 + 1), "okh.toml", "1 MiB"),
        (b'name = "x"\n[[part]]\nname = "a"\n[[part]]\nname = "A"\n', "okh.toml", "two parts"),
        (
            b'name = "x"\n[[part]]\nname = "a"\n[cosmolocal.part.a]\nquantity = "many"\n',
            "okh.toml",
            "quantity",
        ),
    ],
)
def test_broken_manifests_are_refused_with_the_place(text, name, why):
    with pytest.raises(Refused, match=why) as caught:
        read(text, name)
    assert caught.value.where == name


def test_slugs():
    assert slug("Pump Slide v51") == "pump-slide-v51"
    assert slug("ÄÖ") == "part"


@pytest.mark.skipif(not REAL.exists(), reason="the real designs are not on this machine")
def test_real_manifests():
    licences = {f.parent.name: read(f.read_bytes(), f.name).licence for f in REAL.glob("*/okh.*")}
    assert licences == {
        "agrocircle": "CC-BY-SA-4.0",
        "meditationbench": "CERN-OHL-S-2.0",
        "nimble": "CERN-OHL-S-2.0",
        "switch-plate": "CC-BY-SA-4.0",
    }
