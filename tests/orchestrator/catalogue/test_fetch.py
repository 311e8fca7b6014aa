"""Fetching for strangers: only public https is reached, within bounds; real servers, real Git."""

import datetime as dt
import io
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from designs import library
from designs.errors import DesignRefused, LimitExceeded, Refused
from orchestrator.catalogue import fetch, intake, service
from orchestrator.catalogue.fetch import World, clone, public
from orchestrator.catalogue.intake import Source
from orchestrator.catalogue.model import Answers
from orchestrator.store import Store
from tests.conftest import need
from tests.orchestrator.catalogue.test_catalogue import OPEN, SQUARE, store

__all__ = ["store"]
HOST = "designs.example"


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:7f00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_what_only_this_server_can_reach_is_not_public(ip: str) -> None:
    assert not public(ip)


@pytest.mark.parametrize("ip", ["93.184.216.34", "1.1.1.1", "2606:4700::1111"])
def test_the_internet_is_public(ip: str) -> None:
    assert public(ip)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/a.stl", "ftp://example.org/a.stl", "file:///etc/passwd", "gopher://x/",
        "https://127.0.0.1/a.stl", "https://127.1/a.stl", "https://0x7f000001/a.stl",
        "https://2130706433/a.stl", "https://[::1]/a.stl", "https://[::ffff:7f00:1]/a.stl",
        "https://localhost/a.stl", "https://ana:secret@example.org/a.stl", "https:///a.stl",
        "https://a@127.0.0.1/a.stl", "https://example.org:22/a.stl", "https://example.org:99999/a",
        "https://169.254.169.254/latest/meta-data.zip", "https://exa mple.org/a.stl", "nonsense",
        "https://example.org\\@127.0.0.1/a.stl", "https://example.org/a\r\nHost: b/c.stl",
        "https://" + "a" * 3000 + "/a.stl", "//example.org/a.stl", "https://xn--/a.stl",
        "https://münchen.example/a.stl", "https://１２７.0.0.1/a.stl", "https://example.org/ä.stl",
    ],
)  # fmt: skip
def test_no_connection_is_made_where_none_may_be(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "create_connection", never)
    with pytest.raises(Refused):
        fetch.fetch(address, tmp_path / "out")
    monkeypatch.setattr(fetch, "_git", never)
    with pytest.raises(Refused):
        clone(address, tmp_path / "tar")
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_one_private_address_is_not_reached(tmp_path: Path) -> None:
    """The address that was looked at is the one connected to: a second answer helps nobody."""
    asked = list[str]()

    def rebinds(host: str) -> list[str]:
        asked.append(host)
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(Refused, match="not a public address"):
        fetch.fetch("https://two.example/a.stl", tmp_path / "out", World(resolve=rebinds))
    assert asked == ["two.example"]


# ── a real server


class Door(BaseHTTPRequestHandler):
    """Answers by the path: a file, a redirect, too much, or Git's own backend."""

    files: dict[str, bytes]
    moved: dict[str, str]
    repositories: Path
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in self.moved:
            self._head(302, [("Location", self.moved[path]), ("Content-Length", "0")])
        elif path.startswith("/git/"):
            self._git(b"")
        elif path == "/endless":
            self._endless(b"0" * 65536, 0.0)
        elif path == "/drip":
            self._endless(b"0", 0.05)
        elif path in self.files:
            self._head(200, [("Content-Length", str(len(self.files[path])))])
            self.wfile.write(self.files[path])
        else:
            self._head(404, [("Content-Length", "0")])

    def do_POST(self) -> None:
        self._git(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def _endless(self, chunk: bytes, pause_s: float) -> None:
        self._head(200, [])
        self.close_connection = True
        try:
            while True:
                self.wfile.write(chunk)
                time.sleep(pause_s)
        except OSError:
            return

    def _git(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        asked = {
            "GIT_PROJECT_ROOT": str(self.repositories), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path.removeprefix("/git"), "QUERY_STRING": query,
            "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "PATH": os.environ["PATH"],
        }  # fmt: skip
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=asked, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(": ")[::2] for line in head.decode().splitlines()]
        status = next((int(value[:3]) for name, value in lines if name == "Status"), 200)
        kept = [(name, value) for name, value in lines if name != "Status"]
        self._head(status, [*kept, ("Content-Length", str(len(content)))])
        self.wfile.write(content)


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kind, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, bare))
    return pem, private


