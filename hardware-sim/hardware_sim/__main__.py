"""Promises `python -m hardware_sim`; never does anything on import."""

import sys

from hardware_sim.cli import main

if __name__ == "__main__":
    sys.exit(main())
