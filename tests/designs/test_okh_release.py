"""A published release as a manifest that any other catalogue can read."""

import tomllib

import pytest

from designs.design import (
    Alternative,
    Bought,
    Check,
    Contributor,
    File,
    MeshFacts,
    Part,
    Recipe,
    Release,
    Role,
)
from designs.errors import DesignRefused
from designs.okh import AlternativeEntry, lint, of_release, read
from designs.okh.release import Made

FACTS = MeshFacts(
    size_mm=(20, 20, 20), volume_mm3=8000, area_mm2=2400, triangles=12, shells=1, watertight=True
)
HOME = "https://city.example/releases/abc"


def a_file(name: str, role: Role) -> File:
    kind = name.rsplit(".", 1)[-1].lower()
    return File(
        name=name, sha256=f"{len(name):x}".rjust(64, "0"), size_bytes=9, role=role, format=kind
    )


STL, GCODE = a_file("hook.stl", Role.EXPORT), a_file("hook-mk4.gcode", Role.PROGRAM)
FILES = (
    STL,
    GCODE,
    a_file("hook.FCStd", Role.SOURCE),
    a_file("bom.csv", Role.BOM),
    a_file("build it.md", Role.INSTRUCTIONS),
    a_file("photo-of-it.jpg", Role.IMAGE),
)
HOOK = Part(
    name="hook",
    title="Hook",
    process="3d_printing_fdm",
    material="petg",
    quantity=2,
    tolerance_mm=0.2,
    file_sha256=STL.sha256,
    file_name=STL.name,
    format="stl",
    facts=FACTS,
    recipe=Recipe(locked=True, walls=4),
    inspection=(Check(kind="dimension", what="peg", nominal_mm=8, minus_mm=0.1, plus_mm=0),),
    alternatives=(
        Alternative(
            file_name=GCODE.name, file_sha256=GCODE.sha256, format="gcode", machine_class="mk4"
        ),
    ),
)


def a_release(**changes) -> Release:
    given = {
        "design": "wall-hook",
        "version": "1.0.0",
        "title": "Wall hook",
        "function": "Holds a coat.",
        "licence": "CERN-OHL-W-2.0",
        "licensor": "Ada",
        "repo": "https://codeberg.org/ada/hook",
        "parts": (HOOK,),
        "files": FILES,
        "bought": (Bought(name="screw", quantity=2),),
        "contributors": (Contributor(name="Ada", share=3), Contributor(name="Grace")),
        "first_article": True,
    }
    return Release.model_validate(given | changes)


def test_the_record_comes_back_from_its_own_manifest():
    release = a_release()
    text = of_release(release, HOME, made=Made(total=12, independently=3))
    report = lint(text.encode(), "okh.toml")
    assert report.verdict == "valid"
    assert {r.field for r in report.remarks} == {"documentation-language"}
    manifest = read(text.encode(), "okh.toml")
    (part,) = manifest.parts
    for name in (
        "title",
        "process",
        "material",
        "quantity",
        "tolerance_mm",
        "recipe",
        "inspection",
    ):
        assert getattr(part, name) == getattr(HOOK, name)
    assert part.alternatives == (AlternativeEntry(file=GCODE.name, machine_class="mk4"),)
    assert part.file == "hook.stl"
    for name in ("title", "function", "version", "licence", "licensor", "repo", "bought"):
        assert getattr(manifest, name) == getattr(release, name)
    assert (manifest.contributors, manifest.first_article) == (release.contributors, True)
    assert (manifest.sources, manifest.bom) == (("hook.FCStd",), ("bom.csv",))
    assert (manifest.instructions, manifest.image) == (("build it.md",), "photo-of-it.jpg")
    own = tomllib.loads(text)["cosmolocal"]
    assert (own["release"], own["made"], own["made_independently"]) == (release.sha256, 12, 3)
    assert {file["name"]: file["sha256"] for file in own["file"]} == {
        file.name: file.sha256 for file in FILES
    }


def test_required_fields_stand_at_the_top_and_files_have_addresses():
    out = tomllib.loads(of_release(a_release(), HOME, address=lambda f: f"{HOME}/files/{f.sha256}"))
    assert out.keys() >= {"okhv", "name", "repo", "license", "licensor", "function", "version"}
    assert out["okhv"] == "2.4"
    assert all(
        file["url"] == f"{HOME}/files/{file['sha256']}" for file in out["cosmolocal"]["file"]
    )
    assert "made" not in out["cosmolocal"]


@pytest.mark.parametrize("repo", [None, "git@codeberg.org:ada/hook"])
def test_without_a_repository_its_page_stands_for_it(repo):
    assert tomllib.loads(of_release(a_release(repo=repo), HOME))["repo"] == HOME


def test_the_designers_own_words_stay():
    manifest = read(
        b"# SPDX-License-Identifier: CC0-1.0\n"
        b'okhv = "2.4"\nname = "Wall hook"\nversion = "0.9.0"\nlicense = "CERN-OHL-W-2.0"\n'
        b'licensor = [{name = "Ada", email = "ada@example.org"}]\n'
        b'cpc-patent-class = "A47G 25/06"\nx-ours = {a = 1}\n'
        b'[[part]]\nname = "Hook"\nexport = ["hook.stl", "hook.step"]\nmass = 12\n'
        b"[cosmolocal.part.hook]\nquantity = 1\nseen-by = 'Grace'\n",
        "okh.toml",
    )
    text = of_release(a_release(), HOME, published_with=manifest)
    out = tomllib.loads(text)
    assert text.startswith("# SPDX-License-Identifier: CC0-1.0")
    assert out["licensor"] == [{"name": "Ada", "email": "ada@example.org"}]
    assert out["cpc-patent-class"] == "A47G 25/06"
    assert out["x-ours"] == {"a": 1}
    assert out["version"] == "1.0.0"
    assert out["part"][0]["mass"] == 12
    assert out["part"][0]["export"] == ["hook.stl", "hook.step"]
    own = out["cosmolocal"]["part"]["hook"]
    assert (own["quantity"], own["seen-by"]) == (2, "Grace")


def test_a_release_that_cannot_be_valid_is_refused_by_name():
    with pytest.raises(DesignRefused) as caught:
        of_release(a_release(repo=None), "city")
    assert [finding.where for finding in caught.value.findings] == ["repo"]