class Site:
    def __init__(self, folder: Path) -> None:
        self.door = type("This", (Door,), {"files": {}, "moved": {}, "repositories": folder})
        pem, key = certificate(folder)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.door)
        self.server.daemon_threads = True
        secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secured.load_cert_chain(pem, key)
        self.server.socket = secured.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_port
        self.asked = list[str]()
        self.world = World(
            allows=lambda ip: ipaddress.ip_address(ip).is_loopback,
            resolve=self._resolve,
            port=self.port,
            trust=ssl.create_default_context(cafile=str(pem)),
            trust_file=str(pem),
        )

    def _resolve(self, host: str) -> list[str]:
        self.asked.append(host)
        return ["127.0.0.1"] if host == HOST else ["10.0.0.1"]

    def at(self, path: str) -> str:
        return f"https://{HOST}:{self.port}{path}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    opened = Site(folder)
    yield opened
    opened.server.shutdown()
    opened.server.server_close()


def test_a_file_comes_as_it_is(site: Site, tmp_path: Path) -> None:
    site.door.files = {"/a.stl": b"solid a"}
    site.door.moved = {"/old.stl": "/a.stl"}
    out = tmp_path / "out"
    assert fetch.fetch(site.at("/old.stl"), out, site.world) == site.at("/a.stl")
    assert out.read_bytes() == b"solid a"


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("http://designs.example/a.stl", "only https"),
        ("https://127.0.0.1/a.stl", "port 443"),
        ("https://other.example:{port}/a.stl", "not a public address"),
        ("/old.stl", "without end"),
        ("https://designs.example:{port}/none.stl", "answers 404"),
        ("", "does not say where"),
    ],
)
def test_a_redirect_is_looked_at_like_any_address(
    site: Site, tmp_path: Path, to: str, says: str
) -> None:
    site.door.moved = {"/old.stl": to.format(port=site.port)}
    with pytest.raises(Refused, match=says):
        fetch.fetch(site.at("/old.stl"), tmp_path / "out", site.world)
    assert not (tmp_path / "out").exists()


def test_what_never_ends_is_cut_off(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", 1 << 20)
    with pytest.raises(LimitExceeded, match="larger than 1 MB"):
        fetch.fetch(site.at("/endless"), tmp_path / "out", site.world)
    monkeypatch.setattr(fetch, "MOST_BYTES", 1 << 40)
    monkeypatch.setattr(fetch, "WALL_S", 0.5)
    with pytest.raises(LimitExceeded, match="longer than"):
        fetch.fetch(site.at("/drip"), tmp_path / "out", site.world)
    assert not (tmp_path / "out").exists()


def test_a_certificate_that_nobody_vouches_for_is_not_believed(site: Site, tmp_path: Path) -> None:
    stranger = World(allows=lambda _: True, resolve=lambda _: ["127.0.0.1"], port=site.port)
    with pytest.raises(Refused, match="cannot be fetched"):
        fetch.fetch(site.at("/a.stl"), tmp_path / "out", stranger)


# ── designs from elsewhere


@pytest.fixture
def repository(site: Site, tmp_path: Path) -> Path:
    """A bare one that the site serves: our lantern in the folder hardware, and other things."""
    need("git")
    work = tmp_path / "work"
    library.build("lantern", work / "hardware")
    (work / ".github").mkdir()
    (work / ".github/ci.yml").write_text("on: push")
    (work / "firmware.bin").write_bytes(b"\x00")
    (work / "hardware/LICENSE").write_text("CERN-OHL-S-2.0")
    (work / "hardware/passwd.md").symlink_to("/etc/passwd")
    who = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org", "-c", "init.defaultBranch=x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "lantern"], ["tag", "v1.0.0"]):
        subprocess.run(["git", *who, *words], cwd=work, check=True)
    bare = site.door.repositories / "lantern.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    return work


