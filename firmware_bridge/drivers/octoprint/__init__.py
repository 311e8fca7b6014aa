"""OctoPrint over REST and its push socket: a printer behind somebody else's print server."""

from firmware_bridge.drivers.octoprint.driver import octoprint_driver

__all__ = ["octoprint_driver"]
