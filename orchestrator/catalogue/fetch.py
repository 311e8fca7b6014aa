"""Fetches what somebody names by an https address: a file, or a Git repository's newest files.

A server that fetches for strangers could be led to what only it can reach. So every address is
resolved once, each result must be public, and that very address is connected to; a redirect is
looked at the same way. Size and time are capped, and nothing is sent but the request.
"""

import ipaddress
import os
import resource
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore

from designs.errors import LimitExceeded, Refused

MOST_BYTES: Final = 128 << 20
WALL_S: Final = 120.0
_REDIRECTS: Final = 5
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_CONNECT_S: Final = 10.0
_HTTPS: Final = 443
_TOO_SLOW: Final = f"it takes longer than {WALL_S:.0f} s"
_USE: Final = "Give the address of a public https server, or upload the file"


def public(address: str) -> bool:
    """Whether all the world may reach this IP address; what wraps an IPv4 address is unwrapped."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if inner is not None and not public(str(inner)):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def resolved(host: str) -> list[str]:
    """The IP addresses of a name, as this computer's resolver says."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass(frozen=True)
class World:
    """What may be reached. The default is the public internet, by https on its own port."""

    allows: Callable[[str], bool] = public
    resolve: Callable[[str], list[str]] = resolved
    port: int = _HTTPS
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    trust_file: str | None = None
    """The same for Git, which reads its certificates itself; the system's if None."""

    def reach(self, host: str) -> str:
        """The IP address to connect to; raises `Refused` unless all of the name's are allowed."""
        try:
            addresses = self.resolve(host)
        except (OSError, UnicodeError):
            raise Refused("no such server is known", host[:100], _USE) from None
        if not addresses or not all(map(self.allows, addresses)):
            raise Refused(
                "it is not a public address, and we fetch from no other", host[:100], _USE
            )
        return addresses[0]

    def checked(self, address: str) -> SplitResult:
        """The address's parts; raises `Refused` where it is not plain https."""
        try:
            parts = urlsplit(address)
            port, host = parts.port or _HTTPS, parts.hostname
        except ValueError:
            raise Refused("it is no address", address[:100], _USE) from None
        if parts.scheme != "https" or not host or len(address) > 2000 or _hidden(address):
            raise Refused("only https addresses are fetched", address[:100], _USE)
        if not address.isascii():
            what = "it has letters that an address only shows, such as ü"
            do = "Copy it from the browser's address bar: there it stands with xn-- and %"
            raise Refused(what, address[:100], do)
        if parts.username is not None or parts.password is not None:
            raise Refused("an address with a name or password in it is not fetched", host, _USE)
        if port != self.port:
            raise Refused(f"port {port} is not fetched from", host[:100], _USE)
        return parts


def _hidden(address: str) -> bool:
    return any(ord(letter) <= 32 or letter == "\\" or ord(letter) == 127 for letter in address)


class _Reaching(httpcore.NetworkBackend):
    """Connects where `World.reach` says, and nowhere else; nothing lasts beyond `until_s`."""

    def __init__(self, world: World, until_s: float) -> None:
        self._world, self._until_s, self._plain = world, until_s, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        at = self._world.reach(host)
        opened = self._plain.connect_tcp(at, port, timeout, local_address, socket_options)
        return _Timed(opened, self._until_s)


class _Timed(httpcore.NetworkStream):
    """A server that says one letter every few seconds does not hold us for hours."""

    def __init__(self, stream: httpcore.NetworkStream, until_s: float) -> None:
        self._stream, self._until_s = stream, until_s

    def _left_s(self, timeout: float | None) -> float:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise httpcore.ReadTimeout(_TOO_SLOW)
        return min(left_s, timeout or left_s)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left_s(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = self._left_s(timeout)
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, left_s), self._until_s)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as the library says
        return self._stream.get_extra_info(info)


# ── one file


def fetch(address: str, into: Path, world: World | None = None) -> str:
    """Write what lies at the address to `into`; the address it finally came from.

    Raises `Refused` for an address that is not public https or does not answer with a file,
    `LimitExceeded` for what is too large or too slow; `into` is then not there.
    """
    world = world or World()
    until_s = time.monotonic() + WALL_S
    with httpcore.ConnectionPool(
        ssl_context=world.trust, network_backend=_Reaching(world, until_s)
    ) as pool:
        for _ in range(_REDIRECTS + 1):
            world.checked(address)
            moved = _get(pool, address, into, until_s)
            if moved is None:
                return address
            address = urljoin(address, moved)
    raise Refused("it leads from one address to another without end", address[:100], _USE)


