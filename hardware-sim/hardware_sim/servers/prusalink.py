"""Promises PrusaLink's v1 interface as its OpenAPI describes it, with a printer's body behind it.
Never richer than the printer's own board: once a print is over it names no job any more.

Sources: prusa3d/Prusa-Link-Web spec/openapi.yaml (1.0.0-draft); Prusa-Firmware-Buddy lib/WUI/nhttp
(status_renderer.cpp: a job only while there is one; req_parser.cpp: digest without qop, nonces of
five minutes) and src/state/printer_state.cpp (has_job: printing, paused or asking, never busy).
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable

from hardware_sim.servers.printer import Printer
from hardware_sim.servers.web import Lie, Request, Response, Socket, as_json

_REALM = "Printer API"
_NONCE_S = 300.0
_FILES = "/api/v1/files/"
_STATES = {
    "standby": "IDLE",
    "printing": "PRINTING",
    "paused": "PAUSED",
    "complete": "FINISHED",
    "cancelled": "STOPPED",
    "error": "ERROR",
}


class PrusaLinkSite:
    def __init__(
        self, printer: Printer, user: str, password: str, storage: str, room_bytes: int
    ) -> None:
        self.lie: Lie = ""
        self.faults: set[str] = set()
        self.files: dict[str, bytes] = {}
        self._printer = printer
        self._user, self._password = user, password
        self._storage = storage
        self._room = room_bytes
        self._nonce = secrets.token_hex(8)
        self._nonce_until = time.monotonic() + _NONCE_S
        self._job = 41
        self._asked_for = ""

    def step(self) -> None:
        self._printer.step()

    def restarted(self) -> None:
        self._nonce = secrets.token_hex(8)

    def unplug(self) -> None:
        """The printer's board halts; the server on it says so."""
        self._printer.halt("Mintemp error")

    def answer_question(self, *, go_on: bool) -> None:
        """A person at the panel decides about the print that waits there."""
        self.faults.discard("question")
        if go_on:
            self._printer.start(self._asked_for, self.files[self._asked_for])

    def forget(self) -> None:
        """A person dismissed the last print at the panel."""
        if not self._printer.busy:
            self._printer.state = "standby"

    # --- who asks ------------------------------------------------------------------------------

    async def socket(self, request: Request, socket: Socket) -> None:  # noqa: ARG002
        socket.cut()

    async def answer(self, request: Request) -> Response:
        if not self._known(request):
            return self._challenge(request)
        response = self._answer(request)
        if request.method == "POST" and "lose-start" in self.faults:
            self.faults.discard("lose-start")
            return Response(lost=True)
        return response

    def _known(self, request: Request) -> bool:
        """HTTP digest as RFC 2069 had it, MD5 without qop, or the password as an API key."""
        if request.headers.get("x-api-key") == self._password:
            return True
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', request.headers.get("authorization", "")))
        if given.get("nonce") != self._nonce or time.monotonic() > self._nonce_until:
            return False
        first = _md5(f"{self._user}:{_REALM}:{self._password}")
        second = _md5(f"{request.method}:{given.get('uri')}")
        return given.get("response") == _md5(f"{first}:{self._nonce}:{second}")

    def _challenge(self, request: Request) -> Response:
        stale = f'nonce="{self._nonce}"' in request.headers.get("authorization", "")
        if stale and time.monotonic() > self._nonce_until:
            self._nonce = secrets.token_hex(8)
            self._nonce_until = time.monotonic() + _NONCE_S
        told = f'Digest realm="{_REALM}", nonce="{self._nonce}", stale="{str(stale).lower()}"'
        return _error(401, "Unauthorized", {"WWW-Authenticate": told})

    def age(self) -> None:
        """The nonce is used up: the next request must answer a new one."""
        self._nonce = secrets.token_hex(8)

    # --- what is asked -------------------------------------------------------------------------

    def _answer(self, request: Request) -> Response:
        path, method = request.path, request.method
        plain: dict[tuple[str, str], Callable[[], Response]] = {
            ("GET", "/api/version"): self._version,
            ("GET", "/api/v1/info"): lambda: as_json({"name": "sim", "nozzle_diameter": 0.4}),
            ("GET", "/api/v1/status"): self._status,
            ("GET", "/api/v1/job"): self._current,
            ("GET", "/api/v1/storage"): self._storages,
        }
        if (method, path) in plain:
            return plain[method, path]()
        if path.startswith("/api/v1/job/"):
            return self._tell(method, path.removeprefix("/api/v1/job/").split("/"))
        if path.startswith(_FILES):
            return self._file(request, path.removeprefix(_FILES))
        if method == "GET" and path.startswith(f"/{self._storage}/"):
            data = self.files.get(path.removeprefix(f"/{self._storage}/"))
            return _error(404, "Not Found") if data is None else Response(200, data)
        return _error(404, "Not Found")

    def _version(self) -> Response:
        told = {"api": "2.0.0", "version": "2.1.2", "printer": "1.3.1", "text": "PrusaLink"}
        able = {"capabilities": {"upload-by-put": True}}
        return as_json({**told, "firmware": "6.1.3+7898", **able})

    @property
    def _state(self) -> str:
        printer = self._printer
        if (printer.busy and printer.wants_person) or "question" in self.faults:
            return "ATTENTION"
        if printer.busy and "recovering" in self.faults:
            return "BUSY"
        if printer.state == "complete" and printer.moving:
            return "PRINTING"
        return _STATES[printer.state]

    def _status(self) -> Response:
        printer = self._printer
        (nozzle, nozzle_goal), (bed, bed_goal) = printer.heat().values()
        told: dict[str, object] = {
            "storage": {"path": f"/{self._storage}/", "name": self._storage, "read_only": False},
            "printer": {
                "state": self._state,
                "temp_nozzle": round(nozzle, 1),
                "target_nozzle": nozzle_goal,
                "temp_bed": round(bed, 1),
                "target_bed": bed_goal,
                "axis_z": 0.0,
                "flow": 100,
                "speed": 100,
                "fan_hotend": 0,
                "fan_print": 0,
            },
        }
        return as_json({"job": self._told(), **told} if self._has_job else told)

    @property
    def _has_job(self) -> bool:
        if self.faults & {"question", "recovering"}:
            return False
        return self._printer.busy or (self._printer.state == "complete" and self._printer.moving)

    def _told(self) -> dict[str, object]:
        printer = self._printer
        return {
            "id": self._job,
            "progress": round(100 * printer.progress, 2),
            "time_remaining": 60,
            "time_printing": int(printer.printed_s),
        }

    def _current(self) -> Response:
        if not self._has_job:
            return Response(204)
        state = "PAUSED" if self._state in ("PAUSED", "ATTENTION") else "PRINTING"
        name = self._printer.name
        file = {
            "name": _short(name),
            "display_name": name,
            "path": f"/{self._storage}",
            "size": self._printer.size,
            "m_timestamp": 1648042843,
            "refs": {"download": f"/{self._storage}/{name}"},
        }
        return as_json({**self._told(), "state": state, "file": file})

    def _storages(self) -> Response:
        used = sum(len(data) for data in self.files.values())
        one = {
            "name": self._storage.upper(),
            "type": "USB",
            "path": f"/{self._storage}/",
            "free_space": max(0, self._room - used),
            "available": "full" not in self.faults,
            "read_only": False,
        }
        return as_json({"storage_list": [one]})

    def _tell(self, method: str, words: list[str]) -> Response:
        printer = self._printer
        if words[0] != str(self._job) or not self._has_job:
            return _error(404, "Job not found")
        deed = words[1] if len(words) > 1 else "stop"
        able = {"stop": ("printing", "paused"), "pause": ("printing",), "resume": ("paused",)}
        wanted = "DELETE" if deed == "stop" else "PUT"
        if method != wanted or deed not in able or printer.state not in able[deed]:
            return _error(409, "Conflict")
        if deed == "stop":
            printer.cancel()
            printer.cool()
        elif deed == "pause":
            printer.pause()
        else:
            printer.resume()
        return Response(204)

    # --- files ---------------------------------------------------------------------------------

    def _file(self, request: Request, where: str) -> Response:
        storage, _, name = where.partition("/")
        if storage != self._storage:
            return _error(404, "Storage not found")
        deeds: dict[str, Callable[[], Response]] = {
            "PUT": lambda: self._put(request, name),
            "GET": lambda: self._info(name),
            "HEAD": lambda: self._head(name),
            "POST": lambda: self._start(name),
            "DELETE": lambda: self._delete(name),
        }
        if request.method not in deeds:
            return _error(404, "Not Found")
        if request.method != "PUT" and name not in self.files:
            return _error(404, "File not found")
        return deeds[request.method]()

    def _put(self, request: Request, name: str) -> Response:
        if "full" in self.faults:
            return _error(507, "Insufficient storage")
        if len(request.body) > self._room:
            return _error(413, "Payload Too Large")
        if name in self.files and request.headers.get("overwrite") != "?1":
            return _error(409, "File already exists")
        body = request.body
        self.files[name] = body[:-2] if "alter" in self.faults else body
        return Response(201)

    def _info(self, name: str) -> Response:
        data = self.files[name]
        return as_json(
            {
                "name": _short(name),
                "display_name": name,
                "type": "PRINT_FILE",
                "read_only": False,
                "size": len(data),
                "m_timestamp": 1648042843,
                "refs": {"download": f"/{self._storage}/{name}"},
            }
        )

    def _head(self, name: str) -> Response:
        printed = self._has_job and self._printer.name == name
        return Response(200, b"", {"Read-Only": "false", "Currently-Printed": str(printed).lower()})

    def _start(self, name: str) -> Response:
        if "drop-start" in self.faults:
            self.faults.discard("drop-start")
            return Response(204)
        if self._has_job or self._printer.board.dead or "refuse-start" in self.faults:
            return _error(409, "Printer is busy")
        self._job += 1
        if "ask-first" in self.faults:  # wrong filament? wrong printer? somebody has to answer
            self.faults = (self.faults - {"ask-first"}) | {"question"}
            self._asked_for = name
            return Response(204)
        if "deny-start" in self.faults:
            self.faults.discard("deny-start")
            self._printer.start_soon(name, self.files[name])
            return _error(409, "Conflict")
        self._printer.start(name, self.files[name])
        return Response(204)

    def start_foreign(self) -> None:
        """Somebody prints from the panel."""
        self._job += 1

    def _delete(self, name: str) -> Response:
        if (self._has_job and self._printer.name == name) or "keep-file" in self.faults:
            return _error(409, "File is busy")
        del self.files[name]
        return Response(204)


def _short(name: str) -> str:
    """A name of eight signs, as a printer's own file system gives."""
    return f"{name[:6].upper()}~1.GCO"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _error(code: int, text: str, headers: dict[str, str] | None = None) -> Response:
    told = as_json({"title": text.upper(), "text": text}, code)
    return Response(code, told.body, {**told.headers, **(headers or {})})
