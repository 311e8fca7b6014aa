"""Marlin over a serial line: printers, with numbered and checksummed lines."""

from firmware_bridge.drivers.marlin.driver import MarlinDriver

__all__ = ["MarlinDriver"]
