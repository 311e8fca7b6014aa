import math
import tomllib
from datetime import date
from pathlib import Path

import pytest
import tomli_w
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from designs.design import Bought, Check, Contributor, Recipe
from designs.errors import DesignRefused, Refused
from designs.library import slugs
from designs.okh import AlternativeEntry, Manifest, PartEntry, convert, lint, read, slug, write
from designs.okh.fields import FIELDS, RENAMED
from designs.okh.parse import parse
from designs.okh.reading import _same

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "designs"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1)
SHORT = LINES.map(lambda text: text[:40])
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
LEAVES = st.one_of(
    TEXT,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.dates(),
    st.datetimes(),
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PLAUSIBLE = {
    "okhv": st.sampled_from(["2.4", "2.3", "OKH-LOSHv1.0"]),
    "license": st.sampled_from(["MIT", "cc by 4.0", "free for all", "MIT OR Apache-2.0"]),
    "licensor": st.sampled_from(["Ada <ada@a.org>", ["Ada", "Grace"], {"name": "Ada", "x": 1}]),
    "repo": st.just("https://example.org/x"),
    "export": st.sampled_from(["a.stl", ["a.stl", "b.step"], "../a.stl", "/etc/passwd"]),
    "tsdc": st.sampled_from(["LAS", ["3DP", "ASM"]]),
    "image": st.sampled_from(["a.png", {"location": "a.png", "slots": ["logo"]}]),
    "mass": st.sampled_from([12, 1.5, "heavy"]),
}


def fields(names) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries(
        {}, optional={name: PLAUSIBLE.get(name, TEXT) | ANYTHING for name in names}
    )


OWN_PARTS = st.fixed_dictionaries(
    {},
    optional={
        "title": SHORT,
        "process": st.sampled_from(["laser_cutting", "LAS", "magic"]),
        "quantity": st.integers(-1, 20),
        "thickness_mm": st.sampled_from([3, 3.0, 0.5]),
        "recipe": st.sampled_from([{"walls": 3}, {"walls": 3, "fuzzy": {"skin": True}}]),
        "inspection": st.just([{"kind": "photo", "what": "the seam", "light": "low"}]),
        "alternative": st.just([{"file": "a.gcode", "machine_class": "fdm-220", "by": "Ada"}]),
        "unheard-of": ANYTHING,
        "kept": st.dictionaries(TEXT, ANYTHING, max_size=2),
    },
)


@st.composite
def second_tables(draw) -> dict:
    """Tables of OKH 2.x and ours, with wrong values and keys that nobody knows."""
    unknown = draw(st.dictionaries(TEXT, ANYTHING, max_size=3))
    known = draw(fields([*FIELDS, *RENAMED]))
    parts = draw(
        st.lists(
            st.builds(
                lambda name, entry: {"name": name} | entry,
                NAMES | st.sampled_from(["Side Wall", "ÄÖ"]),
                fields(["export", "source", "tsdc", "mass", "unheard-of"]),
            ),
            max_size=3,
            unique_by=lambda entry: slug(entry["name"]),
        )
    )
    own = draw(st.dictionaries(st.sampled_from(["note", "kept", "x"]), ANYTHING, max_size=2))
    own |= {"part": {p["name"]: draw(OWN_PARTS) for p in parts if draw(st.booleans())}}
    own |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "bought": st.just([{"name": "screw", "quantity": 2, "colour": "red"}]),
                "contributor": st.just([{"name": "Ada", "share": 2}]),
                "first_article": st.booleans(),
            },
        )
    )
    unknown.pop("title", None)
    return unknown | known | {"okhv": known.get("okhv", "2.4"), "part": parts, "cosmolocal": own}