async def test_a_repository_is_published_by_its_address(
    store: Store, site: Site, repository: Path
) -> None:
    source = Source(site.at("/git/lantern.git"), folder="hardware", ref="v1.0.0")
    done = await intake.publish_from(store, source, Answers(), site.world)
    assert done.release.title == "Table lantern"
    names = {file.name for file in done.release.files}
    assert {"okh.toml", "make.py", "base.dxf", "LICENSE"} <= names
    assert "passwd.md" not in names
    assert any("links are not followed" in f.what for f in done.findings)


async def test_a_repository_that_has_moved_is_found_through_checked_redirects(
    store: Store, site: Site, repository: Path
) -> None:
    asked = "/info/refs"
    site.door.moved = {f"/old{asked}": f"/git/lantern.git{asked}?service=git-upload-pack"}
    done = await intake.publish_from(
        store, Source(site.at("/old"), folder="hardware"), Answers(), site.world
    )
    assert done.release.design == "table-lantern"


@pytest.mark.parametrize(
    ("path", "folder", "ref", "says"),
    [
        ("/git/lantern.git", "", "HEAD", "not at the top"),
        ("/git/lantern.git", "software", "HEAD", "no file below software"),
        ("/git/lantern.git", "../..", "HEAD", "leads elsewhere"),
        ("/git/lantern.git", "hardware", "v9", "no such branch or tag. Name one"),
        ("/git/lantern.git", "hardware", "--upload-pack=touch /tmp/evil", "no branch or tag"),
        ("/git/none.git", "", "HEAD", "answers 404"),
        ("/page", "", "HEAD", "answers 404"),
    ],
)
async def test_what_is_wrong_with_a_repository_is_said(
    store: Store, site: Site, repository: Path, path: str, folder: str, ref: str, says: str
) -> None:
    with pytest.raises(DesignRefused, match=says):
        await intake.publish_from(store, Source(site.at(path), folder, ref), Answers(), site.world)


