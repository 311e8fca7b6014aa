"""From a manifest into a release, and out again as OKH 2.4."""

import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from designs import okh
from designs.design import Recipe, Role
from designs.errors import DesignRefused, Finding, Severity
from designs.geometry.drawing import drawing_facts, read_drawing
from orchestrator.app import create_app
from orchestrator.catalogue import intake, model, service
from orchestrator.catalogue.drafts import Drafts
from orchestrator.catalogue.model import Answers, PartDraft
from orchestrator.catalogue.service import Examined, Terms
from orchestrator.dispatch.signing import Signer
from orchestrator.settings import Settings
from orchestrator.store import Store

SQUARE = """<svg xmlns="http://www.w3.org/2000/svg" width="40mm" height="40mm" viewBox="0 0 40 40">
<path d="M0 0H40V40H0Z"/></svg>"""
MANIFEST = """\
# SPDX-License-Identifier: CC0-1.0
okhv = "2.4"
name = "Coaster"
version = "1.0.0"
license = "CERN-OHL-S-2.0"
licensor = ["Ada Lovelace <ada@example.org>"]
function = "Keeps a table dry."
manufacturing-instructions = "how.txt"
bom = "things.csv"
x-ours = { kept = ["word", "for word"] }

[[part]]
name = "plate"
export = "plate.svg"
tsdc = "LAS"

[cosmolocal]
first_article = true

[[cosmolocal.contributor]]
name = "Grace"
share = 2

[cosmolocal.part.plate]
material = "plywood"
thickness_mm = 3
alternative = [
  { file = "plate-k40.gcode", machine_class = "k40" },
  { file = "plate-2.svg" },
]
"""
FILES = {
    "okh.toml": MANIFEST,
    "plate.svg": SQUARE,
    "plate-2.svg": SQUARE.replace("40", "41"),
    "plate-k40.gcode": "G21\n",
    "how.txt": "Cut it.",
    "things.csv": "name,quantity\n",
    "README.md": "A coaster",
    "spare.nc": "G21\n",
}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/test.db", tmp_path / "blobs")
    yield opened
    await opened.close()


def written(folder: Path, files: dict[str, str]) -> dict[str, Path]:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in files}


async def test_what_the_manifest_says_is_in_the_release(store: Store, tmp_path: Path) -> None:
    published = await service.publish(store, written(tmp_path / "d", FILES), Answers())
    release = published.release
    (plate,) = release.parts
    assert [(a.file_name, a.machine_class, a.format) for a in plate.alternatives] == [
        ("plate-k40.gcode", "k40", "gcode"),
        ("plate-2.svg", None, "svg"),
    ]
    assert release.first_article
    assert [(c.name, c.share) for c in release.contributors] == [("Grace", 2)]
    assert {file.name: file.role for file in release.files} == {
        "okh.toml": Role.MANIFEST,
        "plate.svg": Role.EXPORT,
        "plate-2.svg": Role.EXPORT,
        "plate-k40.gcode": Role.PROGRAM,
        "how.txt": Role.INSTRUCTIONS,
        "things.csv": Role.BOM,
        "README.md": Role.DOCUMENT,
        "spare.nc": Role.PROGRAM,
    }


def of_a_place(where: str) -> Finding:
    return Finding(
        severity=Severity.NOTE, where=where, what="a corner", do="look", picture="finding-1"
    )


