"""PrusaLink, v1: a printer with its print server on its own board, or on a Pi beside it."""

from firmware_bridge.drivers.prusalink.driver import prusalink_driver

__all__ = ["prusalink_driver"]
