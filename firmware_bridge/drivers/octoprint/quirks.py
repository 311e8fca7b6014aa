"""What OctoPrint 1.11 does that its documentation does not dwell on, tried on the real one.

Texts and times only; the codec and the driver act on them.
"""

from typing import Final

# /api/job names no flags, only a text, and adds the error to it: "Offline after error", "Error: …".
WORKING: Final = (
    "Starting",
    "Printing",
    "Sending",
    "Finishing",
    "Resuming",
    "Pausing",
    "Transferring",
)
# While "Pausing" it refuses to resume.
PAUSED: Final = ("Paused",)
ENDING: Final = ("Cancelling",)
READY: Final = ("Operational",)
CLOSED: Final = ("Closed", "Offline")
BROKEN: Final = ("Error", "Offline after error")

POLL_S: Final = 0.5
# The socket without SockJS framing; it tells the state twice a second (throttle 1).
SOCKET: Final = "/sockjs/websocket"
STALE_S: Final = 3.0
BACKLOG: Final = 500
PUSH_AGAIN_S: Final = 15.0
CONNECT_S: Final = 30.0