async def test_an_export_for_a_class_of_machine_is_read_as_the_part_itself_is(
    store: Store, tmp_path: Path
) -> None:
    for_our_laser = '  { file = "plate-2.svg", machine_class = "laser-400" },'
    said = MANIFEST.replace('  { file = "plate-2.svg" },', for_our_laser)
    files = written(tmp_path / "d", FILES | {"okh.toml": said})

    def seen(part: PartDraft) -> Examined:
        facts = drawing_facts(read_drawing(files[part.file_name], "svg"))
        return Examined(facts=facts, findings=(of_a_place(part.file_name),), pictures={})

    published = await service.publish(store, files, Answers(), Terms(seen=seen))
    (plate,) = published.release.parts
    program, export = plate.alternatives
    assert program.facts is None
    assert export.facts is not None
    assert export.facts.size_mm == pytest.approx((41, 41))
    assert plate.on("generic-laser-400").file_name == "plate-2.svg"
    assert plate.on("k40") == plate
    pictures = {each.where: each.picture for each in published.findings}
    assert (pictures["plate.svg"], pictures["plate-2.svg"]) == ("finding-1", None)
    (other,) = [each for each in published.findings if each.where == "plate for laser-400"]
    assert other.severity is Severity.WARNING
    assert other.what.startswith(
        "plate-2.svg is 41.0 × 41.0 mm and 16.81 cm², but plate.svg is 40.0 × 40.0 mm and 16 cm²"
    )
    app = create_app(Settings(data_dir=tmp_path), store, Signer.open(tmp_path / "k"), lambda: True)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:
        shown = (await client.get(f"/releases/{published.release.sha256}")).text
    assert "what labs with such a machine are sent, 41.0 × 41.0 mm" in shown
    wrong = export.model_copy(update={"facts": plate.facts})
    lied = plate.model_copy(update={"alternatives": (program, wrong)})
    with pytest.raises(DesignRefused, match=r"plate-2\.svg"):
        await intake.adopt(store, published.release.model_copy(update={"parts": (lied,)}), files)


async def test_a_draft_says_that_an_export_is_another_shape(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def examine(part: PartDraft, path: Path, _: Path) -> Examined:
        return Examined(facts=drawing_facts(read_drawing(path, "svg")), findings=(), pictures={})

    monkeypatch.setattr(service, "examine", examine)
    for_our_laser = '  { file = "plate-2.svg", machine_class = "laser-400" },'
    said = MANIFEST.replace('  { file = "plate-2.svg" },', for_our_laser)
    drafts = Drafts(store)
    begun = await drafts.begin()
    for name, path in written(tmp_path / "d", FILES | {"okh.toml": said}).items():
        await drafts.add(begun.id, name, path)
    seen = await drafts.look(begun.id)
    assert [each.severity for each in seen.findings if each.where == "plate for laser-400"] == [
        Severity.WARNING
    ]
    assert seen.ready


async def test_a_missing_alternative_is_named(store: Store, tmp_path: Path) -> None:
    short = {name: text for name, text in FILES.items() if name != "plate-k40.gcode"}
    with pytest.raises(DesignRefused, match=r"plate-k40\.gcode"):
        await service.publish(store, written(tmp_path / "d", short), Answers())


async def test_what_no_record_can_hold_is_refused_in_words(store: Store, tmp_path: Path) -> None:
    long = FILES | {"okh.toml": MANIFEST.replace('"1.0.0"', '"first try"')}
    with pytest.raises(DesignRefused) as caught:
        await service.publish(store, written(tmp_path / "d", long), Answers())
    assert [finding.where for finding in caught.value.findings] == ["version"]


async def test_a_release_is_had_as_a_manifest(store: Store, tmp_path: Path) -> None:
    published = await service.publish(store, written(tmp_path / "d", FILES), Answers())
    sha256 = published.release.sha256
    app = create_app(Settings(data_dir=tmp_path), store, Signer.open(tmp_path / "k"), lambda: True)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:
        answer = await client.get(f"/releases/{sha256}/okh.toml")
        assert (await client.get(f"/releases/{'0' * 64}/okh.toml")).status_code == 404
        shown = (await client.get(f"/releases/{sha256}")).text
        assert "for k40: to be taken along, no lab is sent it" in shown
        app.state.public_url = "https://made.example"
        public = tomllib.loads((await client.get(f"/releases/{sha256}/okh.toml")).text)
        assert public["repo"] == f"https://made.example/releases/{sha256}"
        out = tomllib.loads(answer.text)
        for file in out["cosmolocal"]["file"]:
            assert (await client.get(file["url"])).content == (
                tmp_path / "d" / file["name"]
            ).read_bytes()
    assert answer.headers["content-type"].startswith("application/toml")
    assert okh.lint(answer.content, "okh.toml").verdict == "valid"
    assert out["repo"] == f"http://city.test/releases/{sha256}"
    assert out["x-ours"] == {"kept": ["word", "for word"]}
    assert out["licensor"] == ["Ada Lovelace <ada@example.org>"]
    assert out["cosmolocal"]["release"] == sha256
    again = model.draft_of_manifest(okh.read(answer.content, "okh.toml"), list(FILES), Answers())
    assert again.parts[0].alternatives == (
        okh.AlternativeEntry(file="plate-k40.gcode", machine_class="k40"),
        okh.AlternativeEntry(file="plate-2.svg"),
    )


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("BOM.csv", Role.BOM),
        ("sBoM.csv", Role.BOM),
        ("Switch_Plate_GoPro_Compatible_BOM.csv", Role.BOM),
        ("bombs.csv", Role.DOCUMENT),
        ("readings.csv", Role.DOCUMENT),
        ("Assembly Guide.pdf", Role.INSTRUCTIONS),
        ("docs/maker_guide.md", Role.INSTRUCTIONS),
        ("README.md", Role.DOCUMENT),
        ("plate.nc", Role.PROGRAM),
        ("hook.GCODE", Role.PROGRAM),
        ("hook.FCStd", Role.SOURCE),
        ("make.py", Role.SOURCE),
        ("photo.JPG", Role.IMAGE),
        ("okh.yml", Role.MANIFEST),
    ],
)
def test_what_a_file_is_for_by_its_name(name: str, role: Role) -> None:
    assert model.role(name, ()) is role


