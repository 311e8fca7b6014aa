"""Promises a controller that speaks GRBL 1.1 over bytes, with a mill or laser behind it.
Never touches a port, a file or a wall clock: bytes and simulated moments come in.
"""

from hardware_sim.grbl.firmware import Grbl

__all__ = ["Grbl"]
