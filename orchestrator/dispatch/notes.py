"""Comparing notes with an agent: what its hello and our memory of it say of each other.

Pure. Either side may be an older copy of itself: a shop's computer put back to an old image, two
computers made from one image, our own database restored from a backup.
"""

from dataclasses import dataclass, replace

from fablab_agents.protocol.messages import Hello


@dataclass(frozen=True)
class Notes:
    """What our store remembers of one agent."""

    boot: str | None = None
    epoch: int = 1
    """Of our store when notes were last compared to the end."""
    up_acked: int = 0
    down_head: int = 0
    down_acked: int = 0
    down_floor: int = 0
    """The last message of the epoch before."""


@dataclass(frozen=True)
class Compared:
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
    if ours.boot not in {None, said.boot} and not _goes_on(ours, said):
        return Compared(ours, current=False)
    up_acked = max(ours.up_acked, said.floor_seq)
    ours = replace(ours, boot=said.boot, up_acked=up_acked)
    if said.epoch != epoch:
        return Compared(ours, current=True)
    back = ours.down_head if said.acked_down > ours.down_head else None
    ahead = said.acked_up > up_acked or back is not None
    ours = replace(ours, down_acked=min(said.acked_down, ours.down_head))
    complete = said.head_seq == up_acked
    if complete:
        ours = replace(ours, epoch=epoch)
    return Compared(ours, current=True, complete=complete, ahead=ahead, down_back=back)


def _goes_on(ours: Notes, said: Hello) -> bool:
    """The boot that came right after the one that speaks had all reports that we were told."""
    began_seq = said.began_seq
    for earlier in said.boots:
        if earlier.boot == ours.boot:
            return began_seq >= ours.up_acked
        began_seq = earlier.began_seq
    return False
