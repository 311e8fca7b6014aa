"""What all print servers share: a file handed over, a start asked for once, a print watched.

A server's own words stay in its driver's folder; nothing here knows OctoPrint from PrusaLink.
"""

from firmware_bridge.serving.camera import SeeingDriver
from firmware_bridge.serving.driver import ServedDriver
from firmware_bridge.serving.http import Http
from firmware_bridge.serving.look import Doing, Look, Past, PrintServer

__all__ = ["Doing", "Http", "Look", "Past", "PrintServer", "SeeingDriver", "ServedDriver"]