@st.composite
def manifests(draw) -> Manifest:
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    parts = [
        PartEntry(
            name=name,
            title=draw(SHORT),
            file=draw(st.sampled_from([f"{name}.stl", f"{name}.dxf"])),
            process=draw(st.sampled_from(["laser_cutting", "cnc_milling", "3d_printing_fdm"])),
            material=draw(st.sampled_from(["pla", "plywood"])),
            thickness_mm=draw(st.none() | st.floats(0.1, 100)),
            quantity=draw(st.integers(1, 50)),
            tolerance_mm=draw(st.none() | st.floats(0.01, 10)),
            recipe=draw(st.none() | st.just(Recipe(locked=True, walls=3, layer_mm=0.2))),
            inspection=draw(st.just(()) | st.just((Check(kind="photo", what="the seam"),))),
            alternatives=draw(
                st.just(()) | st.just((AlternativeEntry(file="a.nc", machine_class="cnc-3018"),))
            ),
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
        bom=draw(st.just(()) | st.just(("bom.csv", "tools.csv"))),
        instructions=draw(st.just(()) | st.just(("build.md",))),
        parts=tuple(parts),
        bought=(Bought(name=draw(SHORT), quantity=3),),
        contributors=(Contributor(name=draw(SHORT), share=draw(st.integers(0, 9))),),
        first_article=draw(st.booleans()),
    )


def second(manifest: Manifest) -> Manifest:
    return manifest.model_copy(update={"dialect": "2.4"})


def test_a_name_is_no_title():
    assert slug("a--0") == "a--0"
    assert slug("Pump -- Slide") == "pump-slide"
    assert slug("Pump Slide v51") == "pump-slide-v51"
    assert slug("---") == slug("") == "part"
    assert slug("花瓶") != slug("Лампа") == slug("Лампа") != "part"


@settings(max_examples=60, deadline=None)
@given(manifests())
def test_what_is_written_is_read_back(manifest):
    assert read(write(manifest).encode(), "okh.toml") == manifest


@settings(max_examples=150, deadline=None)
@given(second_tables())
def test_a_manifest_of_2_read_and_written_loses_nothing(table):
    try:
        manifest = read(tomli_w.dumps(table).encode(), "okh.toml")
    except Refused:
        assume(False)
    text = write(manifest)
    assert read(text.encode(), "okh.toml") == second(manifest)
    out = tomllib.loads(text)
    assert not lost_at_the_top(table, out)
    assert not lost_in_our_table(table, out)
    for entry, written in zip(table["part"], out.get("part", []), strict=True):
        assert not lost_of_a_part(entry, table["cosmolocal"]["part"], written, out["cosmolocal"])


def stands(value, key, *places) -> bool:
    return any(key in place and _same(value, place[key]) for place in places)


def lost_at_the_top(table, out) -> list[str]:
    places = out, out.get("cosmolocal", {}).get("kept", {})
    return [
        key
        for key, value in table.items()
        if key not in {"okhv", "part", "cosmolocal"}
        and not stands(value, key, *places)
        and not stands(value, RENAMED.get(key, key), *places)
    ]


def lost_in_our_table(table, out) -> list[str]:
    own, said = out.get("cosmolocal", {}), dict(table["cosmolocal"])
    said.pop("part")
    waits = said.pop("kept", {})
    lost = [key for key, value in said.items() if not stands(value, key, own)]
    return lost + [
        key
        for key, value in waits.items()
        if key not in {*table, *RENAMED, "okhv"}
        and not stands(value, key, out, own.get("kept", {}))
    ]


def lost_of_a_part(entry, said, written, own) -> list[str]:
    its, before = own["part"][slug(entry["name"])], dict(said.get(entry["name"], {}))
    waits = before.pop("kept", {})
    lost = [key for key, value in before.items() if not stands(value, key, its)]
    return lost + [
        key
        for key, value in (entry | waits).items()
        if not stands(value, key, written, its.get("kept", {}))
    ]


WORDS_OF_FIRST = (
    *("description", "intended-use", "license", "licensor", "project-link", "version", "image"),
    *("bom", "made", "contributors", "manufacturing-files", "keywords", "contact", "unheard-of"),
    *("derivative-of", "archive-download", "documentation-language"),
)
FIRST = st.fixed_dictionaries(
    {"title": SHORT}, optional=dict.fromkeys(WORDS_OF_FIRST, TEXT | ANYTHING)
)


@settings(max_examples=100, deadline=None)
@given(FIRST)
def test_a_manifest_of_1_read_and_written_loses_nothing(table):
    plain = yaml.safe_dump(table, allow_unicode=True).encode()
    try:
        raw = parse(plain, "okh.yml").table
        manifest = read(plain, "okh.yml")
    except (Refused, ValueError):
        assume(False)  # YAML's own dump uses aliases and tags, which we do not take
    text = write(manifest)
    assert read(text.encode(), "okh.toml") == second(manifest)
    out = tomllib.loads(text)
    own = out.get("cosmolocal", {})
    places = (out, own.get("okh-1", {}), own.get("kept", {}))
    values = [value for place in places for value in place.values()]
    for key, value in raw.items():
        assert any(_same(value, each) for each in values), key


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | TEXT.map(str.encode), st.sampled_from(["okh.toml", "okh.yml"]))
def test_no_bytes_make_it_stumble(data, name):
    report = lint(data, name)
    try:
        read(data, name)
    except Refused:
        assert report.verdict == "refused"


def test_our_own_manifests_miss_nothing():
    home = Path("designs/library")
    for name in slugs():
        data = (home / name.replace("-", "_") / "okh.toml").read_bytes()
        manifest = read(data, "okh.toml")
        assert not manifest.missing
        assert manifest.dialect == "2.4"
        assert all(p.process and p.material and p.file for p in manifest.parts)
        report = lint(data, "okh.toml")
        assert report.verdict == "valid"
        assert {r.level.value for r in report.remarks} <= {"note"}, report.remarks
        assert tomllib.loads(convert(manifest)) == tomllib.loads(data.decode())


