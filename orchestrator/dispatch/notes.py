"""Comparing notes with an agent: what its hello and our memory of it say of each other.

Pure. Either side may be an older copy of itself: a shop's computer put back to an old image, two
computers made from one image, our own database restored from a backup.
"""

from typing import NamedTuple

from fablab_agents.protocol.messages import Hello, goes_on


class Notes(NamedTuple):
    """What our store remembers of one agent."""

    boot: str | None = None
    epoch: int = 1
    """Of our store when notes were last compared to the end."""
    up_acked: int = 0
    down_head: int = 0
    down_acked: int = 0
    down_floor: int = 0
    """The last message of the epoch before."""


class Compared(NamedTuple):
    """`current`: this boot speaks for the agent; `complete`: all that it knows is known here;
    `ahead`: it remembers words of this epoch that are in no book of ours.
    """

    notes: Notes
    current: bool
    complete: bool = False
    ahead: bool = False
    down_back: int | None = None
    """Our last message, where the agent was counted on beyond it."""

    @property
    def down_from(self) -> int:
        """Where the agent goes on to count our messages, if it has not come so far."""
        return self.notes.down_floor if self.current else self.notes.down_head


def compare(ours: Notes, said: Hello, epoch: int) -> Compared:
    """Take a boot that comes after the one that speaks, if its journal has all that we were told.

    It comes after it where it has the same journal, and where it took over our memory of it.
    Between them may be boots that were never heard: then the first of them must have had all, for
    what an older copy has said since bears numbers of reports that we have otherwise.
    """
    if ours.boot not in {None, said.boot} and not goes_on(
        ours.boot, ours.up_acked, said.began_seq, said.boots
    ):
        return Compared(ours, current=False)
    up_acked = max(ours.up_acked, said.floor_seq)
    ours = ours._replace(boot=said.boot, up_acked=up_acked)
    if said.epoch != epoch:
        return Compared(ours, current=True)
    back = ours.down_head if said.acked_down > ours.down_head else None
    ahead = said.acked_up > up_acked or back is not None
    ours = ours._replace(down_acked=min(said.acked_down, ours.down_head))
    complete = said.head_seq == up_acked
    if complete:
        ours = ours._replace(epoch=epoch)
    return Compared(ours, current=True, complete=complete, ahead=ahead, down_back=back)
