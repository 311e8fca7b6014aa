"""Promises the commands of the simulated workshop: `run`, `machines`, `measure`.
Never prints anything but JSON to standard output.
"""

import argparse
import asyncio
import json
import math
import sys
from pathlib import Path
from typing import cast

from hardware_sim.clock import Clock
from hardware_sim.config import (
    MACHINES,
    ConfigRefused,
    LaserMachine,
    Machine,
    MarlinMachine,
    MillMachine,
    load,
)
from hardware_sim.control import Control
from hardware_sim.metrology import bounded
from hardware_sim.metrology.report import STATUS, Verdict, limit_cpu_s
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
    verbs = parser.add_subparsers(dest="verb", metavar="VERB|NAME|FILE.toml", required=True)
    listing = verbs.add_parser("machines", help="list the shipped machines, as JSON")
    _add_json(listing)
    run = verbs.add_parser(
        "run", help="start one simulated machine (may be left out before its name or file)"
    )
    run.add_argument("config", help="a shipped name (printer-220) or a TOML file")
    run.add_argument("--link", type=Path, help="stable symlink that always names the port")
    run.add_argument(
        "--speed", type=_not_below_zero, default=1.0, help="simulated s per wall s; 0: no waits"
    )
    run.add_argument("--record", type=Path, help="folder for starts, programs and ends")
    run.add_argument("--control", type=Path, help="unix socket for the physical world")
    run.add_argument(
        "--tcp", type=_tcp_port, help="a TCP port on 127.0.0.1 instead of a pty; 0: any"
    )
    _add_measure(
        verbs.add_parser(
            "measure",
            help="what would these bytes make of the design?",
            description="What would these bytes make, and how does it differ from the design?",
            epilog=MEASURE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    return parser


MEASURE = """\
It says what these bytes would make of an ideal material and how that differs from the design
(*program conformance*, never a measurement of a real part), as one JSON object:
  {"verdict": "within|deviates|unmeasurable", "deviations": {"outline_mm", "volume_pct",
   "missing", "extra"}, "machine_s", "made": {...}, "why"}
Exit status: 0 within, 1 deviates, 3 unmeasurable (`why` says why), 2 wrong usage.

Comments in the program are never believed. What the program cannot say is taken from
  the tool's diameter   --tool-mm, else `tool_mm` of the machine (mill-3018: 3.175)
  the beam's width      --kerf-mm, else `kerf_mm` of the machine (laser-400: 0.15)
  the stock's thickness --thickness, else `stock_mm` of the machine, else the height of a design
                        that is a solid; else it is taken to be as deep as the program itself cuts,
                        and a program that is too shallow everywhere cannot be seen
  what a beam cuts      --cuts-mm-min, else `cuts_mm_min` of the machine: the fastest feed at which
                        one pass at full power ($30) cuts through; passes add up. Without it each
                        contour must get what the others get, and much weaker lines are engraving
and `made` says which (`width_from`, `thickness_from`). Z 0 is the top of the stock.

A placement is {"copies": [{"dx_mm": 0, "dy_mm": 0, "rotation_deg": 0}, ...]}: each copy is turned
about the design's lower left corner, then moved. Without one, one copy is looked for everywhere.

  python -m hardware_sim measure --machine printer-220 --design part.stl part.gcode
  python -m hardware_sim measure --machine mill-3018 --tool-mm 2 --thickness 6 \\
      --design plate.dxf plate.nc
  python -m hardware_sim measure --machine laser-400 --kerf-mm 0.2 --design plate.svg plate.nc
"""


def _add_measure(measure: argparse.ArgumentParser) -> None:
    add = measure.add_argument
    add("program", type=Path, help="the G-code that the machine received")
    add("--machine", required=True, help="a shipped name (`machines` lists them) or a TOML file")
    what = "STL or 3MF; for mill and laser a DXF or SVG drawing, or a flat plate as STL or 3MF"
    add("--design", required=True, type=Path, help=what)
    add("--placement", type=Path, help="JSON file with the copies on the plate or sheet")
    add("--thickness", type=_above_zero, metavar="MM", help="of the stock")
    add("--tool-mm", type=_above_zero, metavar="MM", help="diameter of the mill's tool")
    add("--kerf-mm", type=_above_zero, metavar="MM", help="width of the laser's beam")
    add("--cuts-mm-min", type=_above_zero, metavar="F", help="feed that cuts at full power")
    add("--design-units", choices=UNITS, help="of a drawing's numbers, if its file is wrong")
    add("--tolerance-mm", type=_above_zero, metavar="MM", help="instead of 0.3 printed, 0.1 cut")
    add("--limit-s", type=_not_below_zero, default=120.0, metavar="S",
        help="of processor time; 0: no limit (120)")  # fmt: skip
    _add_json(measure)


def _add_json(verb: argparse.ArgumentParser) -> None:
    words = "JSON is the only form there is; may be left out"
    verb.add_argument("--json", action="store_true", help=words)


def _tcp_port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(
            f"{text} is no TCP port: 1 to 65535, or 0 for any free one"
        )
    return int(text)


def _above_zero(text: str) -> float:
    value = _not_below_zero(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return value


def _not_below_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of 0 or more")
    return value


def measure(args: argparse.Namespace) -> int:
    """Say how a program conforms to a design; 0 within, 1 deviates, 3 unmeasurable."""
    name: str = args.machine
    machine = load(ALIASES.get(name, name))
    _refuse_foreign(machine, args)
    answer = bounded.answered(lambda: _measured(machine, args), args.limit_s)
    print(json.dumps(answer))
    return STATUS[cast("Verdict", answer["verdict"])]


def _refuse_foreign(machine: Machine, args: argparse.Namespace) -> None:
    """An option that this kind of machine has no use for would be believed to have worked."""
    mill, laser = isinstance(machine, MillMachine), isinstance(machine, LaserMachine)
    cuts = mill or laser  # a sheet has a thickness, though a beam's passes say whether it is cut
    useful = {"thickness": cuts, "tool_mm": mill, "kerf_mm": laser, "cuts_mm_min": laser}
    for name, use in useful.items():
        if getattr(args, name) is not None and not use:
            option = "--" + name.replace("_", "-")
            raise ConfigRefused(f"{option}: {args.machine} is a {machine.kind} and has none")


def _measured(machine: Machine, args: argparse.Namespace) -> dict[str, object]:
    """In the child: the geometry is loaded here, so that the parent stays small."""
    from hardware_sim.metrology.measure import Question, measure

    question = Question(
        machine=machine,
        design=args.design,
        program=args.program,
        placement=args.placement,
        thickness_mm=args.thickness,
        width_mm=args.tool_mm or args.kerf_mm,
        cuts_mm_min=args.cuts_mm_min,
        units=args.design_units,
        outline_mm=args.tolerance_mm,
    )
    limit_cpu_s(args.limit_s)
    answer = measure(question)
    limit_cpu_s(0)
    return answer.as_json()


def run(args: argparse.Namespace) -> int:
    """Start one machine and stay until SIGTERM."""
    served = described.load(args.config)
    if served is not None:
        lived = Served(served, Clock(args.speed), Journal(args.record)).live(args.control, _say)
        asyncio.run(lived)
        return 0
    if args.config not in shipped() and not Path(args.config).is_file():
        names = ", ".join(shipped())
        raise ConfigRefused(f"{args.config}: no such file, and not one of {names}")
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
    print(json.dumps(shipped(), indent=1))
    return 0


def shipped() -> dict[str, str]:
    """Names of machines and print servers, and where each is described."""
    found = {path.stem: str(path) for path in (*MACHINES.glob("*.toml"), *SERVERS.glob("*.toml"))}
    return dict(sorted(found.items()))


def _say(where: str, kind: str) -> None:
    print(json.dumps({"port": where, "link": where, "kind": kind}), flush=True)


def main(argv: list[str] | None = None) -> int:
    """Parse, do, answer with an exit status."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] not in VERBS and not words[0].startswith("-"):
        words = ["run", *words]
    if not words:
        print(f"name a machine, or one of the verbs\n\n{TEACH}", file=sys.stderr)
        return USAGE
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
