"""OctoPrint over its REST API: a printer behind somebody else's print server."""

from firmware_bridge.drivers.octoprint.driver import OctoPrintDriver

__all__ = ["OctoPrintDriver"]
