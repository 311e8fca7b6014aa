"""A machine that only people reach: it is handed a file, and their words are kept as its answers.

It writes into the shop's hand-out folder and nowhere else; what no person said, it never says.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from firmware_bridge.driver import (
    Condition,
    Ended,
    Event,
    Program,
    Progress,
    Run,
    Started,
    Status,
    Waiting,
    Word,
)
from firmware_bridge.drivers.by_hand import codec, quirks
from firmware_bridge.errors import BridgeError, LinkLost, NeedsPerson, ProtocolError, Refused
from firmware_bridge.streaming import read_program

WAIT_S: Final = 1.0


class Folder:
    """The hand-out folder, ours alone while it is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: TextIOWrapper | None = None

    @property
    def is_open(self) -> bool:
        return self._lock is not None

    def open(self) -> None:
        """Raises `LinkLost` when it is not there, `Refused` when somebody else works in it."""
        if not self.path.is_dir():
            raise LinkLost(f"the folder {self.path} is not there: is its disk or share mounted?")
        try:
            lock = (self.path / quirks.LOCK).open("a")
        except OSError as error:
            raise Refused(f"cannot write into {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise Refused(f"{self.path} is in use by another agent; give each its own") from error
        self._lock = lock

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def check(self) -> None:
        """Raises `LinkLost` unless it is still the folder that was opened."""
        if self._lock is None:
            raise LinkLost(f"the folder {self.path} is not open")
        try:
            found = (self.path / quirks.LOCK).stat()
        except OSError as error:
            raise LinkLost(f"the folder {self.path} is gone: {error.strerror}") from error
        if not os.path.samestat(found, os.fstat(self._lock.fileno())):
            raise LinkLost(f"the folder {self.path} is another one than before")

    def open_records(self) -> list[str]:
        """The names of hand-outs that are not over, or whose record cannot be read."""
        self.check()
        found = (path.name for path in self.path.glob(f"*{quirks.RECORD}"))
        return sorted(name for each in found if not self._over(name := _bare(each)))

    def _over(self, name: str) -> bool:
        try:
            return self.record(name).over
        except ProtocolError:
            return False

    def knows(self, name: str) -> bool:
        return self._where(name) is not None

    def record(self, name: str) -> codec.Record:
        """Raises `NeedsPerson` without one, `ProtocolError` when it is not what was written."""
        self.check()
        path = self._where(name)
        if path is None:
            raise NeedsPerson(
                f"{self.path} has no record of {name}: nobody knows what became of it"
            )
        try:
            data = path.read_bytes()
        except OSError as error:
            raise LinkLost(f"{path} cannot be read: {error.strerror}") from error
        return codec.read(data, name)

    def write(self, name: str, data: bytes) -> None:
        """All of it, synced, or nothing."""
        self.check()
        path = self.path / name
        part = self.path / f".{name}.part"
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync(self.path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise LinkLost(f"{path} cannot be written: {error.strerror}") from error

    def put_away(self, name: str) -> None:
        """What is over no longer lies about; a disk that will not do it changes nothing."""
        done = self.path / quirks.DONE
        with suppress(OSError):
            done.mkdir(exist_ok=True)
            for each in (name, name + quirks.SHEET, name + quirks.RECORD):
                with suppress(FileNotFoundError):
                    (self.path / each).replace(done / each)

    def drop(self, name: str) -> None:
        """A hand-out that was never whole."""
        for each in (name, name + quirks.SHEET, name + quirks.RECORD):
            with suppress(OSError):
                (self.path / each).unlink()

    def _where(self, name: str) -> Path | None:
        places = (self.path, self.path / quirks.DONE)
        paths = (place / (name + quirks.RECORD) for place in places)
        return next((path for path in paths if path.exists()), None)


class ByHandRun:
    """One hand-out; its events wait, for as long as it takes, for what a person says."""

    def __init__(
        self, folder: Folder, record: codec.Record, files: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        self.handle = record.handed.handed_out
        self.over = False
        self.asked = ""
        self._folder = folder
        self._record = record
        self._files = files
        self._fresh = bool(files)
        self._followed = False
        self._doubt: BridgeError | None = None
        self._news = threading.Condition()

    def events(self) -> Iterator[Event]:
        with self._news:
            if self._followed:
                raise Refused("the events of a run can be followed once")
            self._followed, stopped = True, self.over
        if stopped:
            yield Ended("not started", "stopped", 0, self.asked)
            return
        try:
            self._hand_out()
            yield from self._follow()
        except LinkLost as error:
            yield Ended("not started", "not handed out", 0, str(error))
        finally:
            self.over = True

    def pause(self) -> None:
        raise Refused(quirks.AT_THE_MACHINE)

    def resume(self) -> None:
        raise Refused(quirks.AT_THE_MACHINE)

    def stop(self, why: str) -> None:
        """Ask the person, and wait for their word; before it was handed out it is simply over."""
        with self._news:
            self.asked = why
            self.over = self.over or (self._fresh and not self._followed)

    # ------------------------------------------------------------------ what people say

    @property
    def words(self) -> tuple[Word, ...]:
        """What may be said now."""
        return () if self.over or not self._followed or self._doubt else self._record.words

    def tell(self, word: Word, by: str, note: str = "") -> None:
        """Keep a person's word, synced, before anything follows from it."""
        with self._news:
            if self.over or not self._followed or self._doubt:
                raise Refused(f"{self.handle} waits for nobody's word")
            record = self._unaltered().with_word(word, by, note, datetime.now(UTC))
            self._folder.write(self.handle + quirks.RECORD, record.written())
            self._record = record
            self._news.notify_all()

    def let_go(self) -> None:
        """Nobody will hear a word any more until it is recovered."""
        with self._news:
            self._doubt = self._doubt or LinkLost("its folder was closed before anybody told")
            self._news.notify_all()

    def status(self) -> Status:
        if self._record.said:
            by = self._record.said[-1].by
            return Status(Condition.RUNNING, f"as {by} said; waits for the word how it ended")
        return Status(Condition.ATTENTION, f"{self.handle} is handed out; waits for its start")

    # ------------------------------------------------------------------ inside

    def _unaltered(self) -> codec.Record:
        """What is on disk; anything but what was written there puts the whole run in doubt."""
        try:
            kept = self._folder.record(self.handle)
        except (ProtocolError, NeedsPerson) as error:
            raise self._in_doubt(error) from error
        if kept != self._record:
            raise self._in_doubt(ProtocolError(f"the record of {self.handle} was altered"))
        return kept

    def _in_doubt(self, error: BridgeError) -> BridgeError:
        self._doubt = error
        self._news.notify_all()
        return error

    def _hand_out(self) -> None:
        """The record first: what lies in the folder is always accounted for."""
        if not self._files:
            return
        try:
            self._folder.write(self.handle + quirks.RECORD, self._record.written())
            for name, data in self._files:
                self._folder.write(name, data)
        except LinkLost:
            self._folder.drop(self.handle)
            raise

    def _follow(self) -> Iterator[Event]:
        told, patience_s = 0, 0.0
        while not self.over:
            said = self._next(told, patience_s)
            patience_s = WAIT_S if said is None else 0.0
            if said is not None:
                told += 1
                yield from self._told(said)
            elif self._doubt is not None:
                yield self._end(Ended("unknown", "in doubt", 0, str(self._doubt)))
            else:
                yield Waiting(self.status().detail)

    def _next(self, told: int, patience_s: float) -> codec.Said | None:
        """The word after those that were told; None when there is none yet, or never will be."""
        with self._news:
            self._news.wait_for(lambda: self._doubt or len(self._record.said) > told, patience_s)
            return self._record.said[told] if len(self._record.said) > told else None

    def _told(self, said: codec.Said) -> Iterator[Event]:
        if said.word == "started":
            yield Started()
            return
        ended, ran_s = self._record.ended(self.asked), self._record.ran_s
        if ran_s is not None:
            yield Progress(float(ended.outcome == "finished"), ended.last_line, ran_s)
        self._folder.put_away(self.handle)
        yield self._end(ended)

    def _end(self, ended: Ended) -> Ended:
        self.over = True
        return ended


class ByHandDriver:
    def __init__(self, link: str) -> None:
        path = Path(link).expanduser()
        if not path.is_absolute():
            raise Refused(f"link: {link!r} is no folder; write its whole path, from / on")
        self._folder = Folder(path)
        self._run: ByHandRun | None = None

    def connect(self) -> Status:
        if not self._folder.is_open:
            self._folder.open()
        return self.status()

    def close(self) -> None:
        if self._run is not None:
            self._run.let_go()
        self._folder.close()

    def status(self) -> Status:
        try:
            left = self._folder.open_records()
        except LinkLost as error:
            return Status(Condition.OFFLINE, str(error), firmware="by hand")
        if self._run is not None and not self._run.over:
            return self._run.status()
        if left:
            said = f"nobody told what became of {left[0]}; settle it, then move its record away"
            return Status(Condition.ATTENTION, said, firmware="by hand")
        return Status(Condition.IDLE, firmware="by hand")

    def start(self, program: Program) -> Run:
        if self._run is not None and not self._run.over:
            raise Refused("this machine is already busy with a hand-out")
        data, name = read_program(program), program.remote_name
        status = self.status()
        if status.condition is Condition.OFFLINE:
            raise LinkLost(status.detail)
        if status.condition is not Condition.IDLE:
            raise NeedsPerson(f"the machine is not ready: {status.detail}")
        if self._folder.knows(name):
            raise Refused(f"{name} was handed out before: it is never handed out twice")
        handed = codec.HandedOut(
            handed_out=name, sha256=program.sha256, lines=program.lines, at=datetime.now(UTC)
        )
        files = ((name + quirks.SHEET, program.sheet.encode()), (name, data))
        return self._follow(codec.Record(handed), files)

    def recover(self, handle: str) -> Run | None:
        """The hand-out goes on where people left it, or tells how it ended.

        Raises `NeedsPerson` without a record: nobody knows whether the file was ever seen.
        """
        if not self._folder.is_open:
            self._folder.open()
        return self._follow(self._folder.record(handle))

    def halt(self) -> None:
        raise Refused(quirks.NO_SWITCH)

    def _follow(self, record: codec.Record, files: tuple[tuple[str, bytes], ...] = ()) -> ByHandRun:
        self._run = ByHandRun(self._folder, record, files)
        return self._run


def _bare(record: str) -> str:
    return record.removesuffix(quirks.RECORD)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
