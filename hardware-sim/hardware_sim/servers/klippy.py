"""Promises Klipper's API server on a unix socket, for a real Moonraker to sit in front of.
Never knows a client: whoever connects may ask, and gets the news it subscribed to.

Source: Klipper docs/API_Server.md (messages are JSON and end with 0x03).
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hardware_sim.servers.klipper import Klipper, KlipperError, Objects

PUSH_S = 0.25
END = b"\x03"
_ENDPOINTS = (
    "info", "emergency_stop", "list_endpoints", "gcode/help", "gcode/script", "gcode/restart",
    "gcode/firmware_restart", "gcode/subscribe_output", "objects/list", "objects/query",
    "objects/subscribe", "pause_resume/cancel", "pause_resume/pause", "pause_resume/resume",
    "query_endstops/status", "register_remote_method",
)  # fmt: skip
_Guest = asyncio.StreamWriter


class Klippy:
    def __init__(self, klipper: Klipper, path: Path) -> None:
        self.klipper = klipper
        self.path = path
        self._server: asyncio.Server | None = None
        self._guests: dict[_Guest, tuple[dict[str, Any], Mapping[str, list[str] | None]]] = {}
        self._told: Objects = {}
        self._pushed_at = 0.0

    async def listen(self) -> None:
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._guest, str(self.path))

    def away(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._guests):
            writer.transport.abort()
        self.path.unlink(missing_ok=True)

    def step(self) -> None:
        self.klipper.step()
        if time.monotonic() - self._pushed_at < PUSH_S:
            return
        self._pushed_at = time.monotonic()
        known = self.klipper.objects()
        for writer, (template, wanted) in self._guests.items():
            news: Objects = {}
            for name, fields in self.klipper.query(wanted).items():
                before = self._told.get(name, {})
                changed = {key: value for key, value in fields.items() if before.get(key) != value}
                if changed:
                    news[name] = changed
            if news:
                told = {"eventtime": time.monotonic(), "status": news}
                _send(writer, {**template, "params": told})
        self._told = known

    async def _guest(self, reader: asyncio.StreamReader, writer: _Guest) -> None:
        self._guests[writer] = ({}, {})
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    asked = json.loads((await reader.readuntil(END))[:-1])
                    self._answer(writer, asked)
                    await writer.drain()
        finally:
            self._guests.pop(writer, None)
            writer.close()

    def _answer(self, writer: _Guest, asked: Mapping[str, Any]) -> None:
        answer: dict[str, object] = {"id": asked.get("id")}
        try:
            answer["result"] = self._do(writer, asked["method"], asked.get("params", {}))
        except KlipperError as error:
            answer["error"] = {"error": "WebRequestError", "message": str(error)}
        if asked.get("id") is not None:
            _send(writer, answer)

    def _do(self, writer: _Guest, method: str, given: Mapping[str, Any]) -> object:
        klipper = self.klipper
        if method in ("objects/query", "objects/subscribe"):
            if method == "objects/subscribe":
                template = dict(given.get("response_template", {}))
                self._guests[writer] = (template, given["objects"])
            return {"eventtime": time.monotonic(), "status": klipper.query(given["objects"])}
        known: dict[str, Callable[[], object]] = {
            "info": self._info,
            "list_endpoints": lambda: {"endpoints": list(_ENDPOINTS)},
            "objects/list": lambda: {"objects": list(klipper.objects())},
            "gcode/help": lambda: {"RESTART": "Reload config file and restart host software"},
            "query_endstops/status": lambda: {"x": "open", "y": "open", "z": "open"},
            "gcode/script": lambda: klipper.script(given["script"]),
            "gcode/firmware_restart": klipper.restart,
            "pause_resume/pause": klipper.pause,
            "pause_resume/resume": klipper.resume,
            "pause_resume/cancel": klipper.cancel,
            "emergency_stop": klipper.shut_down,
        }
        return known.get(method, dict)() or {}

    def _info(self) -> dict[str, object]:
        return {
            "state": self.klipper.state,
            "state_message": self.klipper.state_message,
            "hostname": "simulated",
            "klipper_path": "/klipper",
            "python_path": "/klipper/python",
            "process_id": os.getpid(),
            "user_id": os.getuid(),
            "group_id": os.getgid(),
            "log_file": "/klipper/klippy.log",
            "config_file": "/klipper/printer.cfg",
            "software_version": "v0.12.0-simulated",
            "cpu_info": "simulated",
        }


def _send(writer: _Guest, message: Mapping[str, object]) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + END)
