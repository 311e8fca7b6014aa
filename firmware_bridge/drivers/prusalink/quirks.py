"""What PrusaLink does that is easily missed; each with where it is said.

Texts and times only; the codec and the driver act on them.
"""

from typing import Final

# printer.state (prusa3d/Prusa-Link-Web spec/openapi.yaml, StatusPrinter; it writes ATTTENTION,
# the printers say ATTENTION). READY is idle, and somebody said so at the panel.
IDLE: Final = ("IDLE", "READY")
PRINTING: Final = "PRINTING"
PAUSED: Final = "PAUSED"
FINISHED: Final = "FINISHED"
STOPPED: Final = "STOPPED"
ERROR: Final = "ERROR"
BUSY: Final = "BUSY"
ATTENTION: Final = ("ATTENTION", "ATTTENTION")

# A printer's own board names no job once it is over (Prusa-Firmware-Buddy
# lib/WUI/nhttp/status_renderer.cpp): that a print finished is only proven to somebody who saw it
# run a moment before. Longer than this without a look, and another could have come and gone.
GAP_S: Final = 20.0
POLL_S: Final = 1.0
