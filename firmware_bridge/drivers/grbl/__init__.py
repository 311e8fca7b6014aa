"""GRBL 1.1 over a serial line: mills and lasers, by character counting."""

from firmware_bridge.drivers.grbl.driver import GrblDriver

__all__ = ["GrblDriver"]
