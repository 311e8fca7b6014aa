"""Moonraker over its JSON-RPC websocket: a printer that Klipper drives."""

from firmware_bridge.drivers.moonraker.driver import moonraker_driver

__all__ = ["moonraker_driver"]
