"""PrusaLink's language: JSON in, typed answers out; fields as its published OpenAPI names them.

It reads only the fields it names and never sends a request.
Sources: prusa3d/Prusa-Link-Web spec/openapi.yaml, version 1.0.0-draft; what the real PrusaLink
0.8.1 says beyond it: `null` for whatever it does not know yet.
"""

from typing import Annotated, Final

from pydantic import Field

from firmware_bridge.drivers.prusalink import quirks
from firmware_bridge.serving.answers import Answer, quoted
from firmware_bridge.serving.look import Doing, Look

WHOSE: Final = "PrusaLink"
Text = Annotated[str, Field(max_length=1000)]


class Version(Answer):
    """`GET /api/version`."""

    text: Text | None = None
    firmware: Text | None = None

    @property
    def words(self) -> str:
        return quoted(" ".join(filter(None, (self.text, self.firmware))), 100)


class Storage(Answer):
    path: Text
    type: Text = ""
    available: bool = True
    read_only: bool | None = False
    free_space: int | None = None


class Storages(Answer):
    """`GET /api/v1/storage`."""

    storage_list: list[Storage] = Field(default_factory=list[Storage])

    def choose(self) -> Storage | None:
        """Where files can be written: the printer's own or its stick, before an SD card."""
        usable = [each for each in self.storage_list if each.available and not each.read_only]
        return min(usable, key=lambda each: each.type == "SDCARD", default=None)


class _Refs(Answer):
    download: Text | None = None


class StoredFile(Answer):
    """`GET /api/v1/files/…`; on a printer's own board `name` is the short one, of eight signs."""

    name: Text
    display_name: Text | None = None
    size: int | None = None
    refs: _Refs = _Refs()

    @property
    def long_name(self) -> str:
        return self.display_name or self.name


class Job(Answer):
    """`GET /api/v1/job`; without `file` it prints what comes over its serial port."""

    id: int
    state: Text = ""
    progress: float | None = None
    time_printing: float | None = None
    file: StoredFile | None = None

    @property
    def name(self) -> str | None:
        return None if self.file is None else self.file.long_name


class _StatusJob(Answer):
    id: int


class _Part(Answer):
    ok: bool | None = True
    message: Text | None = None


class Printer(Answer):
    state: Text
    temp_nozzle: float | None = None
    target_nozzle: float | None = None
    temp_bed: float | None = None
    target_bed: float | None = None
    status_printer: _Part = _Part()


class Status(Answer):
    """`GET /api/v1/status`."""

    printer: Printer
    job: _StatusJob | None = None

    @property
    def doing(self) -> Doing:
        return doing(self.printer.state, has_job=self.job is not None)

    @property
    def heat(self) -> dict[str, tuple[float, float]]:
        told = self.printer
        both = {
            "tool0": (told.temp_nozzle, told.target_nozzle),
            "bed": (told.temp_bed, told.target_bed),
        }
        return {
            name: (actual, target or 0.0)
            for name, (actual, target) in both.items()
            if actual is not None
        }

    def look(self, job: Job | None) -> Look:
        why = self.printer.status_printer
        state = self.printer.state
        said = f"{state}: {why.message}" if why.ok is False and why.message else state
        if job is None:
            return Look(self.doing, quoted(said), heat=self.heat)
        fraction = (job.progress or 0.0) / 100
        size = job.file.size if job.file is not None else None
        return Look(
            self.doing,
            quoted(said),
            job.name,
            fraction,
            None if size is None else int(size * fraction),
            job.time_printing,
            self.heat,
        )


def doing(state: str, *, has_job: bool) -> Doing:
    """A state as what matters to us; a state not known is somewhere in between."""
    if state in quirks.ATTENTION:
        return Doing.WAITING
    if state == quirks.BUSY:
        return Doing.ENDING if has_job else Doing.CHANGING
    known = {
        quirks.PRINTING: Doing.WORKING,
        quirks.PAUSED: Doing.PAUSED,
        quirks.FINISHED: Doing.READY,
        quirks.STOPPED: Doing.READY,
        quirks.ERROR: Doing.BROKEN,
        **dict.fromkeys(quirks.IDLE, Doing.READY),
    }
    return known.get(state, Doing.CHANGING)
