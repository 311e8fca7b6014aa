"""Proposals: looked at before they are kept, accepted whole or not at all, on both databases."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import func, select

from designs import okh
from designs.design import OWN_WORK, Alternative, MeshFacts, Release
from designs.errors import DesignRefused, LimitExceeded
from orchestrator.catalogue import forks, lineage, versions
from orchestrator.catalogue import service as releases
from orchestrator.catalogue.model import Answers, Draft, draft_of_manifest
from orchestrator.catalogue.tables import ReleaseRow
from orchestrator.proposals import model, service
from orchestrator.proposals.model import (
    PROPOSAL_MOVES,
    Closed,
    PartChange,
    ProposalState,
    Seen,
    Side,
    Terms,
    View,
    Wish,
)
from orchestrator.proposals.tables import ProposalRow
from orchestrator.store import Store
from tests.designs.geometry import hostile, steps
from tests.orchestrator.dispatch.conftest import a_release

HOLE = 'r="6"'
SQUARE = f"""<svg xmlns="http://www.w3.org/2000/svg" width="40mm" height="40mm" viewBox="0 0 40 40">
<path d="M0 0H40V40H0Z"/><circle cx="20" cy="20" {HOLE}/></svg>"""
WIDER = SQUARE.replace(HOLE, 'r="9"')
OTHER = SQUARE.replace('<circle cx="20" cy="20" r="6"/>', "")
NOTES = "# Plate\n\nCut it.\n"
CY = Wish(author="Cy Moss", message="A wider hole,\nfor thicker cables")
TEN = Terms(share=10)


@dataclass
class Bench:
    """A store with one design, `plate`, with a manifest, a text and a drawing more."""

    store: Store
    folder: Path
    key: str = ""

    async def publish(self, *parts: str) -> Release:
        """`plate`, of one part or of those that are named."""
        names = parts or ("plate",)
        entries = [
            okh.PartEntry(name=name, title=name, file=f"{name}.svg", process="laser_cutting",
                          material="plywood", thickness_mm=3)
            for name in names
        ]  # fmt: skip
        manifest = okh.Manifest(
            title="Plate", function="Holds cables", version="1.0.0", licence="CERN-OHL-W-2.0",
            licensor="Ana Puig", parts=tuple(entries),
        )  # fmt: skip
        files = self.files(
            {
                "okh.toml": okh.write(manifest),
                "plate.svg": SQUARE,
                "lid.svg": OTHER,
                "notes.md": NOTES,
            }
        )
        made = await releases.publish(self.store, files, Answers())
        self.key = made.key or self.key
        return made.release

    def blobs(self) -> list[Path]:
        folder = self.folder.parent / "blobs"
        return [path for path in folder.rglob("*") if path.is_file()]

    def files(self, texts: dict[str, str]) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for number, (name, text) in enumerate(texts.items()):
            found[name] = self.folder / f"sent-{number}"
            found[name].write_text(text)
        return found

    async def propose(self, texts: dict[str, str], wish: Wish = CY) -> ProposalRow:
        row, _ = await service.propose(self.store, "plate", wish, self.files(texts))
        return row

    async def accept(self, row: ProposalRow, terms: Terms = TEN) -> ProposalRow:
        return await service.accept(self.store, row.id, self.key, terms)

    async def release(self, sha256: str | None) -> Release:
        assert sha256
        async with self.store.view() as unit:
            return await releases.release(unit, sha256)

    async def newest(self, design: str = "plate") -> Release:
        async with self.store.view() as unit:
            row = await releases.newest(unit, design)
        return Release.model_validate_json(row.manifest)

    async def count(self, table: type[ReleaseRow] | type[ProposalRow]) -> int:
        async with self.store.view() as unit:
            return await unit.session.scalar(select(func.count()).select_from(table)) or 0

    async def standing(self, row: ProposalRow) -> service.Standing:
        async with self.store.view() as unit:
            return await service.standing(unit, row.id)

    def texts(self, release: Release) -> dict[str, str]:
        return {f.name: self.store.blobs.read(f.sha256).decode() for f in release.files}


@pytest.fixture
async def bench(database_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    store = await Store.open(database_url, tmp_path / "blobs")
    (tmp_path / "sent").mkdir()
    yield Bench(store, tmp_path / "sent")
    await store.close()


# ── what is seen of it


async def test_a_proposal_tells_the_difference_of_facts_and_of_texts(bench: Bench) -> None:
    await bench.publish()
    row = await bench.propose({"plate.svg": WIDER, "notes.md": NOTES + "Sand it.\n"})
    seen = Seen.model_validate(row.seen)
    [part] = seen.parts
    assert (part.name, part.kind) == ("plate", "changed")
    told = {change.what: change for change in part.changes}
    assert told["area"].before > told["area"].after
    assert told["mass if solid"].share < -0.05
    assert told["smallest hole"].after == pytest.approx(18, abs=0.1)
    assert part.before != part.after
    for shot in (part.before, part.after):
        assert bench.store.blobs.read(shot or "").startswith(b"\x89PNG")
    [text] = seen.texts
    assert "+Sand it." in text.lines
    assert "stays under CERN-OHL-W-2.0" in seen.licence
    assert row.state == ProposalState.OPEN


async def test_parts_that_come_and_go_are_told(bench: Bench) -> None:
    await bench.publish("plate", "lid")
    manifest = bench.texts(await bench.newest())["okh.toml"].replace("lid", "foot")
    wish = CY.model_copy(update={"removed": ("lid.svg",)})
    row = await bench.propose({"foot.svg": OTHER, "okh.toml": manifest}, wish)
    seen = Seen.model_validate(row.seen)
    assert {(part.name, part.kind) for part in seen.parts} == {
        ("lid", "removed"),
        ("foot", "added"),
    }
    made = await bench.release((await bench.accept(row)).release)
    assert [part.name for part in made.parts] == ["plate", "foot"]
    assert "lid.svg" not in {file.name for file in made.files}


def _with(release: Release, *others: Alternative, file: str = "f") -> Release:
    changed = {"alternatives": others, "file_sha256": file * 64}
    return release.model_copy(update={"parts": (release.parts[0].model_copy(update=changed),)})


def test_what_labs_with_one_class_of_machine_are_sent_is_told_as_a_part_is() -> None:
    plain = a_release("f" * 64)
    facts = plain.parts[0].facts
    assert isinstance(facts, MeshFacts)
    larger = facts.model_copy(update={"size_mm": (300, 30, 20), "volume_mm3": 90_000})
    export = Alternative(
        file_name="hook-220.stl", file_sha256="a" * 64, format="stl", machine_class="fdm-220",
        facts=facts,
    )  # fmt: skip
    grown = export.model_copy(update={"file_sha256": "b" * 64, "facts": larger})
    program = export.model_copy(update={"file_sha256": "c" * 64, "facts": None})

    def told(before: Release, after: Release) -> list[tuple[str, str, set[str]]]:
        found = model.part_changes(before, after, {}, {})
        return [(each.name, each.title, {c.what for c in each.changes}) for each in found]

    grew = {"box", "volume", "mass if solid"}
    for before, after, figures in (
        (_with(plain, export), _with(plain, grown), grew),
        (plain, _with(plain, grown), {"made from", *grew}),
        (_with(plain, grown), plain, {"made from", *grew}),
        (plain, _with(plain, export), {"made from"}),
    ):
        assert told(before, after) == [("hook@1", "Hook for fdm-220", figures)]
    for same in (plain, _with(plain, export), _with(plain, program)):
        assert told(same, same) == []
    assert told(plain, _with(plain, program)) == []  # no lab is sent it
    both = told(_with(plain, program), _with(plain, program, file="e"))
    assert [name for name, _, _ in both] == ["hook"]
    [change] = model.part_changes(plain, _with(plain, grown), {}, {})
    assert change.sides == (
        model.Side(sha256="f" * 64, format="stl"), model.Side(sha256="b" * 64, format="stl"),
    )  # fmt: skip
    assert "Made from hook-220.stl instead of hook.stl. Box 40.00 × 30" in change.sentence
    foot = plain.parts[0].model_copy(update={"name": "foot", "title": "Foot"})
    no_hook = plain.model_copy(update={"parts": (foot,)})
    gone = model.part_changes(_with(plain, grown), no_hook, {}, {})
    assert [(each.name, each.kind) for each in gone] == [
        ("hook", "removed"), ("hook@1", "removed"), ("foot", "added"),
    ]  # fmt: skip


def test_a_manifest_that_takes_the_last_export_for_a_class_away_takes_it_away() -> None:
    export = Alternative(
        file_name="hook-220.stl", file_sha256="a" * 64, format="stl", machine_class="fdm-220"
    )
    base = _with(a_release("f" * 64), export)
    entry = okh.AlternativeEntry(file="hook-220.stl", machine_class="fdm-220")
    hook = okh.PartEntry(name="hook", title="Hook", file="hook.stl", alternatives=(entry,))
    silent = hook.model_copy(update={"alternatives": ()})
    three = silent.model_copy(update={"quantity": 3})
    names = ["hook.stl", "hook-220.stl", "okh.toml"]

    def said(part: okh.PartEntry) -> Draft:
        manifest = okh.Manifest(title="Hook", licence=base.licence, licensor="Us", parts=(part,))
        return draft_of_manifest(manifest, names, Answers())

    for was, now, others in (
        (hook, hook, (entry,)),
        (hook, silent, ()),
        (silent, three, (entry,)),  # the record alone has it
        (silent, hook, (entry,)),
    ):
        made = model.draft(base, names, said(was), said(now))
        assert made.parts[0].alternatives == others
        if now != was:
            assert model.draft(base, names[:1], said(was), said(three)).parts[0].alternatives == ()


async def test_a_design_without_manifest_takes_a_changed_and_a_new_file(bench: Bench) -> None:
    answers = Answers(title="Plate", licence="MIT", licensor="Ana Puig", material="acrylic")
    made = await releases.publish(bench.store, bench.files({"plate.svg": SQUARE}), answers)
    bench.key = made.key or ""
    row = await bench.propose({"plate.svg": WIDER, "lid.svg": OTHER})
    accepted = await bench.release((await bench.accept(row)).release)
    assert {part.name: part.material for part in accepted.parts} == {
        "plate": "acrylic", "lid": "plywood",
    }  # fmt: skip
    assert accepted.licence == "MIT"


# ── accepted


async def test_a_new_file_that_no_part_is_made_from_is_said(bench: Bench) -> None:
    await bench.publish()
    wrong = await bench.propose({"plates.svg": WIDER, "words.md": NOTES})
    (finding,) = Seen.model_validate(wrong.seen).findings
    assert str(finding).startswith("plates.svg: no part is made from it.")
    assert "plate.svg" in finding.do
    right = await bench.propose({"plate.svg": WIDER})
    assert not Seen.model_validate(right.seen).findings


async def test_an_accepted_proposal_is_the_next_release_and_names_its_author(bench: Bench) -> None:
    base = await bench.publish("plate", "lid")
    row = await bench.accept(await bench.propose({"plate.svg": WIDER}), Terms(share=10, did="hole"))
    made = await bench.release(row.release)
    assert made == await bench.newest()
    assert (made.design, made.version, made.licensor) == ("plate", "1.1.0", "Ana Puig")
    assert [(c.name, c.share, c.did) for c in made.contributors] == [
        ("Ana Puig", 100, "made Plate"), ("Cy Moss", 10, "hole"),
    ]  # fmt: skip
    assert made.part("lid") == base.part("lid")
    assert bench.store.blobs.read(made.part("plate").file_sha256).decode() == WIDER
    said = okh.read(bench.texts(made)["okh.toml"].encode(), "okh.toml")
    assert (said.version, said.contributors) == ("1.1.0", made.contributors)
    async with bench.store.view() as unit:
        released = await releases.row(unit, made.sha256)
        old = await releases.row(unit, base.sha256)
    assert released.pictures["lid"] == old.pictures["lid"]
    assert released.pictures["plate"] != old.pictures["plate"]
    again = await releases.publish(bench.store, bench.files(bench.texts(made)), Answers())
    assert again.release == made


async def test_a_proposal_to_a_fork_keeps_its_ancestry(bench: Bench) -> None:
    base = await bench.publish()
    forked = await forks.fork(bench.store, base.sha256, forks.Wish(who="Bo", name="mine"))
    row, _ = await service.propose(bench.store, "mine", CY, bench.files({"plate.svg": WIDER}))
    row = await service.accept(bench.store, row.id, forked.key or "", TEN)
    made = await bench.release(row.release)
    assert made.ancestor == forked.release.ancestor
    assert [c.name for c in made.contributors] == ["Ana Puig", "Cy Moss"]
    async with bench.store.view() as unit:
        [fork] = await lineage.forks(unit, "plate")
    assert fork.row.sha256 == made.sha256


async def test_the_same_acceptance_again_is_the_same_answer_and_another_is_refused(
    bench: Bench,
) -> None:
    await bench.publish()
    row = await bench.propose({"plate.svg": WIDER})
    first, again = [await bench.accept(row) for _ in range(2)]
    assert first.release == again.release
    assert first.closed_at == again.closed_at
    with pytest.raises(Closed, match="accepted already"):
        await bench.accept(row, Terms(share=99))
    with pytest.raises(Closed):
        await service.decline(bench.store, row.id, bench.key, "no")
    assert await bench.count(ReleaseRow) == 2


async def test_two_who_accept_at_once_make_one_release(bench: Bench) -> None:
    await bench.publish()
    row = await bench.propose({"plate.svg": WIDER})
    both = await asyncio.gather(
        bench.accept(row), bench.accept(row), bench.accept(row, Terms(share=9)),
        return_exceptions=True,
    )  # fmt: skip
    done = {each.release for each in both if isinstance(each, ProposalRow)}
    assert len(done) == 1
    assert all(isinstance(each, (ProposalRow, Closed)) for each in both), both
    assert await bench.count(ReleaseRow) == 2


async def test_two_proposals_accepted_at_once_become_two_releases(bench: Bench) -> None:
    await bench.publish()
    one = await bench.propose({"plate.svg": WIDER})
    other = await bench.propose({"notes.md": "# New\n"}, Wish(author="Di", message="Words"))
    done = await asyncio.gather(bench.accept(one), bench.accept(other))
    made = await bench.newest()
    assert made.version == "1.2.0"
    assert {c.name for c in made.contributors} == {"Ana Puig", "Cy Moss", "Di"}
    texts = bench.texts(made)
    assert (texts["plate.svg"], texts["notes.md"]) == (WIDER, "# New\n")
    assert len({each.release for each in done}) == 2


# ── stale


async def test_a_stale_proposal_fits_where_its_files_did_not_change(bench: Bench) -> None:
    await bench.publish()
    late = await bench.propose({"lid.svg": WIDER})
    clash = await bench.propose({"plate.svg": OTHER})
    same = await bench.propose({"plate.svg": WIDER, "notes.md": "# Else\n"})
    await bench.accept(await bench.propose({"plate.svg": WIDER}))
    assert (await bench.standing(late)).stale
    assert not (await bench.standing(late)).conflicts
    assert (await bench.standing(clash)).conflicts == ("plate.svg",)
    assert not (await bench.standing(same)).conflicts
    with pytest.raises(DesignRefused, match=r"plate\.svg changed in plate 1\.1\.0"):
        await bench.accept(clash)
    assert (await bench.standing(clash)).row.state == ProposalState.OPEN
    made = await bench.release((await bench.accept(late)).release)
    assert made.version == "1.2.0"
    assert [c.share for c in made.contributors] == [100, 20]
    texts = bench.texts(made)
    assert (texts["plate.svg"], texts["lid.svg"]) == (WIDER, WIDER)


async def test_what_cannot_be_published_leaves_the_proposal_open(bench: Bench) -> None:
    await bench.publish()
    row = await bench.propose({"plate.svg": WIDER})
    with pytest.raises(DesignRefused, match="published already"):
        await bench.accept(row, Terms(share=1, version="1.0.0"))
    with pytest.raises(DesignRefused, match=r"0\.9\.0 is below 1\.0\.0.* such as 1\.1\.0"):
        await bench.accept(row, Terms(share=1, version="0.9.0"))
    assert (await bench.standing(row)).row.state == ProposalState.OPEN
    assert await bench.count(ReleaseRow) == 1


# ── who may


async def test_only_the_keys_open_what_they_are_for(bench: Bench) -> None:
    await bench.publish()
    row, key = await service.propose(bench.store, "plate", CY, bench.files({"plate.svg": WIDER}))
    for wrong in ("", "maintainer-x", key, "x" * 100):
        with pytest.raises(service.NotYours, match="cosmolocal designs key plate --new"):
            await service.accept(bench.store, row.id, wrong, TEN)
        with pytest.raises(service.NotYours):
            await service.decline(bench.store, row.id, wrong, "no")
    with pytest.raises(service.NotYours):
        await service.withdraw(bench.store, row.id, bench.key)
    async with bench.store.unit() as unit:
        fresh = await lineage.new_key(unit, "plate")
    with pytest.raises(service.NotYours):
        await bench.accept(row)
    done = await service.withdraw(bench.store, row.id, key)
    assert done.state == ProposalState.WITHDRAWN
    assert await service.withdraw(bench.store, row.id, key)
    with pytest.raises(Closed):
        await service.accept(bench.store, row.id, fresh, TEN)


async def test_a_declined_proposal_says_why_and_makes_nothing(bench: Bench) -> None:
    await bench.publish()
    row = await bench.propose({"plate.svg": WIDER})
    for _ in range(2):
        done = await service.decline(bench.store, row.id, bench.key, "It tears at 40 N")
        assert (done.state, done.reason, done.release) == ("declined", "It tears at 40 N", None)
    with pytest.raises(Closed):
        await service.decline(bench.store, row.id, bench.key, "Another reason")
    assert await bench.count(ReleaseRow) == 1


# ── hostile


HOSTILE = [
    ({"plate.svg": SQUARE}, (), "it changes nothing"),
    ({}, (), "it changes nothing"),
    ({}, ("nobody.stl",), "nobody.stl is not among the files"),
    ({"plate.svg": WIDER}, ("plate.svg",), "sent twice"),
    ({"../plate.svg": WIDER}, (), "no name for a file"),
    ({"/etc/passwd": "x"}, (), "no name for a file"),
    ({"a\\b.svg": WIDER}, (), "no name for a file"),
    ({"a\x00.svg": WIDER}, (), "no name for a file"),
    ({"C:evil.svg": WIDER}, (), "no name for a file"),
    ({"plate.svg": "<svg"}, (), "plate.svg"),
    ({"plate.svg": "<!DOCTYPE x [<!ENTITY a 'b'>]><svg>&a;</svg>"}, (), "plate.svg"),
    ({"okh.toml": "name = ["}, (), "okh.toml"),
    ({}, ("plate.svg",), "named in the manifest but is not among"),
    ({"okh.toml": 'name = "Other"\nfunction = "f"\nlicense = "MIT"'}, (), "title"),
]


async def test_what_could_become_no_release_is_refused_and_nothing_is_kept(bench: Bench) -> None:
    await bench.publish()
    kept = {path.name for path in bench.blobs()}
    for texts, removed, words in HOSTILE:
        with pytest.raises(DesignRefused) as no:
            await bench.propose(texts, CY.model_copy(update={"removed": removed}))
        assert words in str(no.value)
        assert all(finding.do for finding in no.value.findings)
    assert await bench.count(ProposalRow) == 0
    assert {path.name for path in bench.blobs()} == kept


async def test_a_proposal_changes_neither_licensor_nor_to_a_licence_that_is_not_allowed(
    bench: Bench,
) -> None:
    await bench.publish()
    manifest = bench.texts(await bench.newest())["okh.toml"]
    for old, new, words in (
        ("Ana Puig", "Cy Moss", "licensor would be another"),
        ("CERN-OHL-W-2.0", "MIT", "take CERN-OHL-S-2.0 or CERN-OHL-W-2.0"),
        ("CERN-OHL-W-2.0", OWN_WORK, "take CERN-OHL-S-2.0 or CERN-OHL-W-2.0"),
    ):
        with pytest.raises(DesignRefused, match=words):
            await bench.propose({"okh.toml": manifest.replace(old, new)})
    row = await bench.propose({"okh.toml": manifest.replace("CERN-OHL-W-2.0", "CERN-OHL-S-2.0")})
    assert "changes from CERN-OHL-W-2.0 to CERN-OHL-S-2.0" in Seen.model_validate(row.seen).licence


async def test_unknown_and_private_designs_have_no_proposals(bench: Bench) -> None:
    made = await bench.publish()
    mine = Answers(title="Mine", licence=OWN_WORK, licensor="Ana")
    private = (await releases.publish(bench.store, bench.files({"mine.svg": SQUARE}), mine)).release
    sent = bench.files({"mine.svg": WIDER})
    asked = [
        ("nobody", CY),
        ("mine", CY),
        ("mine", CY.model_copy(update={"base": private.sha256})),
        ("plate", CY.model_copy(update={"base": private.sha256})),
        ("plate", CY.model_copy(update={"base": "0" * 64})),
        ("nobody", CY.model_copy(update={"base": made.sha256})),
    ]
    for design, wish in asked:
        with pytest.raises(releases.NoSuchRelease):
            await service.propose(bench.store, design, wish, sent)
    async with bench.store.view() as unit:
        with pytest.raises(releases.NoSuchRelease):
            await service.of_design(unit, "mine")
        with pytest.raises(service.NoSuchProposal):
            await service.standing(unit, "pr-nothing")


async def test_more_than_can_be_looked_at_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "MOST_OPEN", 1)
    await bench.publish()
    row = await bench.propose({"notes.md": "one"})
    with pytest.raises(DesignRefused, match="open already"):
        await bench.propose({"notes.md": "two"})
    await service.decline(bench.store, row.id, bench.key, "no")
    await bench.propose({"notes.md": "three"})


# ── pure


def test_every_move_but_the_drawn_ones_is_refused() -> None:
    for start in ProposalState:
        for end in ProposalState:
            if (start, end) in PROPOSAL_MOVES:
                assert model.move(start, end) is end
            else:
                with pytest.raises(Closed):
                    model.move(start, end)


@pytest.mark.parametrize(
    ("version", "following"),
    [
        ("1.0.0", "1.1.0"), ("0.9", "0.10.0"), ("2.3.4-rc.1", "2.4.0"), ("1", "1.1.0"),
        ("v1.0.0", "1.1.0"), ("2024-05", None), ("first try", None),
    ],
)  # fmt: skip
def test_the_next_version_is_counted_or_asked_for(version: str, following: str | None) -> None:
    assert versions.following(version) == following


@pytest.mark.timeout(20)
def test_long_and_repetitive_texts_are_compared_in_bounded_time() -> None:
    one, other = b"a\nb\n" * 500, b"b\na\n" * 499
    assert model.text_change("a.md", one, other).lines
    assert "too many lines" in model.text_change("a.md", b"x\n" * 1001, b"").lines[0]
    assert "too long" in model.text_change("a.md", b"x" * (model.MOST_TEXT + 1), b"").lines[0]
    odd = model.text_change("a.md", b"\xff\xfe\n", b"<b>\n").lines
    assert "+<b>" in odd


# ── what is sent


async def test_a_proposed_photograph_tells_nothing_but_the_picture(bench: Bench) -> None:
    await bench.publish()
    photo = bench.folder / "photo"
    photo.write_bytes(hostile.photo())
    row, _ = await service.propose(bench.store, "plate", CY, {"photo.jpg": photo})
    [change] = service.changes_of(row)
    with Image.open(io.BytesIO(bench.store.blobs.read(change.after or ""))) as picture:
        assert not picture.getexif()
    told = Seen.model_validate(row.seen).findings
    assert "photo.jpg, its GPS position" in {finding.where for finding in told}
    photo.write_bytes(b"GIF89a" + bytes(40))
    with pytest.raises(DesignRefused, match=r"photo\.gif"):
        await service.propose(bench.store, "plate", CY, {"photo.gif": photo})


async def test_a_step_is_proposed_together_with_its_export(bench: Bench) -> None:
    await bench.publish()
    step = steps.box(40, 40, 3).decode()
    with pytest.raises(DesignRefused, match="together with its export"):
        await bench.propose({"plate.step": step})
    manifest = bench.texts(await bench.newest())["okh.toml"].replace("plate.svg", "plate.step")
    with pytest.raises(DesignRefused, match="which workshops do not read"):
        await bench.propose({"plate.step": step, "plate.svg": OTHER, "okh.toml": manifest})
    row = await bench.propose({"plate.step": step, "plate.svg": OTHER})
    made = await bench.release((await bench.accept(row)).release)
    assert [part.file_name for part in made.parts] == ["plate.svg"]


async def test_a_part_published_as_a_step_keeps_its_export(bench: Bench) -> None:
    entry = okh.PartEntry(name="plate", title="plate", file="plate.step", material="pla")
    manifest = okh.write(
        okh.Manifest(
            title="Plate", function="Holds cables", version="1.0.0", licence="CERN-OHL-W-2.0",
            licensor="Ana Puig", parts=(entry,),
        )
    )  # fmt: skip
    files = bench.files({"okh.toml": manifest, "plate.step": steps.box(40, 40, 3).decode()})
    bench.key = (await releases.publish(bench.store, files, Answers())).key or ""
    row = await bench.propose({"okh.toml": manifest.replace('"pla"', '"petg"')})
    made = await bench.release((await bench.accept(row)).release)
    assert [(part.file_name, part.material) for part in made.parts] == [("plate.stl", "petg")]


async def test_a_version_is_spelled_as_everywhere_else(bench: Bench) -> None:
    await bench.publish()
    row = await bench.propose({"plate.svg": WIDER})
    with pytest.raises(DesignRefused, match="is no version"):
        await bench.accept(row, Terms(share=10, version="newest"))
    done = await bench.accept(row, Terms(share=10, version="v2"))
    assert (await bench.release(done.release)).version == "2.0.0"


async def test_two_proposals_are_examined_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.publish()
    running, most = 0, 0

    async def examined(*_: object) -> dict[str, object]:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await asyncio.sleep(0.05)
        running -= 1
        raise DesignRefused([])

    monkeypatch.setattr(releases, "examine_all", examined)
    asked = [bench.propose({"plate.svg": WIDER}) for _ in range(6)]
    await asyncio.gather(*asked, return_exceptions=True)
    assert most == 2


async def test_another_list_of_parts_changes_what_is_bought(bench: Bench) -> None:
    await bench.publish()
    row = await bench.propose({"bom.csv": "item,quantity\nM4 screw,8\n"})
    made = await bench.release((await bench.accept(row)).release)
    assert [(each.name, each.quantity) for each in made.bought] == [("M4 screw", 8)]


async def test_what_cannot_be_laid_over_each_other_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tries: list[str] = []

    def refuse(target: str, *_: object) -> None:
        tries.append(target)
        raise LimitExceeded("it takes more than 30 s of computing", "the file", "Make it simpler")

    monkeypatch.setattr("designs.bounded.run", refuse)
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/a.db", tmp_path / "blobs")
    (tmp_path / "x").write_text("x")
    side = Side(sha256=store.blobs.put(tmp_path / "x"), format="stl")
    change = PartChange(name="hook", title="Hook", kind="changed", sentence="", sides=(side, side))
    for view in (*View, *View):
        assert await service.picture(store, "pr-000000000000", change, view, draws=True) is None
    assert tries == [f"designs.inspect:{each}" for each in ("pictured", "pictured", "overlaid")]
    await store.close()


async def test_overlays_that_no_page_shows_are_thrown_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.publish()
    monkeypatch.setattr("designs.bounded.run", lambda *told: Path(told[-1]).write_bytes(b"png"))
    rows = {
        state: ProposalRow(
            id=f"pr-{number:012}", design="plate", base=(await bench.newest()).sha256,
            state=state, author="Cy", message="m", made_at=datetime.now(UTC), kept="",
            changes=[], seen={},
        )
        for number, state in enumerate(ProposalState)
    }  # fmt: skip
    async with bench.store.unit() as unit:
        unit.session.add_all(rows.values())
    side = Side(sha256=bench.store.blobs.put(b"x"), format="stl")
    change = PartChange(name="plate", title="", kind="", sentence="", sides=(side, side))
    for row in rows.values():
        assert await service.picture(bench.store, row.id, change, View.BOTH, draws=True)
    folders = bench.store.blobs.apart("overlays").folders
    assert {each.name for each in folders()} == {row.id for row in rows.values()}
    await service.sweep(bench.store)
    shown = {rows[ProposalState.OPEN].id, rows[ProposalState.ACCEPTED].id}
    assert {each.name for each in folders()} == shown
