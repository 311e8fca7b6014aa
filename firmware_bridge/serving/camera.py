"""The camera beside a print server: where the server says it is, looked through on request.

It asks no other computer than the server's own, sends no key there, and hands on pictures only.
"""

from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

from firmware_bridge.driver import Picture
from firmware_bridge.errors import ProtocolError, Refused
from firmware_bridge.serving.driver import ServedDriver
from firmware_bridge.serving.http import Http
from firmware_bridge.serving.look import PrintServer
from firmware_bridge.streaming import Timeouts

PICTURE_MAX: Final = 4 * 1024 * 1024
PICTURE_S: Final = 5.0
_NO_ADDRESS: Final = "the camera's address is none that a picture can be fetched from"
_ITSELF: Final = ("localhost", "127.0.0.1", "::1")


class Camera(PrintServer, Protocol):
    """A print server that also knows of a camera; `camera` is its address as the server tells it,
    `""` where there is none, and `address` the server's own.
    """

    @property
    def address(self) -> str: ...
    def camera(self) -> str: ...


class SeeingDriver(ServedDriver):
    """A printer behind a print server with a camera."""

    def __init__(self, server: Camera, timeouts: Timeouts) -> None:
        super().__init__(server, timeouts)
        self._camera = server

    def snapshot(self) -> Picture:
        told = self._camera.camera()
        if not told:
            raise Refused(f"{self._camera.name} knows of no camera that takes pictures")
        place, path = beside(self._camera.address, told)
        http = Http("the camera", place)
        try:
            return picture(
                http.good(http.get(path, limit=PICTURE_MAX, seconds=PICTURE_S)), http.whose
            )
        finally:
            http.close()


def beside(server: str, camera: str) -> tuple[str, str]:
    """The camera's address and path; what the server calls itself is the server.

    A path alone belongs to the web server on its usual port (a Pi serves both there). Raises
    `Refused` for another computer.
    """
    at, said, told_port = urlsplit(server), *_parts(camera)
    if said.scheme not in ("", "http", "https"):
        raise Refused(_NO_ADDRESS)
    if said.hostname not in (None, at.hostname, *_ITSELF):
        raise Refused("the camera is on another computer; pictures come from the print server's")
    host = f"[{at.hostname}]" if ":" in (at.hostname or "") else at.hostname
    port = f":{told_port}" if told_port else ""
    scheme = said.scheme or at.scheme
    query = f"?{said.query}" if said.query else ""
    return f"{scheme}://{host}{port}", f"/{said.path.lstrip('/')}{query}"


def _parts(camera: str) -> tuple[SplitResult, int | None]:
    try:
        said = urlsplit(camera)
        return said, said.port
    except ValueError:
        raise Refused(_NO_ADDRESS) from None


def picture(data: bytes, whose: str) -> Picture:
    """By its first bytes, whatever it calls itself."""
    if data.startswith(b"\xff\xd8\xff"):
        return Picture(data, "image/jpeg")
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Picture(data, "image/png")
    raise ProtocolError(f"{whose} sent no picture")
