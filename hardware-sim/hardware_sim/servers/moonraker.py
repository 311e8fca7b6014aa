"""Promises the part of Moonraker's API that a host prints with; Klipper and a body are behind it.
Never more exact than its documents: the real Moonraker is what the driver is proven with.

Sources: Moonraker docs/external_api: introduction, authorization, server, printer, file_manager,
history, jsonrpc_notifications.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from hardware_sim.servers.klipper import Klipper, KlipperError, Objects
from hardware_sim.servers.printer import Printer
from hardware_sim.servers.web import Lie, Request, Response, Socket, as_json, form_parts

PUSH_S = 0.25
_ENDS = {"complete": "completed", "cancelled": "cancelled", "error": "error"}


class _Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class MoonrakerSite:
    def __init__(self, printer: Printer, api_key: str, room_bytes: int) -> None:
        self.files: dict[str, bytes] = {}
        self.klipper = Klipper(printer, self.files.get)
        self.history: list[dict[str, Any]] = []
        self.lie: Lie = ""
        self.faults: set[str] = set()
        self._printer = printer
        self._key = api_key
        self._room = room_bytes
        self._sockets: dict[Socket, Mapping[str, list[str] | None]] = {}
        self._told: Objects = {}
        self._last = ("", "standby")
        self._klippy = "ready"
        self._pushed_at = 0.0

    # --- what happens by itself ----------------------------------------------------------------

    def step(self) -> None:
        self.klipper.step()
        self._keep_history()
        klippy = "disconnected" if "unplugged" in self.faults else self.klipper.state
        if klippy != self._klippy:
            self._klippy = klippy
            self._notify(f"notify_klippy_{klippy}")
        if time.monotonic() - self._pushed_at > PUSH_S:
            self._pushed_at = time.monotonic()
            self._push()

    def restarted(self) -> None:
        """The server died and came back: what was in progress it never hears the end of."""
        for job in self.history:
            if job["status"] == "in_progress":
                job["status"] = "interrupted"

    def unplug(self) -> None:
        """Klipper's process dies, and with it what its board was doing."""
        self.faults.add("unplugged")
        self._printer.halt("Lost communication with MCU 'mcu'")
        self._end("klippy_disconnect")

    def _keep_history(self) -> None:
        now = (self._printer.name, self._printer.state)
        if now == self._last:
            return
        (name, before), self._last = self._last, now
        if self._printer.busy and (before not in ("printing", "paused") or name != now[0]):
            job = {"job_id": f"{len(self.history) + 1:06X}", "filename": now[0], "exists": True}
            self.history.append({**job, "status": "in_progress", "end_time": None})
        elif now[1] in _ENDS:
            self._end("klippy_shutdown" if self.klipper.state == "shutdown" else _ENDS[now[1]])

    def _end(self, status: str) -> None:
        if self.history and self.history[-1]["status"] == "in_progress":
            self.history[-1].update(status=status, end_time=time.time())

    def _push(self) -> None:
        known = self.klipper.objects()
        changed: Objects = {}
        for name, fields in known.items():
            before = self._told.get(name, {})
            news = {key: value for key, value in fields.items() if before.get(key) != value}
            if news:
                changed[name] = news
        self._told = known
        for socket, wanted in self._sockets.items():
            news = {
                name: kept
                for name, fields in changed.items()
                if name in wanted and (kept := _only(fields, wanted[name]))
            }
            if news:
                socket.send(_notice("notify_status_update", [news, time.monotonic()]))

    def _notify(self, method: str) -> None:
        for socket in self._sockets:
            socket.send(_notice(method, []))

    # --- HTTP ----------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Response:
        if request.path == "/access/info":  # open to everybody
            told = {"default_source": "moonraker", "available_sources": ["moonraker"]}
            return as_json({"result": {**told, "login_required": False, "trusted": False}})
        if self._key and request.headers.get("x-api-key") != self._key:
            return _error(401, "Unauthorized")
        try:
            return self._answer(request)
        except (_Refused, KlipperError) as error:
            code: int = getattr(error, "code", 400)
            return _error(code if code > 0 else 404, str(error))  # a JSON-RPC code is no status

    def _answer(self, request: Request) -> Response:
        files = "/server/files/gcodes/"
        if request.path == "/server/files/upload":
            return self._upload(request)
        if request.path.startswith(files):
            return self._file(request.method, request.path.removeprefix(files))
        method = request.path.strip("/").replace("/", ".")
        given = json.loads(request.body) if request.body else dict(request.query)
        result = self._do(method, given)
        if "lose-start" in self.faults and method == "printer.print.start":
            self.faults.discard("lose-start")
            return Response(lost=True)
        return as_json({"result": result})

    def _file(self, method: str, name: str) -> Response:
        if name not in self.files:
            return _error(404, "File not found")
        if method == "GET":
            return Response(200, self.files[name])
        if method != "DELETE":
            return _error(405, "Method not allowed")
        if (self._printer.busy and self._printer.name == name) or "keep-file" in self.faults:
            return _error(403, "File currently in use")
        del self.files[name]
        return as_json({"result": {"action": "delete_file", "item": {"path": name}}})

    def _upload(self, request: Request) -> Response:
        parts = form_parts(request)
        name, data = parts["file"]
        if len(data) > self._room or "full" in self.faults:
            code = 507 if "full" in self.faults else 413
            return _error(code, "No space left" if code == 507 else "Request Entity Too Large")
        checksum = parts.get("checksum", ("", b""))[1].decode()
        if checksum and checksum != hashlib.sha256(data).hexdigest():
            return _error(422, "File checksum mismatch")
        if self._printer.busy and self._printer.name == name:
            return _error(403, "File is loaded, upload not permitted")
        self.files[name] = data.replace(b"G1", b"G01") if "alter" in self.faults else data
        item = {"path": name, "root": "gcodes", "size": len(data), "permissions": "rw"}
        return as_json({"result": {"item": item, "print_started": False}}, 201)

    # --- JSON-RPC ------------------------------------------------------------------------------

    async def socket(self, request: Request, socket: Socket) -> None:
        allowed = not self._key or request.headers.get("x-api-key") == self._key
        self._sockets[socket] = {}
        try:
            while (said := await socket.receive()) is not None:
                asked = json.loads(said)
                if not self._reply(socket, asked, allowed=allowed):
                    socket.cut()
                    return
        finally:
            del self._sockets[socket]

    def _reply(self, socket: Socket, asked: Mapping[str, Any], *, allowed: bool) -> bool:
        method = asked["method"]
        answer: dict[str, object] = {"jsonrpc": "2.0", "id": asked.get("id")}
        try:
            params = asked.get("params", {})
            answer["result"] = self._do(method if allowed else "", params, socket)
        except (_Refused, KlipperError) as error:
            answer["error"] = {"code": getattr(error, "code", 400), "message": str(error)}
        if method == "printer.print.start" and "lose-start" in self.faults:
            self.faults.discard("lose-start")
            return False
        socket.send(json.dumps(answer))
        return True

    def _do(self, method: str, given: Mapping[str, Any], socket: Socket | None = None) -> object:
        if not method:
            raise _Refused(401, "Unauthorized")
        if method == "printer.print.start" and "refuse-start" in self.faults:
            raise KlipperError("SD busy")
        if method == "printer.print.start" and "deny-start" in self.faults:
            self.faults.discard("deny-start")
            self._printer.start_soon(given["filename"], self.files[given["filename"]])
            raise KlipperError("a macro of this shop failed after it began the print")
        if method == "printer.print.start" and "drop-start" in self.faults:
            self.faults.discard("drop-start")
            return "ok"
        if method.startswith("server."):
            return self._server(method, given)
        if self._klippy == "disconnected":
            raise _Refused(503, "Klippy Host not connected")
        if method == "printer.objects.subscribe" and socket is not None:
            self._sockets[socket] = given["objects"]
        return self._printer_do(method, given)

    def _server(self, method: str, given: Mapping[str, Any]) -> object:
        if method == "server.info":
            return {
                "klippy_connected": self._klippy != "disconnected",
                "klippy_state": self._klippy,
                "moonraker_version": "v0.11.0-sim",
                "api_version": [1, 6, 0],
            }
        if method == "server.history.list":
            jobs = self.history[::-1][: int(given.get("limit", 50))]
            return {"count": len(jobs), "jobs": jobs}
        if method == "server.files.metadata":
            if given.get("filename") not in self.files:
                raise _Refused(404, f"Metadata not available for <{given.get('filename')}>")
            return {"filename": given["filename"], "size": len(self.files[given["filename"]])}
        raise _Refused(-32601, "Method not found")

    def _printer_do(self, method: str, given: Mapping[str, Any]) -> object:
        klipper = self.klipper
        if method in ("printer.objects.query", "printer.objects.subscribe"):
            return {"eventtime": time.monotonic(), "status": klipper.query(given["objects"])}
        if method == "printer.info":
            return {"state": klipper.state, "state_message": klipper.state_message}
        deeds = {
            "printer.print.start": lambda: klipper.script(
                f'SDCARD_PRINT_FILE FILENAME="{given["filename"]}"'
            ),
            "printer.print.pause": klipper.pause,
            "printer.print.resume": klipper.resume,
            "printer.print.cancel": klipper.cancel,
            "printer.gcode.script": lambda: klipper.script(given["script"]),
            "printer.emergency_stop": klipper.shut_down,
            "printer.firmware_restart": klipper.restart,
        }
        if method not in deeds:
            raise _Refused(-32601, "Method not found")
        deeds[method]()
        return "ok"


def _only(fields: Mapping[str, Any], wanted: list[str] | None) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if wanted is None or key in wanted}


def _notice(method: str, params: list[object]) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params})


def _error(code: int, message: str) -> Response:
    return as_json({"error": {"code": code, "message": message, "traceback": ""}}, code)
