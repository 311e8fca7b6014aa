"""What Moonraker and Klipper do that is easily missed; each with where it is said.

Texts and times only; the codec and the driver act on them.
"""

from typing import Final

# Klipper's print_stats.state (klippy/extras/print_stats.py, docs/Status_Reference.md).
PRINTING: Final = "printing"
PAUSED: Final = "paused"
COMPLETE: Final = "complete"
CANCELLED: Final = "cancelled"
ERROR: Final = "error"

# server.info's klippy_state (Moonraker docs/external_api/server.md).
READY: Final = "ready"
STARTING: Final = "startup"
GONE: Final = "disconnected"

# server.history's status of a job (docs/external_api/history.md). "interrupted" means that
# Moonraker itself died: Klipper may have printed on, so it proves nothing.
HISTORY: Final = {
    "completed": ("finished", "complete", ""),
    "cancelled": ("interrupted", "stopped at Moonraker", ""),
    "error": ("failed", "printer error", "Klipper gave up on the file"),
    "klippy_shutdown": ("interrupted", "printer halted", "Klipper shut down"),
    "klippy_disconnect": ("interrupted", "printer lost", "Klipper went away"),
    "server_exit": ("unknown", "server ended", "Moonraker ended before the print did"),
    "interrupted": ("unknown", "server ended", "Moonraker ended before the print did"),
}
HISTORY_LIMIT: Final = 200

# Over the websocket a wrong key has a code of JSON-RPC, not 401 (moonraker/common.py).
UNAUTHORIZED: Final = "Unauthorized"

# These notifications mean that all subscriptions are void (klippy_connection.py).
KLIPPY_NEWS: Final = (
    "notify_klippy_ready",
    "notify_klippy_shutdown",
    "notify_klippy_disconnected",
)

# "complete" comes when the last line was read; the moves that are still queued take their time,
# and Klipper's idle_timeout says "Printing" for so long. Somebody who jogs prolongs that.
SETTLE_S: Final = 30.0
# Nothing pushed for so long: ask, to know that somebody is there.
STALE_S: Final = 2.0
# Messages read at one look; Klipper tells its news four times a second.
BACKLOG: Final = 500
ANSWER_S: Final = 10.0
START_S: Final = 20.0
CONNECT_S: Final = 30.0
POLL_S: Final = 0.5

# Klipper's own CANCEL_PRINT leaves the heaters on until its idle timeout.
COLD: Final = "TURN_OFF_HEATERS"
