"""Promises one simulated print server that lives on a port until it is told to stop.
Never decides what it answers; it keeps time, the door to the physical world, and bad luck.
"""

import asyncio
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from hardware_sim.clock import Clock
from hardware_sim.control import Answer, Control
from hardware_sim.records import Journal
from hardware_sim.servers.described import KlipperMachine, MoonrakerMachine, ServerMachine
from hardware_sim.servers.klipper import Klipper
from hardware_sim.servers.klippy import Klippy
from hardware_sim.servers.moonraker import MoonrakerSite
from hardware_sim.servers.printer import Printer
from hardware_sim.servers.prusalink import PrusaLinkSite
from hardware_sim.servers.web import Lie, Web

TICK_S = 0.005
AWAY_S = 1.0
FOREIGN = "somebody-elses.gcode"
_FOREIGN_ROWS = b"G28\n" + b"G4 P200\n" * 500 + b"M84\n"
_LIES = get_args(Lie)
_FAULTS = (
    *("lose-start", "drop-start", "refuse-start", "deny-start", "ask-first", "keep-file"),
    *("full", "alter", "recovering"),
)


class Served:
    """One server and its printer; `act` is the door for people, cables and bad luck."""

    def __init__(self, machine: ServerMachine, clock: Clock, journal: Journal) -> None:
        self.machine, self.journal = machine, journal
        self.printer = Printer(machine.body(), clock, journal)
        self.site: MoonrakerSite | PrusaLinkSite | None = None
        self.klippy: Klippy | None = None
        if isinstance(machine, KlipperMachine):
            folder = Path(machine.files)
            klipper = Klipper(self.printer, lambda name: _stored(folder, name))
            self.klippy = Klippy(klipper, Path(machine.socket))
        elif isinstance(machine, MoonrakerMachine):
            self.site = MoonrakerSite(self.printer, machine.api_key, machine.room_bytes)
        else:
            self.site = PrusaLinkSite(
                self.printer, machine.user, machine.password, machine.storage, machine.room_bytes
            )
        self.web = None if self.site is None else Web(self.site)
        self._back: asyncio.Task[None] | None = None

    # --- the physical world and bad luck -------------------------------------------------------

    def act(self, verb: str) -> Answer:
        """Carry out one request of the control channel."""
        deeds = {
            "state": lambda: None,
            "clear-bed": self.journal.clear_bed,
            "jam": self.printer.board.jam,
            "press": self.printer.board.press,
            "cut": self._cut,
            "restart": self._restart,
            "unplug": self._unplug,
            "replug": self._replug,
            "reset": self._reset,
            "overheat": self._overheat,
            "foreign": self._foreign,
            "panel-pause": self.printer.pause,
            "panel-resume": self.printer.resume,
            "panel-stop": self.printer.cancel,
            "dismiss": self._dismiss,
            "answer-yes": lambda: self._answer(go_on=True),
            "answer-no": lambda: self._answer(go_on=False),
            "age": self._age,
            "recovered": lambda: self.site and self.site.faults.discard("recovering"),
            "honest": lambda: self._lie(""),
        }
        if verb in _FAULTS and self.site is not None:
            self.site.faults.add(verb)
        elif verb.startswith("lie-") and verb[4:] in _LIES:
            self._lie(verb[4:])
        elif verb in deeds:
            deeds[verb]()
        else:
            known = [*deeds, *_FAULTS, *(f"lie-{lie}" for lie in _LIES if lie)]
            raise ValueError(f"unknown request {verb!r}; known: {', '.join(known)}")
        return self._state()

    def _state(self) -> Answer:
        printer = self.printer
        return {
            "kind": self.machine.kind,
            "name": self.machine.name,
            "bed": self.journal.bed,
            "starts": self.journal.starts,
            "running": self.journal.running,
            "lines": self.journal.lines,
            "state": printer.state,
            "file": printer.name,
            "still": printer.board.still,
            "heat": printer.heat(),
        }

    def _lie(self, how: str) -> None:
        if self.site is not None:
            self.site.lie = next(lie for lie in _LIES if lie == how)
            self._cut()

    def _cut(self) -> None:
        if self.web is not None:
            self.web.cut()

    def _restart(self) -> None:
        """The server's process dies and comes back; the printer does not notice."""
        self._back = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        if self.web is not None and self.site is not None:
            self.web.away()
            await asyncio.sleep(AWAY_S)
            self.site.restarted()
            await self.web.listen()
        elif self.klippy is not None:
            self.klippy.away()
            await asyncio.sleep(AWAY_S)
            await self.klippy.listen()

    def _unplug(self) -> None:
        if self.site is not None:
            self.site.unplug()
        elif self.klippy is not None:
            self.printer.halt("Lost communication with MCU 'mcu'")
            self.klippy.away()

    def _replug(self) -> None:
        self._reset()
        if self.klippy is not None:
            self._back = asyncio.get_running_loop().create_task(self.klippy.listen())

    def _reset(self) -> None:
        """Somebody restarts the firmware: what ran is gone, all is as after power-up."""
        self.journal.end("reset", self.printer.clock.now())
        if self.site is not None:
            self.site.faults.discard("unplugged")
        klipper = self._klipper
        if klipper is not None:
            klipper.restart()
        else:
            self.printer.power_up()

    def _overheat(self) -> None:
        why = "Heater extruder not heating at expected rate"
        klipper = self._klipper
        if klipper is not None:
            klipper.shut_down(why)
        else:
            self.printer.halt(why)

    @property
    def _klipper(self) -> Klipper | None:
        if self.klippy is not None:
            return self.klippy.klipper
        return self.site.klipper if isinstance(self.site, MoonrakerSite) else None

    def _foreign(self) -> None:
        """Somebody at the machine prints something of their own."""
        if isinstance(self.site, PrusaLinkSite):
            self.site.start_foreign()
        self.printer.start(FOREIGN, _FOREIGN_ROWS)

    def _age(self) -> None:
        if isinstance(self.site, PrusaLinkSite):
            self.site.age()

    def _answer(self, *, go_on: bool) -> None:
        if isinstance(self.site, PrusaLinkSite):
            self.site.answer_question(go_on=go_on)

    def _dismiss(self) -> None:
        if isinstance(self.site, PrusaLinkSite):
            self.site.forget()

    # --- life ----------------------------------------------------------------------------------

    async def live(self, control: Path | None, tell: Callable[[str, str], None]) -> None:
        """Listen, say where, and stay until SIGTERM."""
        over = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, over.set)
        door = None if control is None else Control(control, self.act)
        tell(await self._listen(), self.machine.kind)
        while not over.is_set():
            self._turn(door)
            await asyncio.sleep(TICK_S)
        if door is not None:
            door.close()
        if self.web is not None:
            self.web.away()
        if self.klippy is not None:
            self.klippy.away()

    async def _listen(self) -> str:
        if self.web is not None:
            return f"http://127.0.0.1:{await self.web.listen()}"
        assert self.klippy is not None
        await self.klippy.listen()
        return str(self.klippy.path)

    def _turn(self, door: Control | None) -> None:
        if self.site is not None:
            self.site.step()
        elif self.klippy is not None:
            self.klippy.step()
        if door is not None:
            ready, _, _ = select.select(door.filenos(), [], [], 0)
            door.serve(set(ready))


def _stored(folder: Path, name: str) -> bytes | None:
    path = (folder / name).resolve()
    inside = path.is_relative_to(folder.resolve())
    return path.read_bytes() if inside and path.is_file() else None
