"""Promises HTTP/1.1 and RFC 6455 on asyncio's streams, and misbehaviour at the byte when told so.
Never more of either than a print server's clients use.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

HEAD_MAX = 64 * 1024
BODY_MAX = 512 * 1024 * 1024
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10

Lie = Literal["", "html", "flood", "drip", "redirect", "silence", "garbage", "cut", "500"]
LIES = ("html", "flood", "drip", "redirect", "silence", "garbage", "cut", "500")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    lost: bool = False
    """The deed was done, and the connection is cut before a byte of the answer."""


def as_json(value: object, status: int = 200) -> Response:
    return Response(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


class Socket:
    """The server's end of a websocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, text: str) -> None:
        """Queue a text message; a socket that is gone takes it silently."""
        if not self._writer.is_closing():
            self._frame(_TEXT, text.encode())

    def _frame(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = bytes([0x80 | kind, size])
        elif size < 65536:
            head = bytes([0x80 | kind, 126]) + struct.pack(">H", size)
        else:
            head = bytes([0x80 | kind, 127]) + struct.pack(">Q", size)
        self._writer.write(head + data)

    async def receive(self) -> str | None:
        """The next text message; None when the other side went."""
        said = b""
        while True:
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self._reader.readexactly(8))
            mask = await self._reader.readexactly(4)
            masked = await self._reader.readexactly(size)
            data = bytes(sign ^ mask[at % 4] for at, sign in enumerate(masked))
            kind = first & 0x0F
            if kind == _CLOSE:
                self._frame(_CLOSE, data[:2])
                return None
            if kind == _PING:
                self._frame(_PONG, data)
            elif kind in (0, 1, 2):
                said += data
                if first & 0x80:
                    return said.decode()

    def cut(self) -> None:
        self._writer.transport.abort()


class Site(Protocol):
    """What answers: `answer` a request, and live with a `socket` until it is gone."""

    lie: Lie

    async def answer(self, request: Request) -> Response: ...
    async def socket(self, request: Request, socket: Socket) -> None: ...


class Web:
    """One listening port; `cut` hangs up on everybody, `away` refuses all."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._server: asyncio.Server | None = None
        self._guests: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def listen(self) -> int:
        self._server = await asyncio.start_server(
            self._guest, "127.0.0.1", self.port, limit=HEAD_MAX, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    def away(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in list(self._guests):
            writer.transport.abort()

    async def _guest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._guests.add(writer)
        gone = (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError, ValueError)
        try:
            with contextlib.suppress(*gone):
                while await self._serve(reader, writer):
                    pass
        finally:
            self._guests.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read(reader)
        if request.headers.get("upgrade", "").lower() == "websocket":
            await self._upgrade(request, reader, writer)
            return False
        if self._site.lie:
            return await _mislead(self._site.lie, writer)
        response = await self._site.answer(request)
        if response.lost:
            writer.transport.abort()
            return False
        _write(writer, response, with_body=request.method != "HEAD")
        await writer.drain()
        return request.headers.get("connection", "").lower() != "close"

    async def _upgrade(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._site.lie:
            await _mislead(self._site.lie, writer)
            return
        key = request.headers.get("sec-websocket-key", "").encode()
        proof = base64.b64encode(hashlib.sha1(key + _MAGIC).digest())  # noqa: S324 - RFC 6455
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"
        )
        await self._site.socket(request, Socket(reader, writer))


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    pairs = (line.split(":", 1) for line in head[1:] if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    size = int(headers.get("content-length", "0"))
    if size > BODY_MAX:
        raise ValueError(size)
    body = await reader.readexactly(size)
    parts = urlsplit(target)
    return Request(method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body)


def _write(writer: asyncio.StreamWriter, response: Response, *, with_body: bool) -> None:
    length = {} if response.status == 204 else {"Content-Length": str(len(response.body))}
    headers = {**length, **response.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {response.status} -\r\n{lines}\r\n".encode("latin-1"))
    if with_body and response.status != 204:
        writer.write(response.body)


async def _mislead(lie: Lie, writer: asyncio.StreamWriter) -> bool:
    page = b"<!DOCTYPE html><html><body>Welcome to your router</body></html>"
    simple = {
        "html": Response(200, page, {"Content-Type": "text/html"}),
        "redirect": Response(302, b"", {"Location": "http://192.0.2.1/elsewhere"}),
        "garbage": Response(200, bytes(range(256)), {"Content-Type": "application/json"}),
        "500": Response(500, b'{"error": "\x1b[31mout of order\x1b[0m"}'),
    }
    if lie in simple:
        _write(writer, simple[lie], with_body=True)
        await writer.drain()
        return True
    if lie == "cut":
        writer.transport.abort()
        return False
    await _endless(lie, writer)
    return False


async def _endless(lie: Lie, writer: asyncio.StreamWriter) -> None:
    """Too much, too slowly, or nothing at all, until the other side goes."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    if lie == "flood":
        writer.write(head + b'Content-Length: 99999999999\r\n\r\n{"a": "')
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
    writer.write(head if lie == "drip" else b"")
    while not writer.is_closing():
        if lie == "drip":
            writer.write(b"X")
            await writer.drain()
        await asyncio.sleep(0.2)


def form_parts(request: Request) -> dict[str, tuple[str, bytes]]:
    """The parts of a multipart form: name → (file name, content)."""
    boundary = request.headers["content-type"].split("boundary=", 1)[1].strip('"').encode()
    found: dict[str, tuple[str, bytes]] = {}
    for part in request.body.split(b"--" + boundary)[1:-1]:
        head, content = part.split(b"\r\n\r\n", 1)
        words = dict(word.strip().split("=", 1) for word in head.decode().split(";") if "=" in word)
        name = words["name"].split("\r\n")[0].strip('"')
        file = words.get("filename", "").split("\r\n")[0].strip('"')
        found[name] = (file, content.removesuffix(b"\r\n"))
    return found
