"""Promises a printer board that speaks Marlin 2.1 over bytes, with heat and motion behind it.
Never touches a port, a file or a wall clock: bytes and simulated moments come in.
"""

from hardware_sim.marlin.firmware import Marlin

__all__ = ["Marlin"]
