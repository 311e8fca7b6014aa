"""A printer behind OctoPrint: a file is handed over, its start asked for once, then observed.

It never touches a print that is not ours, and never asks twice for a start whose answer was lost:
it looks for our own file's name instead, and says *unknown* when nothing proves what happened.
"""

import time

from firmware_bridge.driver import Condition, Program, Run, Status
from firmware_bridge.drivers.octoprint import quirks
from firmware_bridge.drivers.octoprint.codec import Doing
from firmware_bridge.drivers.octoprint.run import OctoPrintRun
from firmware_bridge.drivers.octoprint.server import Server
from firmware_bridge.errors import LinkLost, NeedsPerson, Refused
from firmware_bridge.streaming import Timeouts, read_program

_CONDITIONS = {
    Doing.READY: Condition.IDLE,
    Doing.WORKING: Condition.RUNNING,
    Doing.PAUSED: Condition.PAUSED,
    Doing.ENDING: Condition.RUNNING,
    Doing.CLOSED: Condition.OFFLINE,
    Doing.BROKEN: Condition.FAULT,
    Doing.CHANGING: Condition.CONNECTING,
}


class OctoPrintDriver:
    def __init__(self, link: str, api_key: str, timeouts: Timeouts) -> None:
        if not link.startswith(("http://", "https://")):
            raise Refused(f"{link} is no address of an OctoPrint: http://192.168.1.20")
        self._server = Server(link, api_key)
        self._timeouts = timeouts
        self._firmware = ""
        self._run: OctoPrintRun | None = None

    def connect(self) -> Status:
        self._firmware = self._server.version()
        connection = self._server.connection()
        if connection.doing in (Doing.CLOSED, Doing.BROKEN):
            self._server.post("/api/connection", connection.wish())
        ends = time.monotonic() + quirks.CONNECT_S
        while (now := self._server.connection()).doing in (Doing.CLOSED, Doing.CHANGING):
            if time.monotonic() > ends:
                state = now.current.state
                raise NeedsPerson(f"OctoPrint does not reach its printer: {state}; is it on?")
            time.sleep(quirks.POLL_S)
        return self.status()

    def close(self) -> None:
        self._server.close()

    def status(self) -> Status:
        try:
            job = self._server.job()
            heat = self._server.printer().temperatures_c if job.doing is Doing.READY else {}
        except LinkLost as error:
            return Status(Condition.OFFLINE, str(error), firmware=self._firmware)
        condition = _CONDITIONS[job.doing]
        ours = self._run is not None and not self._run.over and job.file == self._run.handle
        if condition is Condition.RUNNING and not ours:
            condition = Condition.ATTENTION
        detail = job.error or (job.state if condition is not Condition.IDLE else "")
        return Status(condition, detail, heat, firmware=self._firmware)

    def start(self, program: Program) -> Run:
        data = read_program(program)
        job = self._server.job()
        if job.doing is not Doing.READY:
            what = f" with {job.file}" if job.file else ""
            raise NeedsPerson(f"the printer is not ready: OctoPrint is {job.state}{what}")
        self._run = OctoPrintRun(self._server, program.remote_name, self._timeouts, data)
        return self._run

    def recover(self, handle: str) -> Run | None:
        """Our file is printing, or its history says how it ended: a run that tells; else None.

        Raises `NeedsPerson` when the file itself is gone, and its history with it.
        """
        job, file = self._server.job(), self._server.file(handle)
        running = job.file == handle and job.doing in (Doing.WORKING, Doing.PAUSED, Doing.ENDING)
        if not running and file is None:
            # Printed, deleted, or never begun: to guess would be to make the part twice.
            raise NeedsPerson(f"OctoPrint no longer has {handle}: nobody knows how it ended")
        if not running and file is not None and file.prints.last is None:
            return None
        self._run = OctoPrintRun(self._server, handle, self._timeouts, None)
        return self._run

    def halt(self) -> None:
        """Cancel, then kill: OctoPrint closes its port after an M112."""
        try:
            self._server.post("/api/job", {"command": "cancel"})
        except Refused:
            pass
        finally:
            self._server.post("/api/printer/command", {"commands": ["M112"]})
