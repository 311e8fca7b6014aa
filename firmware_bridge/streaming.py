"""Talking over a serial line: single questions outside a job, and the loop that carries a job.

It moves bytes and keeps the clock; what to say and what an answer means, the conversation decides.
It never says a word of its own to the machine, and it never streams bytes that were not hashed.
"""

import contextlib
import hashlib
import itertools
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

from firmware_bridge.driver import Closing, Ended, Event, Program, Status
from firmware_bridge.errors import LinkLost, ProtocolError, Refused
from firmware_bridge.links import Link

# A turn that took longer than this was not spent listening: the host was busy, or asleep.
_TURN_S: Final = 0.25
_NICE: Final = -10


class Wish(StrEnum):
    """What the people want of a run; the conversation gets there by its machine's manners."""

    RUN = "run"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True)
class Timeouts:
    """Seconds. `silence_s`: no byte at all from a machine that owes an answer."""

    banner_s: float = 2.0
    answer_s: float = 3.0
    probe_s: float = 1.0
    silence_s: float = 60.0
    stop_s: float = 15.0
    homing_s: float = 120.0


@dataclass(slots=True)
class Tally:
    """What a run did on the wire, in lines of the program and in bytes; times are `monotonic`.

    `sent` counts each line of the program once, `resends` every repetition, `probes` the questions
    asked by repeating a line; a window is what was in flight at once, our own lines with it.
    """

    sent: int = 0
    acked: int = 0
    bytes_out: int = 0
    resends: int = 0
    probes: int = 0
    window_max: int = 0
    window_max_bytes: int = 0
    first_sent_at: float = 0.0
    last_acked_at: float = 0.0


Row = tuple[int, bytes]
"""A line of the file by its number, and the command in it."""


class Rows:
    """A program's rows, one by one; the last is held back until `Closing` was heard."""

    def __init__(self, rows: Iterable[Row], *, holds_last: bool = True) -> None:
        self._rows = iter(rows)
        self._ahead = deque(itertools.islice(self._rows, 2))
        self._said, self._heard = False, not holds_last

    @property
    def next(self) -> Row | None:
        return self._ahead[0] if self._ahead else None

    def take(self) -> Row | None:
        if not self._ahead:
            return None
        self._ahead.extend(itertools.islice(self._rows, 1))
        return self._ahead.popleft()

    def hold(self, events: list[Event]) -> bool:
        """Whether the next row has to wait: it is the last, of which `Closing` is said first."""
        if self._heard or len(self._ahead) != 1:
            return False
        if not self._said:
            self._said = True
            events.append(Closing())
        return True

    def heard(self) -> None:
        """The events were taken; whoever follows has his turn before the next bytes."""
        self._heard = self._heard or self._said


class Conversation(Protocol):
    """A machine's side of one job, without I/O: told what came and when, it says what to send."""

    def hear(self, data: bytes, now: float) -> None: ...
    def tick(self, now: float, wish: Wish, why: str) -> None: ...
    def lost(self, why: str) -> None: ...
    def take_bytes(self) -> bytes: ...
    def take_events(self) -> list[Event]: ...
    def status(self) -> Status: ...
    @property
    def tally(self) -> Tally: ...
    @property
    def patience_s(self) -> float: ...
    @property
    def farewell(self) -> bytes: ...


