"""Promises what Klipper tells of a print and does on request, by Moonraker's and its own documents.
Never opens a socket: `klippy` carries it over a unix socket, `moonraker` over the web.

Sources: Klipper docs/API_Server.md, docs/Status_Reference.md, klippy/extras/virtual_sdcard.py,
print_stats.py, pause_resume.py, idle_timeout.py, webhooks.py.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from hardware_sim.servers.printer import Printer

Objects = dict[str, dict[str, Any]]
_PRINT = re.compile(r'SDCARD_PRINT_FILE\s+FILENAME="?([^"]*)"?', re.IGNORECASE)
PERSON = "Shutdown due to webhooks request"


class KlipperError(Exception):
    """What Klipper answers as an error; the text is its message."""


class Klipper:
    """`files` reads a stored file by its name, None when there is none."""

    def __init__(self, printer: Printer, files: Callable[[str], bytes | None]) -> None:
        self.printer = printer
        self._files = files
        self.state = "ready"
        self.state_message = "Printer is ready"

    # --- status -----------------------------------------------------------------------------

    def objects(self) -> Objects:
        """Everything that can be asked for."""
        printer = self.printer
        heat = printer.heat()
        heaters: Objects = {
            name: {"temperature": actual, "target": target, "power": 0.0}
            for name, (actual, target) in heat.items()
        }
        working = printer.state == "printing" or printer.moving
        return {
            "webhooks": {"state": self.state, "state_message": self.state_message},
            "print_stats": {
                "filename": printer.name,
                "total_duration": printer.printed_s,
                "print_duration": printer.printed_s,
                "filament_used": 0.0,
                "state": printer.state,
                "message": printer.message,
                "info": {"total_layer": None, "current_layer": None},
            },
            "virtual_sdcard": {
                "file_path": printer.name or None,
                "progress": printer.progress,
                "is_active": printer.state == "printing",
                "file_position": printer.position,
                "file_size": printer.size,
            },
            "idle_timeout": {"state": "Printing" if working else "Ready", "printing_time": 0.0},
            "pause_resume": {"is_paused": printer.state == "paused"},
            "heaters": {"available_heaters": list(heat), "available_sensors": list(heat)},
            "configfile": {"config": {"virtual_sdcard": {"path": "~"}}},
            **heaters,
        }

    def query(self, wanted: Mapping[str, list[str] | None]) -> Objects:
        """The objects and fields that were asked for; what is unknown is left out."""
        known = self.objects()
        return {
            name: {
                key: value for key, value in known[name].items() if fields is None or key in fields
            }
            for name, fields in wanted.items()
            if name in known
        }

    # --- deeds ------------------------------------------------------------------------------

    def script(self, text: str) -> None:
        """G-code from beside the file; raises KlipperError as Klipper does."""
        self._alive()
        found = _PRINT.search(text)
        if found:
            self._print(found[1].removeprefix("/"))
        elif text.strip().upper() == "TURN_OFF_HEATERS":
            self.printer.cool()
        else:
            for line in text.splitlines():
                self.printer.say(line)

    def _print(self, name: str) -> None:
        if self.printer.busy:
            raise KlipperError("SD busy")
        data = self._files(name)
        if data is None:
            raise KlipperError("Unable to open file")
        self.printer.start(name, data)

    def pause(self) -> None:
        self._alive()
        if self.printer.state == "paused":
            raise KlipperError("Print already paused")
        self.printer.pause()

    def resume(self) -> None:
        self._alive()
        if self.printer.state != "paused":
            raise KlipperError("Print is not paused, resume aborted")
        self.printer.resume()

    def cancel(self) -> None:
        self._alive()
        self.printer.cancel()

    def _alive(self) -> None:
        if self.state != "ready":
            raise KlipperError(self.state_message)

    def shut_down(self, why: str = PERSON) -> None:
        self.state, self.state_message = "shutdown", why
        self.printer.halt(why)

    def restart(self) -> None:
        self.printer.power_up()
        self.state, self.state_message = "ready", "Printer is ready"

    def step(self) -> None:
        self.printer.step()
        if self.printer.board.dead and self.state == "ready":
            self.state, self.state_message = "shutdown", self.printer.message or "MCU shutdown"
