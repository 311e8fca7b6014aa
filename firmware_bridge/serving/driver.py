"""A machine behind a print server, whichever it is: the driver seam kept for all of them.

It never touches a print that is not ours; to start beside one is refused.
"""

from typing import Final

from firmware_bridge.driver import Condition, Program, Run, Status
from firmware_bridge.errors import LinkLost, NeedsPerson
from firmware_bridge.serving.look import Doing, Look, PrintServer
from firmware_bridge.serving.run import ServedRun
from firmware_bridge.streaming import Timeouts, read_program

_CONDITIONS: Final = {
    Doing.READY: Condition.IDLE,
    Doing.WORKING: Condition.RUNNING,
    Doing.PAUSED: Condition.PAUSED,
    Doing.ENDING: Condition.RUNNING,
    Doing.WAITING: Condition.ATTENTION,
    Doing.CHANGING: Condition.CONNECTING,
    Doing.CLOSED: Condition.OFFLINE,
    Doing.BROKEN: Condition.FAULT,
}


class ServedDriver:
    def __init__(self, server: PrintServer, timeouts: Timeouts) -> None:
        self._server = server
        self._timeouts = timeouts
        self._run: ServedRun | None = None

    def connect(self) -> Status:
        self._server.connect()
        return self.status()

    def close(self) -> None:
        self._server.close()

    def status(self) -> Status:
        try:
            look = self._server.look()
        except LinkLost as error:
            return Status(Condition.OFFLINE, str(error), firmware=self._server.firmware)
        condition = _CONDITIONS[look.doing]
        if look.doing.busy and not self._is_ours(look):
            condition = Condition.ATTENTION
        detail = "" if condition is Condition.IDLE else look.said
        return Status(condition, detail, look.heat, firmware=self._server.firmware)

    def _is_ours(self, look: Look) -> bool:
        run = self._run
        return run is not None and not run.over and look.works_on(run.handle)

    def start(self, program: Program) -> Run:
        data = read_program(program)
        look = self._server.look()
        if look.doing is not Doing.READY:
            what = f" with {look.file}" if look.file else ""
            said = f"{self._server.name} is {look.said}{what}"
            raise NeedsPerson(f"the printer is not ready: {said}")
        return self._follow(program.remote_name, data)

    def recover(self, handle: str) -> Run | None:
        """Our file is printing, or its history says how it ended: a run that tells; else None.

        Raises `NeedsPerson` when nothing there proves what became of it.
        """
        look = self._server.look()
        if look.works_on(handle) or self._server.past(handle) is not None:
            return self._follow(handle, None)
        if self._server.never_began(handle):
            return None
        # Printed, deleted, or never begun: to guess would be to make the part twice.
        raise NeedsPerson(f"{self._server.name} no longer has {handle}: nobody knows how it ended")

    def _follow(self, handle: str, data: bytes | None) -> ServedRun:
        self._run = ServedRun(self._server, handle, self._timeouts, data)
        return self._run

    def halt(self) -> None:
        """Everything off, as far as the server can, whoever's print it is."""
        self._server.halt()
