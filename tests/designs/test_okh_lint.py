"""What is said about a manifest, and what hostile ones come to."""

import time

import pytest

from designs import okh
from designs.errors import Refused
from designs.okh import Level, lint, read
from designs.okh.fields import FIELDS, out_of_reach, path_fault, reference_fault

GOOD = """\
okhv = "2.4"
name = "Lantern"
repo = "https://codeberg.org/ada/lantern"
version = "1.0.0"
license = "CERN-OHL-S-2.0"
licensor = "Ada Lovelace <ada@example.org>"
function = "Gives light."
documentation-language = "en"
image = "lantern.jpg"
bom = "bom.csv"
manufacturing-instructions = "build.md"
source = "lantern.FCStd"

[[part]]
name = "screen"
export = "screen.dxf"
tsdc = "LAS"

[cosmolocal.part.screen]
material = "plywood"
thickness_mm = 3
"""


def remarks(text: str, name: str = "okh.toml", present=None):
    return lint(text.encode(), name, present).remarks


def without(key: str) -> str:
    head, parts = GOOD.split("[[part]]")
    lines = (line for line in head.splitlines() if not line.startswith(f"{key} ="))
    return "".join(f"{line}\n" for line in lines) + "[[part]]" + parts


def test_of_a_good_manifest_there_is_nothing_to_say():
    report = lint(GOOD.encode(), "okh.toml", lambda _: True)
    assert (report.verdict, report.remarks, report.missing) == ("valid", (), ())


@pytest.mark.parametrize("key", [f.name for f in FIELDS.values() if f.weight == "essential"])
def test_an_essential_field_is_named_with_its_reason_and_an_example(key):
    report = lint(without(key).encode(), "okh.toml")
    (remark,) = report.remarks
    assert (report.verdict, report.missing) == ("incomplete", (key,))
    assert (remark.level, remark.field, remark.what) == (Level.ESSENTIAL, key, "is missing")
    assert remark.why == FIELDS[key].why
    assert lint((remark.example + "\n" + without(key)).encode(), "okh.toml").verdict == "valid"


@pytest.mark.parametrize("key", [f.name for f in FIELDS.values() if f.weight == "wished"])
def test_a_wished_field_is_missed_softly(key):
    (remark,) = remarks(without(key))
    assert remark.field == key
    assert remark.level is (Level.WARNING if key == "version" else Level.NOTE)


def test_every_field_explains_itself_and_its_example_fits():
    import tomllib

    for field in FIELDS.values():
        assert field.why
        plain = tomllib.loads(field.example)
        value = plain[field.name]
        if "…" not in field.example:
            assert field.fault(value) is None, field.name