def _get(pool: httpcore.ConnectionPool, address: str, into: Path, until_s: float) -> str | None:
    """Where it has moved to, or None once it is written."""
    pause = {"connect": _CONNECT_S, "read": _CONNECT_S, "write": _CONNECT_S, "pool": _CONNECT_S}
    headers = [("User-Agent", "cosmolocal"), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
    try:
        with pool.stream("GET", address, headers=headers, extensions={"timeout": pause}) as answer:
            if answer.status in _MOVED:
                return _location(answer, address)
            if answer.status != 200:
                raise Refused(f"the server answers {answer.status}", address[:100], _USE)
            _write(answer, into, address)
            return None
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as broken:
        said = str(broken) or type(broken).__name__
        if time.monotonic() >= until_s:
            raise LimitExceeded(_TOO_SLOW, address[:100], "Upload the file instead") from None
        raise Refused(f"it cannot be fetched ({said[:100]})", address[:100], _USE) from None


def _location(answer: httpcore.Response, address: str) -> str:
    found = next((value for name, value in answer.headers if name.lower() == b"location"), b"")
    where = found.decode("latin-1")
    if not where:
        raise Refused("it has moved and does not say where", address[:100], _USE)
    return where


def _write(answer: httpcore.Response, into: Path, address: str) -> None:
    try:
        with into.open("wb") as out:
            for chunk in answer.iter_stream():
                _within(out.tell() + len(chunk), address)
                out.write(chunk)
    except BaseException:
        into.unlink(missing_ok=True)
        raise


def _within(size: int, address: str) -> None:
    if size > MOST_BYTES:
        raise _too_large(address)


def _too_large(address: str) -> LimitExceeded:
    what = f"it is larger than {MOST_BYTES >> 20} MB"
    return LimitExceeded(what, address[:100], "Give an archive of what the parts need")


# ── a Git repository


def clone(address: str, into: Path, ref: str = "HEAD", world: World | None = None) -> None:
    """Write the files of the repository's branch or tag as a tar to `into`.

    The address is https, or a bundle file on this disk. Git resolves nothing by itself: it is told
    where the name leads, follows no redirect, fetches no submodule and runs nothing of the
    repository's. Raises `Refused`, `LimitExceeded`.
    """
    world = world or World()
    if not ref or ref[0] in "-+" or len(ref) > 200 or _hidden(ref) or set(ref) & set(_NO_REF):
        raise Refused("that is no branch or tag", ref[:100], "Name it as the repository does")
    home = into.with_name(into.name + ".git")
    bundle = Path(address).is_file()
    config = _CAREFUL | {f"protocol.{'file' if bundle else 'https'}.allow": "always"}
    if not bundle:
        host = world.checked(address).hostname or ""
        config["http.curloptResolve"] = f"{host}:{world.port}:{_bracketed(world.reach(host))}"
        config |= {"http.sslCAInfo": world.trust_file} if world.trust_file else {}
    depth = [] if bundle else ["--depth", "1"]
    where = "the bundle" if bundle else address
    _git(config, ["init", "-q", "--bare", str(home)], where)
    _git(config, ["-C", str(home), "fetch", "-q", "--no-tags", *depth, "--", address, ref], where)
    _git(config, ["-C", str(home), "archive", "--format=tar", "-o", str(into), "FETCH_HEAD"], where)


_NO_REF: Final = ":*?[^~"
"""No branch or tag has them in its name; to Git they ask for several, or for something else."""


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


_CAREFUL: Final = {
    "protocol.allow": "never",
    "http.followRedirects": "false",
    "http.proxy": "",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "20",
    "core.hooksPath": "/dev/null",
    "core.askPass": "/bin/true",
    "credential.helper": "",
    "fetch.unpackLimit": "1",
    "fetch.recurseSubmodules": "false",
    "fetch.fsckObjects": "true",
    "submodule.recurse": "false",
    "gc.auto": "0",
}
_WHOLE: Final = "Make it anew: git bundle create FILE --all"
_UNREADABLE: Final = ("there is no repository that anybody may read", _USE)
_GIT_SAYS: Final = (
    (
        "couldn't find remote ref",
        (
            "it has no such branch or tag",
            "Name one that it has, as `git ls-remote` lists them; none named means HEAD",
        ),
    ),
    ("prerequisite", ("it holds the newest commits alone", _WHOLE)),
    ("index-pack died", ("it is broken or cut off", _WHOLE)),
    ("Could not read from remote repository", ("it is no Git bundle", _WHOLE)),
    ("not found", _UNREADABLE),
    ("Authentication failed", _UNREADABLE),
    ("could not read Username", _UNREADABLE),
    ("redirect", ("it has moved to another address", _USE)),
)


def _git(config: dict[str, str], words: list[str], where: str) -> None:
    told = [piece for name, value in config.items() for piece in ("-c", f"{name}={value}")]
    quiet = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent", "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
    }  # fmt: skip
    try:
        done = subprocess.run(
            ["git", *told, *words], env=quiet, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=WALL_S, check=False, preexec_fn=_bounded,
        )  # fmt: skip
    except FileNotFoundError:
        raise Refused("this server has no git", "the server", "Upload an archive instead") from None
    except subprocess.TimeoutExpired:
        do = "Give an archive of the release instead"
        raise LimitExceeded(_TOO_SLOW, where[:100], do) from None
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode < 0 or "File size limit" in said or "File too large" in said:
        raise _too_large(where)
    if done.returncode != 0:
        last = said.strip().splitlines()[-1][:120] if said.strip() else "no reason given"
        unknown = (f"git cannot read it ({last})", _USE)
        what, do = next((words for sign, words in _GIT_SAYS if sign in said), unknown)
        raise Refused(what, where[:100], do)


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 62))
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
