"""Promises the commands of the simulated workshop: `run`, `machines`, `measure`.
Never prints anything but JSON to standard output.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from hardware_sim.clock import Clock
from hardware_sim.config import MACHINES, ConfigRefused, MarlinMachine, load
from hardware_sim.control import Control
from hardware_sim.records import Journal
from hardware_sim.servers import described
from hardware_sim.servers.described import MACHINES as SERVERS
from hardware_sim.servers.served import Served
from hardware_sim.workshop import Workshop

UNASKED_MIN_WALL_S = 0.1  # a real host takes ten reports a second, not three hundred
USAGE = 2
ALIASES = {  # other names for the machines that programs are measured on
    "generic-fdm-220": "printer-220",
    "generic-cnc-3018": "mill-3018",
    "generic-laser-400": "laser-400",
}
UNITS = ("mm", "cm", "m", "in", "px", "pt")


VERBS = ("run", "machines", "measure")
TEACH = """\
python -m hardware_sim printer-220               a shipped printer; its port is printed as JSON
python -m hardware_sim my-mill.toml --tcp 0      a machine of your own, on a TCP port
python -m hardware_sim run laser-400 --link /tmp/laser --speed 0 --record /tmp/laser.d
python -m hardware_sim machines                  which machines are shipped
python -m hardware_sim measure --machine printer-220 --design part.stl part.gcode

It runs until SIGTERM or Ctrl-C. A machine's keys, fault scripts and the control socket are
described in hardware-sim/README.md. Exit status: 0 done, 1 refused, 2 wrong usage;
`measure`: 0 within, 1 deviates, 3 unmeasurable.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hardware_sim",
        description="Simulated printers, mills, lasers and print servers that speak real firmware.",
        epilog=TEACH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("machines", help="list the shipped machines, as JSON")
    run = verbs.add_parser(
        "run", help="start one simulated machine (may be left out before its name or file)"
    )
    run.add_argument("config", help="a shipped name (printer-220) or a TOML file")
    run.add_argument("--link", type=Path, help="stable symlink that always names the port")
    run.add_argument("--speed", type=float, default=1.0, help="simulated s per wall s; 0: no waits")
    run.add_argument("--record", type=Path, help="folder for starts, programs and ends")
    run.add_argument("--control", type=Path, help="unix socket for the physical world")
    run.add_argument("--tcp", type=int, help="a TCP port on 127.0.0.1 instead of a pty; 0: any")
    _add_measure(verbs.add_parser("measure", help="what would these bytes make of the design?"))
    return parser


def _add_measure(measure: argparse.ArgumentParser) -> None:
    measure.add_argument("program", type=Path, help="the G-code that the machine received")
    measure.add_argument("--machine", required=True, help="a shipped name or a TOML file")
    measure.add_argument("--design", required=True, type=Path, help="STL, 3MF, DXF or SVG")
    measure.add_argument("--placement", type=Path, help="JSON with the copies on the plate")
    measure.add_argument("--thickness", type=float, help="of the stock, in mm")
    measure.add_argument("--tool-mm", type=float, help="tool diameter, instead of the machine's")
    measure.add_argument("--kerf-mm", type=float, help="beam width, instead of the machine's")
    measure.add_argument("--design-units", choices=UNITS, help="of a drawing's numbers")
    measure.add_argument("--tolerance-mm", type=float, help="instead of 0.3 printed, 0.1 cut")
    measure.add_argument("--limit-s", type=float, default=120.0, help="of processor time")
    measure.add_argument("--json", action="store_true", help="the only form there is")


def measure(args: argparse.Namespace) -> int:
    """Say how a program conforms to a design; 0 within, 1 deviates, 3 unmeasurable."""
    from hardware_sim.metrology.measure import Question, measure
    from hardware_sim.metrology.report import STATUS, limit_cpu_s

    name: str = args.machine
    question = Question(
        machine=load(ALIASES.get(name, name)),
        design=args.design,
        program=args.program,
        placement=args.placement,
        thickness_mm=args.thickness,
        width_mm=args.tool_mm or args.kerf_mm,
        units=args.design_units,
        outline_mm=args.tolerance_mm,
    )
    limit_cpu_s(args.limit_s)
    answer = measure(question)
    limit_cpu_s(0)
    print(json.dumps(answer.as_json()))
    return STATUS[answer.verdict]


def run(args: argparse.Namespace) -> int:
    """Start one machine and stay until SIGTERM."""
    served = described.load(args.config)
    if served is not None:
        lived = Served(served, Clock(args.speed), Journal(args.record)).live(args.control, _say)
        asyncio.run(lived)
        return 0
    machine = load(args.config)
    if isinstance(machine, MarlinMachine):
        machine = machine.model_copy(update={"unasked_min_s": UNASKED_MIN_WALL_S * args.speed})
    workshop = Workshop(machine, Clock(args.speed), Journal(args.record), args.link, args.tcp)
    control = None if args.control is None else Control(args.control, workshop.act, workshop.order)
    port = "" if workshop.port is None else workshop.port.name
    link = None if args.link is None else str(args.link)
    print(json.dumps({"port": port, "link": link, "kind": machine.kind}), flush=True)
    workshop.live(control)
    return 0


def machines() -> int:
    """List what is shipped."""
    found = {path.stem: str(path) for path in (*MACHINES.glob("*.toml"), *SERVERS.glob("*.toml"))}
    print(json.dumps(dict(sorted(found.items())), indent=1))
    return 0


def _say(where: str, kind: str) -> None:
    print(json.dumps({"port": where, "link": where, "kind": kind}), flush=True)


def main(argv: list[str] | None = None) -> int:
    """Parse, do, answer with an exit status."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] not in VERBS and not words[0].startswith("-"):
        words = ["run", *words]
    args = _parser().parse_args(words)
    try:
        if args.verb == "machines":
            return machines()
        return run(args) if args.verb == "run" else measure(args)
    except ConfigRefused as error:
        print(f"hardware_sim: {error}", file=sys.stderr)
        return USAGE  # 1 is `measure`'s answer for a program that deviates
    except OSError as error:
        print(f"hardware_sim: {error}", file=sys.stderr)
        return 1
