"""Requests to one print server: each asked once, bounded in time and size, never led elsewhere.

It repeats nothing, follows no way to another address, and no key or password leaves it in words.
"""

import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx

from firmware_bridge.errors import LinkLost, ProtocolError, Refused
from firmware_bridge.serving.answers import quoted, refusal

REQUEST_S: Final = 10.0
ANSWER_MAX: Final = 4 * 1024 * 1024
UPLOAD_BYTES_S: Final = 20_000  # a slow printer on a weak wireless network
_REDIRECTS_MAX: Final = 3
# As OpenSSL says it; a cable or a pause mends none of them.
_TLS: Final = {
    "WRONG_VERSION_NUMBER": "it speaks plain http there; write http:// into its entry",
    "RECORD_LAYER_FAILURE": "it speaks plain http there; write http:// into its entry",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not one that this computer trusts",
}


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str]


def address_of(link: str, whose: str) -> str:
    """A checked address; secrets in it would end up in words, so they are refused."""
    try:
        parts = urlsplit(link)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise Refused(f"{quoted(link, 80)} is no address of {whose}; write http://192.168.1.20")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Refused(f"the address of {whose} carries more than an address; write keys apart")
    return link.rstrip("/")


def seconds_for(size: int) -> float:
    """How long a file of `size` bytes may be on its way."""
    return 2 * REQUEST_S + size / UPLOAD_BYTES_S


def form(fields: Mapping[str, str], name: str, data: bytes) -> tuple[bytes, dict[str, str]]:
    """A multipart form with one file: the body and its header."""
    made = httpx.Request("POST", "http://-/", data=dict(fields), files={"file": (name, data)})
    return made.read(), {"Content-Type": made.headers["content-type"]}


class Http:
    """One server; calls may come from several threads."""

    def __init__(
        self,
        whose: str,
        link: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self.address = address_of(link, whose)
        self.whose = f"{whose} at {self.address}"
        self.secrets = tuple(secret for secret in secrets if secret)
        self._headers = {**(headers or {}), "Accept-Encoding": "identity"}
        self._auth = auth
        self._sockets: list[socket.socket] = []
        self._http = self._client()

    def _client(self) -> httpx.Client:
        return httpx.Client(headers=self._headers, auth=self._auth, trust_env=False)

    def close(self) -> None:
        """Let go of the connections; the next request makes new ones."""
        self._http.close()
        self._sockets.clear()
        self._http = self._client()

    def get(self, path: str, *, limit: int = ANSWER_MAX, seconds: float = 0) -> Reply:
        """The answer to a question; a way to another path of the same server is followed.

        Without `seconds` it has REQUEST_S for the whole of it.
        """
        url = self.address + path
        for _ in range(_REDIRECTS_MAX + 1):
            reply = self._send("GET", url, limit=limit, seconds=seconds)
            if reply.status not in (301, 302, 303, 307, 308):
                return reply
            url = self._led(url, reply)
        raise Refused(f"{self.whose} sends us round in circles")

    def ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 0,
    ) -> Reply:
        """Something that the server shall do: sent once, and led nowhere else."""
        url = self.address + path
        reply = self._send(method, url, content=content, headers=headers, seconds=seconds)
        if 300 <= reply.status < 400:
            self._led(url, reply)
            raise Refused(f"{self.whose} answers elsewhere; write that address into its entry")
        return reply

    def good(self, reply: Reply) -> bytes:
        """The body of a success; every other status as an error in words."""
        if 200 <= reply.status < 300:
            return reply.body
        raise refusal(reply.status, quoted(reply.body, 300, self.secrets), self.whose)

    def _led(self, url: str, reply: Reply) -> str:
        """Where a redirect leads; raises `Refused` when that is another server."""
        target = urljoin(url, reply.headers.get("location", ""))
        if urlsplit(target)[:2] != urlsplit(url)[:2]:
            where = quoted(target, 100, self.secrets)
            raise Refused(f"{self.whose} sends us to {where}; if that is right, write it down")
        return target

    def _send(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int = ANSWER_MAX,
        seconds: float,
    ) -> Reply:
        extensions: dict[str, Any] = {"trace": self._trace}
        late = threading.Event()
        seconds = seconds or REQUEST_S
        try:
            with (
                self._deadline(seconds, late),
                self._http.stream(
                    method,
                    url,
                    content=content,
                    headers=headers,
                    timeout=min(seconds, REQUEST_S),
                    extensions=extensions,
                ) as answer,
            ):
                return Reply(answer.status_code, self._body(answer, limit), answer.headers)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            if misfit := next((why for sign, why in _TLS.items() if sign in str(error)), ""):
                raise Refused(f"{self.whose} cannot be asked so: {misfit}") from None
            why = f"no whole answer within {seconds:.0f} s" if late.is_set() else _words(error)
            raise LinkLost(f"{self.whose} does not answer: {why}") from None

    def _body(self, answer: httpx.Response, limit: int) -> bytes:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise ProtocolError(f"{self.whose} answers in an encoding nobody asked for")
        body = bytearray()
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > limit:
                raise ProtocolError(
                    f"{self.whose} answered more than {limit} bytes", quoted(bytes(body[:1000]))
                )
        return bytes(body)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets = [each for each in self._sockets if each.fileno() >= 0]
            self._sockets.append(info["return_value"].get_extra_info("socket"))

    @contextmanager
    def _deadline(self, seconds: float, late: threading.Event) -> Generator[None]:
        """A server that drips one byte at a time is hung up on when the time is over."""

        def hang_up() -> None:
            late.set()
            for each in list(self._sockets):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _words(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it takes too long"
    return quoted(str(error), 200) or type(error).__name__
