"""Promises the two commands of the simulated workshop: `run` a machine, `measure` a program.
Never prints anything but JSON to standard output.
"""

import argparse
import json
import sys
from pathlib import Path

from hardware_sim.clock import Clock
from hardware_sim.config import ConfigRefused, load
from hardware_sim.control import Control
from hardware_sim.records import Journal
from hardware_sim.workshop import Workshop


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hardware_sim", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="start one simulated machine behind a pseudo-terminal")
    run.add_argument("config", help="a shipped name (printer-220) or a TOML file")
    run.add_argument("--link", type=Path, help="stable symlink that always names the port")
    run.add_argument("--speed", type=float, default=1.0, help="simulated s per wall s; 0: no waits")
    run.add_argument("--record", type=Path, help="folder for starts, programs and ends")
    run.add_argument("--control", type=Path, help="unix socket for the physical world")
    return parser


def run(args: argparse.Namespace) -> int:
    """Start one machine and stay until SIGTERM."""
    machine = load(args.config)
    workshop = Workshop(machine, Clock(args.speed), Journal(args.record), args.link)
    control = None if args.control is None else Control(args.control, workshop.act)
    port = "" if workshop.port is None else workshop.port.name
    link = None if args.link is None else str(args.link)
    print(json.dumps({"port": port, "link": link, "kind": machine.kind}), flush=True)
    workshop.live(control)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Parse, do, answer with an exit status."""
    args = _parser().parse_args(argv)
    try:
        return run(args)
    except (ConfigRefused, OSError) as error:
        print(f"hardware_sim: {error}", file=sys.stderr)
        return 1
