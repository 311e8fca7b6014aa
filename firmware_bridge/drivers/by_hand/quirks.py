"""What is peculiar to a hand-out folder: the names of its files, and how much one may hold.

Facts only; nothing here reads or writes.
"""

from typing import Final

SHEET: Final = ".sheet.txt"
RECORD: Final = ".record.jsonl"
LOCK: Final = ".cosmolocal.lock"
DONE: Final = "done"
RECORD_MAX_BYTES: Final = 64 * 1024
AT_THE_MACHINE: Final = "pause it at the machine itself: nothing here reaches it"
NO_SWITCH: Final = "no software reaches this machine: use its own switch"