def test_version_1_yaml():
    manifest = read(
        b"# SPDX-License-Identifier: CC0-1.0\ntitle: Shelf\ndescription: Holds\n  books\n"
        b"license:\n  hardware: CC BY-SA 4.0\nlicensor:\n  name: Ada\n  affiliation: Engines\n"
        b"project-link: https://example.org\nmade: true\ndate-created: 2020-05-06\n"
        b"manufacturing-files:\n  - path: shelf.dxf\n    title: the shelf\nversion: 1.10\n"
        b"contributors:\n  - name: Grace\nbom: bom.csv\n",
        "okh.yml",
    )
    assert (manifest.dialect, manifest.title, manifest.function) == ("1.0", "Shelf", "Holds books")
    assert (manifest.licence, manifest.licensor) == ("CC-BY-SA-4.0", "Ada")
    assert manifest.exports == ("shelf.dxf",)
    assert manifest.missing == ()
    assert manifest.version == "1.10"
    out = tomllib.loads(convert(manifest))
    assert out["license"] == "CC-BY-SA-4.0"
    assert out["licensor"] == {"name": "Ada"}
    assert out["bom"] == "bom.csv"
    assert out["cosmolocal"]["contributor"] == [{"name": "Grace"}]
    first = out["cosmolocal"]["okh-1"]
    assert first["licensor"] == {"name": "Ada", "affiliation": "Engines"}
    assert first["made"] is True
    assert first["date-created"] == date(2020, 5, 6)
    assert convert(manifest).startswith("# SPDX-License-Identifier: CC0-1.0\n\nokhv")


def test_of_a_key_given_twice_the_last_counts_and_the_first_is_kept():
    data = b"title: A\nproject-link: https://a.org\nproject-link: https://b.org\n"
    manifest = read(data, "okh.yml")
    assert manifest.repo == "https://b.org"
    out = tomllib.loads(write(manifest))
    assert out["cosmolocal"]["overruled"] == {"project-link": ["https://a.org"]}
    (remark,) = [r for r in lint(data, "okh.yml").remarks if "twice" in r.what]
    assert (remark.field, remark.line) == ("project-link", 3)


def test_losh_toml_with_parts_of_the_old_kind():
    manifest = read(
        b'okhv = "OKH-LOSHv1.0"\nname = "Box"\nspdx-license = "MIT"\n'
        b'licensor = ["Ada <ada@example.org>", {name = "Grace"}]\nforkOf = "https://example.org/a"\n'
        b'image = [{location = "box.png", slots = ["photo-thing-main"]}]\n'
        b'[[part]]\nname = "Side Wall"\ntsdc = "LAS"\nexport = ["side.pdf", "side.DXF"]\n'
        b'[cosmolocal.part."Side Wall"]\nquantity = 2\n',
        "okh.toml",
    )
    assert manifest.dialect == "LOSH"
    assert manifest.licensor == "Ada, Grace"
    assert manifest.forked_from == "https://example.org/a"
    assert manifest.image == "box.png"
    assert manifest.missing == ("function", "repo")
    (side,) = manifest.parts
    assert (side.name, side.file, side.process) == ("side-wall", "side.DXF", "laser_cutting")
    assert (side.title, side.quantity) == ("Side Wall", 2)
    out = tomllib.loads(write(manifest))
    assert out["licensor"] == ["Ada <ada@example.org>", {"name": "Grace"}]
    assert out["fork-of"] == "https://example.org/a"
    assert out["part"][0]["export"] == ["side.pdf", "side.DXF"]


def test_our_table_carries_what_okh_has_no_field_for():
    manifest = read(
        b'okhv = "2.4"\n[[part]]\nname = "post"\nexport = "post.stl"\ntsdc = "3DP"\n'
        b"[cosmolocal]\nfirst_article = true\n"
        b'[[cosmolocal.contributor]]\nname = "Ada"\nshare = 3\n'
        b'[cosmolocal.part.post]\nmaterial = "petg"\ntolerance_mm = 0.2\nquantity = 4\n'
        b"recipe = { locked = true, walls = 4 }\n"
        b'[[cosmolocal.part.post.inspection]]\nkind = "dimension"\nwhat = "peg"\n'
        b"nominal_mm = 8\nminus_mm = 0.1\nplus_mm = 0\n"
        b'[[cosmolocal.part.post.alternative]]\nfile = "post-mk4.gcode"\nmachine_class = "mk4"\n',
        "okh.toml",
    )
    (post,) = manifest.parts
    assert manifest.first_article
    assert manifest.contributors == (Contributor(name="Ada", share=3),)
    assert post.recipe == Recipe(locked=True, walls=4)
    assert post.inspection[0].nominal_mm == 8
    assert post.alternatives == (AlternativeEntry(file="post-mk4.gcode", machine_class="mk4"),)
    assert (post.material, post.tolerance_mm, post.quantity) == ("petg", 0.2, 4)