def read_program(program: Program) -> bytes:
    """The bytes of the program, once, and only when they are the approved ones."""
    try:
        data = program.path.read_bytes()
    except OSError as error:
        raise Refused(f"{program.path.name} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != program.sha256:
        raise Refused(
            f"{program.path.name} is not the approved program: its hash is {found[:12]}…, "
            f"approved was {program.sha256[:12]}…"
        )
    return data


_Reply = TypeVar("_Reply")


class Chat(Generic[_Reply]):
    """Questions and answers outside a job, over a link, through one machine language's `feed`."""

    def __init__(self, link: Link, feed: Callable[[bytes], Iterable[_Reply]]) -> None:
        self._link = link
        self._feed = feed
        self._heard: deque[_Reply] = deque()
        self._given_up = ""

    def give_up(self, why: str) -> None:
        """From any thread: whoever listens, now or later, hears within moments that it is over."""
        self._given_up = why

    def listen(self, seconds: float, *until: type[_Reply]) -> Iterator[_Reply]:
        """Replies as they come, up to the first of the awaited kinds or the end of the time."""
        ends = time.monotonic() + seconds
        while True:
            if self._given_up:
                raise LinkLost(self._given_up)
            left = 0.0 if self._heard else max(ends - time.monotonic(), 0.0)
            self._heard.extend(self._feed(self._link.read(min(left, _TURN_S))))
            while self._heard:
                reply = self._heard.popleft()
                yield reply
                if isinstance(reply, until):
                    return
            if time.monotonic() >= ends:
                return

    def ask(self, command: bytes, seconds: float, *until: type[_Reply]) -> list[_Reply]:
        """Say it, having cleared what was said before; raises `ProtocolError` without an answer."""
        stale = list(self.listen(0.0))
        self._link.write(command)
        heard = list(self.listen(seconds, *until))
        if not heard or not isinstance(heard[-1], until):
            said = "; ".join(str(reply) for reply in (stale + heard)[-20:])
            raise ProtocolError(f"no answer to {command!r}", said)
        return heard


class Patience:
    """A clock that runs only while somebody listens: silence that nobody heard proves nothing."""

    def __init__(self) -> None:
        self._seen = self._clock = time.monotonic()

    def now(self) -> float:
        seen = time.monotonic()
        self._clock += min(seen - self._seen, _TURN_S)
        self._seen = seen
        return self._clock


@contextlib.contextmanager
def _ahead_of_other_work() -> Generator[None]:
    """This thread alone, and only where the system lets us: a machine must not wait for others."""
    if sys.platform != "linux":  # elsewhere a thread has no priority of its own
        yield
        return
    thread = threading.get_native_id()
    before = os.getpriority(os.PRIO_PROCESS, thread)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, min(before, _NICE))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, before)


class SerialRun:
    """A `Run` over a link; its events drive the machine, so somebody must go on asking for them."""

    def __init__(self, link: Link, talk: Conversation, handle: str) -> None:
        self.handle = handle
        self.over = False
        self._link = link
        self._talk = talk
        self._wish = Wish.RUN
        self._why = ""
        self._asked = False
        self._door = threading.Lock()
        self._patience = Patience()
        self._begun = False
        self._heard_at = self._patience.now()

    @property
    def silent_s(self) -> float:
        """How long no byte has come."""
        return self._patience.now() - self._heard_at

    def events(self) -> Iterator[Event]:
        with self._door:
            if self._asked:
                raise Refused("the events of a run can be followed once")
            self._asked, stopped = True, self.over
        if stopped:
            yield Ended("not started", "stopped", 0, self._why)
            return
        try:
            with _ahead_of_other_work():
                yield from self._follow()
        finally:
            self._abandon()

    def _follow(self) -> Iterator[Event]:
        while not self.over:
            self._turn()
            for event in self._talk.take_events():
                self.over = self.over or isinstance(event, Ended)
                yield event
                if self.over:
                    return

    def pause(self) -> None:
        if self._wish is Wish.RUN:
            self._wish = Wish.PAUSE

    def resume(self) -> None:
        if self._wish is Wish.PAUSE:
            self._wish = Wish.RUN

    def stop(self, why: str) -> None:
        with self._door:
            self._why, self._wish = why, Wish.STOP
            self.over = self.over or not self._asked

    def status(self) -> Status:
        return self._talk.status()

    @property
    def tally(self) -> Tally:
        return self._talk.tally

    def _turn(self) -> None:
        """What waits is heard before anything is judged by the clock."""
        try:
            if self._begun:
                self._listen()
            self._begun = True
            self._speak()
        except LinkLost as error:
            self._talk.lost(str(error))

    def _listen(self) -> None:
        """Of several answers the first is acted on before the others: no burst, no idle machine."""
        data = self._link.read(self._talk.patience_s)
        first = data.find(b"\n") + 1
        if 0 < first < len(data):
            self._hear(data[:first])
            self._speak()
            data = data[first:]
        if data:
            self._hear(data)

    def _hear(self, data: bytes) -> None:
        tally = self._talk.tally
        before = tally.acked
        self._heard_at = self._patience.now()
        self._talk.hear(data, self._patience.now())
        if tally.acked > before:
            tally.last_acked_at = time.monotonic()

    def _speak(self) -> None:
        tally = self._talk.tally
        self._talk.tick(self._patience.now(), self._wish, self._why)
        if tally.sent and not tally.first_sent_at:
            tally.first_sent_at = time.monotonic()
        out = self._talk.take_bytes()
        if out:
            self._link.write(out)
            tally.bytes_out += len(out)

    def _abandon(self) -> None:
        """Nobody listens any more: what can be switched off is switched off."""
        if not self.over:
            self.over = True
            with contextlib.suppress(LinkLost):
                self._link.write(self._talk.farewell)
