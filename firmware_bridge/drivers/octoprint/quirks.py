"""What OctoPrint 1.11 does that its documentation does not dwell on, tried on the real one.

Texts and times only; the codec and the driver act on them.
"""

from typing import Final

# /api/job names no flags, only a text, and adds the error to it: "Offline after error", "Error: …".
WORKING: Final = ("Starting", "Printing", "Sending", "Finishing", "Resuming", "Transferring")
PAUSED: Final = ("Paused", "Pausing")
ENDING: Final = ("Cancelling",)
READY: Final = ("Operational",)
CLOSED: Final = ("Closed", "Offline")
BROKEN: Final = ("Error", "Offline after error")

POLL_S: Final = 0.5
CONNECT_S: Final = 30.0
# "Operational" comes a moment before the file's history says how the print ended.
HISTORY_S: Final = 10.0
# A start that was asked for and is not seen within this time is in doubt.
START_S: Final = 20.0
REQUEST_S: Final = 10.0
