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
# PrusaLink on a Pi looks into its folder now and then: a file is 404 for a moment after its 201.
STORED_S: Final = 10.0
# It takes a file that calls itself application/octet-stream and then fails with 500 (0.8.1,
# web/files.py looks into the file before it is there); a printer's own board reads no type.
GCODE_TYPE: Final = "text/x.gcode"
POLL_S: Final = 1.0