@pytest.mark.parametrize(
    ("line", "level", "field", "at", "word"),
    [
        ('version = "1.0"', Level.WARNING, "version", 4, "semantic"),
        ('license = "free for all"', Level.ESSENTIAL, "license", 5, "SPDX"),
        ('license = "Frameworx-1.0"', Level.WARNING, "license", 5, "do not know"),
        ('license = "NOASSERTION"', Level.ESSENTIAL, "license", 5, "SPDX"),
        ('license = "LicenseRef-NONE"', Level.ESSENTIAL, "license", 5, "no licence"),
        ('license = "cc by 4.0"', Level.WARNING, "license", 5, "CC-BY-4.0"),
        ('license = "CC-BY-NC-4.0"', Level.NOTE, "license", 5, "paid"),
        ("license = 5", Level.ESSENTIAL, "license", 5, "quotes"),
        ('repo = "git@github.com:a/b"', Level.ESSENTIAL, "repo", 3, "https://"),
        ('repo = "ftp://a.org/b"', Level.ESSENTIAL, "repo", 3, "ftp"),
        ('repo = "http://169.254.169.254/x"', Level.WARNING, "repo", 3, "private"),
        ('repo = "http://localhost/x"', Level.WARNING, "repo", 3, "private"),
        ('image = "../../etc/passwd"', Level.REFUSAL, "image", 9, "leaves"),
        ('image = "/etc/passwd"', Level.REFUSAL, "image", 9, "below"),
        ('image = "file:///etc/passwd"', Level.REFUSAL, "image", 9, "file:"),
        ("bom = 5", Level.WARNING, "bom", 10, "path"),
        ('documentation-language = "English, mostly"', Level.WARNING, "documentation-language", 8, "tag"),
        ('export = "screen.stl"', Level.WARNING, "cosmolocal.part.screen.process", 19, "drawing"),
        ('export = "..\\\\x.dxf"', Level.REFUSAL, "part.0.export", 16, "plain"),
        ('material = "unobtainium"', Level.ESSENTIAL, "cosmolocal.part.screen.material", 20, "nobody"),
        ('thickness_mm = "three"', Level.REFUSAL, "cosmolocal.part.screen.thickness_mm", 21, "number"),
        ("thickness_mm = -3", Level.REFUSAL, "cosmolocal.part.screen.thickness_mm", 21, "above 0"),
        ("thickness_mm = true", Level.REFUSAL, "cosmolocal.part.screen.thickness_mm", 21, "true"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(line, level, field, at, word):
    key = line.split(" =")[0]
    text = "".join(
        f"{line if each.startswith(f'{key} =') else each}\n" for each in GOOD.splitlines()
    )
    found = remarks(text)
    assert any(
        (r.level, r.field, r.line) == (level, field, at) and word in r.what for r in found
    ), found


@pytest.mark.parametrize(
    ("more", "level", "field", "word"),
    [
        (
            "tolerence_mm = 0.1",
            Level.WARNING,
            "cosmolocal.part.screen.tolerence_mm",
            "tolerance_mm",
        ),
        ('process = "magic"', Level.ESSENTIAL, "cosmolocal.part.screen.process", "nobody"),
        (
            "[cosmolocal.part.scren]\nquantity = 2",
            Level.ESSENTIAL,
            "cosmolocal.part.scren",
            "not there",
        ),
        (
            "[cosmolocal]\nfirst_article = 1",
            Level.REFUSAL,
            "cosmolocal.first_article",
            "true or false",
        ),
        (
            "[[cosmolocal.bought]]\nquantity = 2",
            Level.REFUSAL,
            "cosmolocal.bought.0.name",
            "name: it is missing",
        ),
        ('[[part]]\nname = "post"', Level.ESSENTIAL, "part.1", "no file"),
        ('[[part]]\nname = "SCREEN"\nexport = "x.dxf"', Level.REFUSAL, "part.1", "two parts"),
        ("[x-ours]\na = 1", Level.NOTE, "x-ours", "not known"),
    ],
)
def test_what_was_added_wrongly_is_said(more, level, field, word):
    found = remarks(GOOD + more + "\n")
    assert any((r.level, r.field) == (level, field) and word in r.what for r in found), found


def test_a_file_that_is_not_there_is_missed():
    found = remarks(GOOD, present=lambda name: name not in {"screen.dxf", "bom.csv"})
    assert {(r.level, r.field, r.line) for r in found} == {
        (Level.ESSENTIAL, "part.0.export", 16),
        (Level.WARNING, "bom", 10),
    }


def test_no_path_that_leads_away_is_ever_asked_for():
    asked: list[str] = []
    wild = "../a", "/etc/passwd", "a/../../b", "file:///x", "C:\\x", "\\\\host\\x", "http://[::1]/x"
    lines = "".join(f"  '{path}',\n" for path in wild)
    lint(f"source = [\n{lines}]\n{without('source')}".encode(), "okh.toml", asked.append)
    assert set(asked) == {"lantern.jpg", "bom.csv", "build.md", "screen.dxf"}


@pytest.mark.parametrize(
    ("said", "is_one"),
    [("2020-13-40", False), ("2020-02-30", False), ("yesterday", False), ("[2020]", False),
     ("2020-02-29", True), ("2020-02-29T10:00:00Z", True)],
)  # fmt: skip
def test_a_date_that_is_none_is_told_with_its_line(said: str, *, is_one: bool):
    told = remarks(f"title: Shelf\ndate-created: {said}\n", "okh.yml")
    (*found,) = [(r.level, r.line) for r in told if r.field == "date-created"]
    assert found == ([] if is_one else [(Level.WARNING, 2)])
    first, parts = GOOD.split("[[part]]")
    in_toml = remarks(f'{first}date-updated = "{said}"\n[[part]]{parts}')
    assert any("no date" in r.what for r in in_toml) is not is_one


def test_version_1_is_told_in_its_own_words():
    report = lint(b"title: Shelf\nlicence: x\nlicense:\n  hardware: nonsense\n", "okh.yml")
    assert report.dialect == "1.0"
    told = {r.field: r for r in report.remarks}
    assert told["description"].example.startswith("description:")
    assert told["license.hardware"].line == 4
    assert {"licensor", "project-link"} <= told.keys()
    assert report.missing == ("function", "licensor", "repo")


@pytest.mark.parametrize(
    ("address", "away"),
    [
        ("https://codeberg.org/a", False),
        ("http://10.0.0.1/", True),
        ("http://[::1]/", True),
        ("http://[fe80::1]/", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://intranet/", True),
        ("http://printer.local/", True),
    ],
)
def test_addresses_that_nobody_else_reaches(address, away):
    assert out_of_reach(address) is away


def test_references_are_paths_below_or_addresses():
    for fine in ("a.stl", "x/y z.stl", "https://a.org/x", "ümlaut.stl"):
        assert reference_fault(fine) is None
    for wrong in (
        "",
        " ",
        5,
        None,
        "/a",
        "..",
        "a/..",
        "data:text/plain,x",
        "javascript:x",
        "a\nb",
    ):
        assert path_fault(wrong)
        assert reference_fault(wrong)


# Hostile manifests: each a clear refusal, in bounded time.
# ruff: noqa: E501 - a table with a row for each

HOSTILE = [
    ("yaml tag", b"a: !!python/object/apply:os.system [id]\n", "okh.yml", "YAML tag"),
    ("yaml local tag", b"title: !x y\n", "okh.yml", "YAML tag"),
    ("yaml binary", b"title: !!binary aGk=\n", "okh.yml", "YAML tag"),
    ("alias", b"a: &a [1]\nb: *a\n", "okh.yml", "aliases"),
    ("alias bomb", b"a: &a [x,x]\n" + b"".join(
        b"%c: &%c [*%c,*%c]\n" % (c + 1, c + 1, c, c) for c in range(97, 120)), "okh.yml", "aliases"),
    ("merge", b"a: &a {b: 1}\nc:\n  <<: *a\n", "okh.yml", "aliases"),
    ("yaml flow nesting", b"[" * 5000, "okh.yml", "cannot be read"),
    ("yaml block nesting", b"- " * 30_000, "okh.yml", "nested"),
    ("yaml question nesting", b"? " * 30_000, "okh.yml", "is a list or a table|nested"),
    ("yaml key nesting", b"".join(b" " * i + b"a:\n" for i in range(300)), "okh.yml", "nested"),
    ("yaml table as a name", b"? {a: 1}\n: 2\n", "okh.yml", "is a list or a table"),
    ("yaml documents", b"title: a\n---\ntitle: b\n", "okh.yml", "more than one document|expected"),
    ("yaml list", b"- 1\n- 2\n", "okh.yml", "no table"),
    ("yaml control", b'title: "a\x00b"\n', "okh.yml", "cannot be read"),
    ("yaml half a character", b'title: "\\uD800"\n', "okh.yml", "cannot be read"),
    ("yaml beyond unicode", b'title: "\\UFFFFFFFF"\n', "okh.yml", "cannot be read"),
    ("yaml long", b"title: " + b"a" * 70_000, "okh.yml", "too long"),
    ("yaml quotes", b"'" * 60_000, "okh.yml", "no table"),
    ("toml broken", b"name = ", "okh.toml", "cannot be read"),
    ("toml twice", b'name = "a"\nname = "b"\n', "okh.toml", "cannot be read"),
    ("toml arrays", b"a = " + b"[" * 5000, "okh.toml", "cannot be read|nested"),
    ("toml deep arrays", b"a = " + b"[" * 60 + b"]" * 60, "okh.toml", "nested"),
    ("toml inline tables", b"a = " + b"{a=" * 5000, "okh.toml", "cannot be read|nested"),
    ("toml dotted key", b"a." * 400_000 + b"a = 1", "okh.toml", "nested"),
    ("toml dotted header", b"[" + b"a." * 400_000 + b"a]", "okh.toml", "nested"),
    ("toml dotted in a line", b"x = {y = '''a'''''," + b'"b" . ' * 9000 + b"c = 1}", "okh.toml", "nested"),
    ("toml dotted lines", (b"a." * 2000 + b"a = 1\n") * 200, "okh.toml", "nested"),
    ("toml quotes", b'"' * 1_000_000, "okh.toml", "cannot be read"),
    ("toml backslashes", b'x = "' + b'\\"' * 500_000, "okh.toml", "cannot be read"),
    ("toml long bare word", b"a" * 1_000_000, "okh.toml", "cannot be read"),
    ("toml spaces", b"a" + b" " * 1_000_000, "okh.toml", "cannot be read"),
    ("toml open text", b'x = """' + b'\\"""' * 200_000, "okh.toml", "cannot be read"),
    ("toml nan", b"mass = nan\n", "okh.toml", "no number"),
    ("toml infinity", b"mass = -inf\n", "okh.toml", "no number"),
    ("toml huge number", b"mass = 0x" + b"f" * 100_000, "okh.toml", "64 bits"),
    ("toml digits", b"mass = " + b"9" * 100_000, "okh.toml", "cannot be read"),
    ("not utf-8", b"\xff\xfe", "okh.toml", "not UTF-8"),
    ("utf-16", 'name = "x"'.encode("utf-16"), "okh.toml", "not UTF-8"),
    ("larger than allowed", b"x" * (2**20 + 1), "okh.toml", "1 MiB"),
    ("parts that are text", b'part = "x"\n', "okh.toml", r"\[\[part\]\]"),
    ("parts that are numbers", b"part = [1, 2]\n", "okh.toml", r"\[\[part\]\]"),
    ("our table is text", b'cosmolocal = "x"\n', "okh.toml", "table"),
    ("our parts are text", b'[cosmolocal]\npart = "x"\n', "okh.toml", "table"),
    ("bought is text", b'[cosmolocal]\nbought = "x"\n', "okh.toml", "table for each"),
    ("too many", b'[[part]]\nname="a"\n[cosmolocal.part.a]\nquantity = 100000\n', "okh.toml", "quantity"),
    ("recipe is text", b'[[part]]\nname="a"\n[cosmolocal.part.a]\nrecipe = "x"\n', "okh.toml", "table"),
    ("kept is text", b'[cosmolocal]\nkept = "x"\n', "okh.toml", "table"),
    ("two parts", b'name = "x"\n[[part]]\nname = "a"\n[[part]]\nname = "A"\n', "okh.toml", "two parts"),
    ("a part told twice", b'[[part]]\nname = "A b"\n[cosmolocal.part]\n"A b" = {}\na-b = {}\n',
     "okh.toml", "twice"),
    ("many", b'[[part]]\nname="a"\n[cosmolocal.part.a]\nquantity = "many"\n', "okh.toml", "quantity"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "name", "why"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE]
)
def test_hostile_manifests_are_refused_with_the_reason(data, name, why):
    began = time.process_time()
    with pytest.raises(Refused, match=why) as caught:
        read(data, name)
    assert caught.value.where == name
    report = lint(data, name, present=lambda path: pytest.fail(f"looked for {path}"))
    assert report.verdict == "refused"
    assert report.remarks[0].what
    assert time.process_time() - began < 5


WRONG = ["5", "true", '""', "[]", "{}", "[{a = 1}]", "1979-05-27", '["", 5]', "{name = []}"]


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("key", sorted(FIELDS))
def test_a_value_of_the_wrong_kind_is_a_finding_or_nothing(key, value):
    text = f'"{key}" = {value}\n{without(key)}'
    report = lint(text.encode(), "okh.toml")
    manifest = read(text.encode(), "okh.toml")
    if FIELDS[key].fault(_value(value)) and key != "okhv":
        assert any(r.field == key for r in report.remarks), report
    assert manifest.parts[0].file == "screen.dxf"


def _value(text: str) -> object:
    import tomllib

    return tomllib.loads(f"x = {text}")["x"]


def test_a_slip_in_a_recipe_is_not_kept_in_silence() -> None:
    """`lock` for `locked`: nobody would follow what is meant to be followed exactly."""
    manifest = (
        b'okhv = "2.4"\n[[part]]\nname = "a"\n[cosmolocal.part.a]\n'
        b"recipe = { lock = true, walls = 3, infil_pct = 100 }\n"
    )
    found = {r.field: r.what for r in okh.slips(manifest, "okh.toml")}
    assert "is locked meant?" in found["cosmolocal.part.a.recipe.lock"]
    assert "is infill_pct meant?" in found["cosmolocal.part.a.recipe.infil_pct"]
    assert (
        okh.slips(manifest.replace(b"lock =", b"locked =").replace(b"infil", b"infill"), "okh.toml")
        == ()
    )
    (stray,) = okh.slips(
        manifest.replace(b'name = "a"', b'name = "b"').split(b"recipe")[0], "okh.toml"
    )
    assert (stray.field, "there are b" in stray.what) == ("cosmolocal.part.a", True)
    with pytest.raises(Refused, match=r"cosmolocal\.part\.a\.recipe: locked"):
        okh.read(manifest.replace(b"lock = true", b'locked = "yes"'), "okh.toml")


def test_what_the_losh_line_calls_otherwise_is_not_missing():
    text = GOOD.replace("license =", "spdx-license =").replace("2.4", "OKH-LOSHv1.0")
    told = lint(text.encode(), "okh.toml")
    assert told.verdict == "valid"
    (old,) = [r for r in told.remarks if r.field == "spdx-license"]
    assert (old.level, old.line, old.what) == (Level.NOTE, 5, "is called license since 2.4")

    (none, _) = [r for r in remarks(text.replace("CERN-OHL-S-2.0", "")) if r.field == old.field]
    assert (none.level, none.line) == (Level.ESSENTIAL, 5)