async def test_a_bundle_is_a_repository_in_a_file(
    store: Store, repository: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "lantern.bundle"
    words = ["git", "bundle", "create", "-q", str(bundle), "HEAD"]
    subprocess.run(words, cwd=repository, check=True)  # noqa: ASYNC221
    assert intake.is_packed({"lantern.bundle": bundle})
    taken = intake.opened("lantern.bundle", bundle, tmp_path, "hardware")
    done = await intake.publish(store, taken, Answers())
    assert done.release.design == "table-lantern"
    with pytest.raises(Refused, match="the bundle: it has no such branch or tag"):
        intake.opened("lantern.bundle", bundle, tmp_path, "hardware", "v9")
    for several in ("refs/heads/*:refs/heads/*", "+HEAD", "^HEAD"):
        with pytest.raises(Refused, match="that is no branch or tag"):
            clone(str(bundle), tmp_path / "out.tar", several)
    whole = bundle.read_bytes()
    for content, says in ((b"", "no Git bundle"), (whole[:-100], "broken or cut off")):
        bundle.write_bytes(content)
        with pytest.raises(Refused, match=says):
            clone(str(bundle), tmp_path / "out.tar")
    bundle.write_bytes(b"# v2 git bundle\nrubbish")
    (tmp_path / "again").mkdir()
    with pytest.raises(Refused):
        intake.opened("lantern.bundle", bundle, tmp_path / "again")


async def test_a_bundle_of_the_newest_commits_alone_says_how_to_make_a_whole_one(
    repository: Path, tmp_path: Path
) -> None:
    who = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org"]
    words = (["commit", "-q", "--allow-empty", "-m", "more"],
             ["bundle", "create", "-q", str(tmp_path / "a.bundle"), "HEAD~1..HEAD"])  # fmt: skip
    for each in words:
        subprocess.run(["git", *who, *each], cwd=repository, check=True)  # noqa: ASYNC221
    with pytest.raises(Refused, match=r"newest commits alone\. Make it anew"):
        intake.opened("a.bundle", tmp_path / "a.bundle", tmp_path)


@pytest.mark.parametrize("name", ["d/" * 150 + "a.md", "a" * 250 + ".md", "n\udce9.md"])
def test_a_name_that_no_release_can_hold_is_refused_in_words(name: str, tmp_path: Path) -> None:
    packed = tmp_path / "a.tar"
    with tarfile.open(packed, "w", errors="surrogateescape") as out:
        for each in ("plate.svg", name):
            head = tarfile.TarInfo(each)
            head.size = len(SQUARE)
            out.addfile(head, io.BytesIO(SQUARE.encode()))
    with pytest.raises(DesignRefused, match="cannot be a file's name here"):
        intake.opened("a.tar", packed, tmp_path)


async def test_a_file_and_an_archive_are_published_by_their_address(
    store: Store, site: Site
) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("plate-main/plate.svg", SQUARE)
    site.door.files = {"/plate.svg": SQUARE.encode(), "/plate.zip": out.getvalue()}
    first = await intake.publish_from(store, Source(site.at("/plate.svg")), OPEN, site.world)
    again = await intake.publish_from(store, Source(site.at("/plate.zip")), OPEN, site.world)
    assert first.release.sha256 == again.release.sha256


async def test_a_note_of_git_lfs_is_no_part(store: Store, site: Site) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in ("hook.stl", "plate.stl"):
            packed.writestr(name, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    site.door.files = {"/hook.zip": out.getvalue()}
    with pytest.raises(DesignRefused, match="Git LFS") as no:
        await intake.publish_from(store, Source(site.at("/hook.zip")), OPEN, site.world)
    assert [finding.where for finding in no.value.findings] == ["hook.stl", "plate.stl"]


async def test_all_that_is_wrong_in_an_archive_is_told(site: Site, store: Store) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in ("hook.stl", "plate.svg"):
            packed.writestr(name, "junk")
    site.door.files = {"/set.zip": out.getvalue()}
    with pytest.raises(DesignRefused) as no:
        await intake.publish_from(store, Source(site.at("/set.zip")), Answers(), site.world)
    told = [finding.where.partition(",")[0] for finding in no.value.findings]
    assert told == ["licence", "hook.stl", "plate.svg"]


# ── a release from another server


async def test_a_release_is_taken_over_under_its_hash(store: Store, tmp_path: Path) -> None:
    from designs import archive

    folder = library.build("lantern", tmp_path / "lantern")
    files = {path.name: path for path in folder.iterdir()}
    release = (await service.publish(store, files, Answers())).release
    packed = tmp_path / "lantern.zip"
    with packed.open("wb") as out:
        archive.write(release, store.blobs.path, out)
    other = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/other.db", tmp_path / "other-blobs")
    try:
        taken = intake.opened("lantern.zip", packed, tmp_path)
        assert taken.release == release
        done = await intake.publish(other, taken, Answers(title="ignored"))
        assert done.release.sha256 == release.sha256
        async with other.view() as unit:
            assert await service.release(unit, release.sha256) == release
        lies = release.model_copy(update={"parts": (_heavier(release), *release.parts[1:])})
        with pytest.raises(DesignRefused, match="not those of its file"):
            await intake.adopt(other, lies, taken.files)
    finally:
        await other.close()
        shutil.rmtree(tmp_path / "other-blobs")


def _heavier(release: Any) -> Any:
    part = release.parts[0]
    facts = part.facts.model_copy(update={"area_mm2": part.facts.area_mm2 * 2})
    return part.model_copy(update={"facts": facts})
