"""Machines that no driver fits: the file and a set-up sheet are handed out, a person tells."""

from firmware_bridge.drivers.by_hand.driver import ByHandDriver

__all__ = ["ByHandDriver"]