async def test_a_turn_of_more_than_one_round_is_taken_in_by_no_door(
    store: Store, tmp_path: Path
) -> None:
    once = "thickness_mm = 3\nrecipe = { orientation_deg = [0, 360, 0] }"
    taken = FILES | {"okh.toml": MANIFEST.replace("thickness_mm = 3", once)}
    published = await service.publish(store, written(tmp_path / "d", taken), Answers())
    (plate,) = published.release.parts
    assert plate.recipe == Recipe(orientation_deg=(0, 360, 0))
    too_far = taken | {"okh.toml": taken["okh.toml"].replace("360", "361")}
    with pytest.raises(DesignRefused, match=r"orientation_deg 2: 361 is out of bounds.*up to 360"):
        await service.publish(store, written(tmp_path / "e", too_far), Answers())
    old = plate.model_copy(update={"recipe": Recipe(orientation_deg=(0, 361, 0))})
    elsewhere = published.release.model_copy(update={"parts": (old,), "version": "2.0.0"})
    files = {name: tmp_path / "d" / name for name in taken}
    with pytest.raises(DesignRefused, match=r"plate: orientation_deg 2.*up to 360"):
        await intake.adopt(store, elsewhere, files)


async def test_what_the_manifest_names_and_nobody_sent_is_warned_of(
    store: Store, tmp_path: Path
) -> None:
    files = {name: text for name, text in FILES.items() if name != "things.csv"}
    published = await service.publish(store, written(tmp_path / "d", files), Answers())
    (missing,) = [f for f in published.findings if "names it" in f.what]
    assert (missing.severity, missing.where) == (Severity.WARNING, "things.csv")


async def test_what_is_said_of_a_part_that_is_not_there_is_not_dropped(
    store: Store, tmp_path: Path
) -> None:
    said = MANIFEST.replace("[cosmolocal.part.plate]", "[cosmolocal.part.plaet]")
    files = written(tmp_path / "d", FILES | {"okh.toml": said})
    with pytest.raises(DesignRefused, match=r"cosmolocal\.part\.plaet: .* there are plate"):
        await service.publish(store, files, Answers())


async def test_an_answer_that_is_too_long_is_said_at_the_door(store: Store, tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path), store, Signer.open(tmp_path / "k"), lambda: True)
    token = {"Authorization": f"Bearer {app.state.operator_token}"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:
        answer = await client.post(
            "/api/designs",
            data={"title": "x" * 201},
            files={"files": ("plate.svg", SQUARE)},
            headers=token,
        )
    assert answer.status_code == 422
    assert "title: it has to have at most 200" in answer.json()["detail"]


async def test_a_nul_in_an_address_or_a_body_is_no_defect(any_store: Store, tmp_path: Path) -> None:
    made = Signer.open(tmp_path / "k")
    app = create_app(Settings(data_dir=tmp_path), any_store, made, lambda: True)
    token = {"Authorization": f"Bearer {app.state.operator_token}"}
    wish = {"design": "a\0", "lat": 1, "lon": 1}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:
        asked = [
            await client.get("/designs/%00"),
            await client.get("/api/designs/a?version=%00"),
            await client.post("/api/quotes", json=wish, headers=token),
        ]
    assert {answer.status_code for answer in asked} <= {404, 422}