def test_what_does_not_fit_waits_beside_and_comes_back():
    manifest = read(
        b'okhv = "2.4"\nname = "x"\nmass = "heavy"\nbom = 5\nlicense = "cc by 4.0"\n', "a.toml"
    )
    out = tomllib.loads(write(manifest))
    assert "mass" not in out
    assert out["license"] == "CC-BY-4.0"
    assert out["cosmolocal"]["kept"]["mass"] == "heavy"
    assert out["cosmolocal"]["kept"]["license"] == "cc by 4.0"
    assert read(write(manifest).encode(), "a.toml") == manifest


def test_what_was_written_since_counts_more_than_what_waits():
    was = write(read(b'okhv = "2.4"\nlicense = "cc by 4.0"\nlicensor = 5\n', "a.toml"))
    now = was.replace('license = "CC-BY-4.0"', 'license = "MIT"')
    manifest = read(now.encode(), "a.toml")
    assert (manifest.licence, manifest.licensor) == ("MIT", "5")
    out = tomllib.loads(write(manifest))
    assert (out["license"], out["cosmolocal"]["kept"]["license"]) == ("MIT", "cc by 4.0")
    assert read(write(manifest).encode(), "a.toml") == manifest


def test_an_answer_replaces_the_words_that_stood_there():
    manifest = read(b'okhv = "2.4"\nlicensor = ["Ada <ada@a.org>"]\nlicense = "?"\n', "a.toml")
    said = manifest.saying(licensor="Grace", licence="MIT")
    out = tomllib.loads(write(said))
    assert (out["licensor"], out["license"]) == ("Grace", "MIT")
    assert "cosmolocal" not in out


@pytest.mark.parametrize("field", ["name", "function", "license", "licensor", "repo"])
def test_converting_names_what_is_missing(field):
    whole = {
        "name": 'name = "x"',
        "function": 'function = "holds"',
        "license": 'license = "MIT"',
        "licensor": 'licensor = "Ada"',
        "repo": 'repo = "https://a.org"',
    }
    convert(read("\n".join(whole.values()).encode(), "okh.toml"))
    short = "\n".join(line for name, line in whole.items() if name != field)
    with pytest.raises(DesignRefused) as caught:
        convert(read(short.encode(), "okh.toml"))
    assert [f.where for f in caught.value.findings] == [field]
    assert FIELDS[field].example in caught.value.findings[0].do


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ('license = "free for all"', "license"),
        ('repo = "git@github.com:a/b"', "repo"),
        ('[[part]]\nname = "a"', "part.0"),
        ('[[part]]\nname = "a"\nexport = "../a.stl"', "part.0.export"),
    ],
)
def test_converting_gives_valid_2_4_or_nothing(line, where):
    base = 'name = "x"\nfunction = "f"\nlicense = "MIT"\nlicensor = "A"\nrepo = "https://a.org"\n'
    key = line.split(" ", 1)[0]
    kept = "".join(each + "\n" for each in base.splitlines() if not each.startswith(f"{key} "))
    with pytest.raises(DesignRefused) as caught:
        convert(read((kept + line).encode(), "okh.toml"))
    assert [f.where for f in caught.value.findings] == [where]


def test_numbers_of_yaml_stay_as_they_were_written():
    table = parse(
        b"a: 1.10\nb: 0x1F\nc: no\nd: 007\ne: 2020-01-02\nf: '5'\ng: 5\nh: .inf\n", "y.yml"
    ).table
    assert table == {
        "a": "1.10", "b": "0x1F", "c": "no", "d": "007", "e": date(2020, 1, 2), "f": "5", "g": 5,
        "h": ".inf",
    }  # fmt: skip
    assert not any(isinstance(v, float) and not math.isfinite(v) for v in table.values())


def test_real_manifests():
    if not REAL.exists():
        pytest.skip("the real designs are not on this machine")
    licences = {}
    for file in REAL.glob("*/okh.*"):
        manifest = read(file.read_bytes(), file.name)
        licences[file.parent.name] = manifest.licence
        assert lint(file.read_bytes(), file.name).verdict == "valid"
        again = read(convert(manifest).encode(), "okh.toml")
        assert again == second(manifest)
    assert licences == {
        "agrocircle": "CC-BY-SA-4.0",
        "meditationbench": "CERN-OHL-S-2.0",
        "nimble": "CERN-OHL-S-2.0",
        "switch-plate": "CC-BY-SA-4.0",
    }
