"""`./run demo`: a city of simulated labs makes open designs, or your own files."""

import argparse
import json
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from demo import octoprint
from demo.children import ChildFailed
from demo.city import CITY, LABS, ORDERED
from demo.environment import CannotInstallError
from demo.inspector import Inspector
from demo.people import People, consoles
from demo.story import (
    Following,
    Publisher,
    Refused,
    build_library,
    library,
    order_all,
    printed,
    publish,
    rows,
)
from demo.world import PORT_MAX, World, free_port

DONE, FAILED, USAGE, INCOMPLETE = 0, 1, 2, 3
OWN_WORK = "LicenseRef-OwnWork"
OCTOPRINT = "gracia/printer-2"
_MORE = """\
Three invented labs at real places of Barcelona run their own agents; their printers, mill and
lasers are simulated machines that speak the real protocols over serial lines. Simulated people
clear the beds and press start, unless you want to: --by-hand.

  ./run demo                             watch our own designs being made; ends with Ctrl-C
  ./run demo --once                      the same, ends after the parts; status 0 = all conform
  ./run demo --design bracket.stl        make your own file: private, not listed
  ./run demo --design panel.dxf --process cnc_milling --material plywood --thickness 6

Exit status: 0 every part made once, inspected and conforming; 1 a design was refused or a part
failed; 3 something is missing that only a person can bring, such as the slicer.
"""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run demo", description=_MORE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="end after the ordered parts")
    parser.add_argument("--by-hand", action="store_true", help="you clear beds and press start")
    parser.add_argument(
        "--with-octoprint", action="store_true", help="one printer behind OctoPrint"
    )
    parser.add_argument("--design", nargs="+", type=Path, metavar="FILE", help="your own files")
    parser.add_argument("--licence", help="SPDX licence of your files (default: private)")
    parser.add_argument("--process", help="3d_printing_fdm, cnc_milling or laser_cutting")
    parser.add_argument("--material", help="pla, petg, plywood, acrylic, …")
    parser.add_argument("--thickness", type=float, metavar="MM", help="of sheet material")
    parser.add_argument("--port", type=_port, default=8000, help="of the pages (default 8000)")
    parser.add_argument(
        "--speed", type=float, default=600, metavar="X",
        help="simulated seconds in a second; 0 = as fast as possible (default 600)",
    )  # fmt: skip
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave everything in DIR")
    parser.add_argument("--json", action="store_true", help="the table as JSON on standard output")
    return parser.parse_args()


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is no port: name one from 1 to {PORT_MAX}")
    return int(text)


class Demo:
    """One run of the demo."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args = args
        self.began = time.monotonic()
        self.others: Publisher | None = None
        self.world = World(
            folder,
            http_port=free_port(args.port),
            mqtt_port=free_port(),
            speed=args.speed,
            behind_octoprint=frozenset({OCTOPRINT} if args.with_octoprint else ()),
        )

    def say(self, words: str) -> None:
        stream = sys.stderr if self.args.json else sys.stdout
        stream.write(f"{words}\n")
        stream.flush()

    def run(self) -> int:
        with self.world:
            self.open_orchestrator()
            releases = self.publish()  # first: a file that is refused keeps nobody waiting
            self.open_labs()
            people = None if self.args.by_hand else People(self.world.labs)
            inspector = Inspector(self.world)
            self.others = None if self.args.design else self.publisher()
            threads = [each for each in (people, inspector, self.others) if each]
            for thread in threads:
                thread.start()
            try:
                return self.make(releases, inspector)
            finally:
                for thread in threads:
                    thread.go_home()

    def open_orchestrator(self) -> None:
        if self.world.http_port != self.args.port:
            self.say(f"Port {self.args.port} is taken; the pages are at {self.world.http_port}.")
        self.say(f"Opening {CITY}: the orchestrator …")
        self.world.start_orchestrator()
        self.say(f"  pages: {self.world.url}   ({time.monotonic() - self.began:.1f} s)")

    def open_labs(self) -> None:
        self.say("Opening its labs …")
        if self.args.with_octoprint:
            self.say("  bringing a real OctoPrint for Printer 2 (the first time takes a minute) …")
            octoprint.ensure_installed()
        for spec in LABS:
            lab = self.world.add_lab(spec)
            machines = ", ".join(machine.title for machine in spec.machines)
            self.say(f"  {spec.name}: {machines} (simulated); console {lab.console}")
        if not self.world.machines_answer():
            self.say("  not every machine answers; going on with those that do")

    def publish(self) -> list[dict[str, Any]]:
        self.say("Publishing …")
        if self.args.design:
            return [self.publish_own()]
        releases: list[dict[str, Any]] = []
        folders = build_library(self.world.folder / "library", ORDERED)
        with self.world.api() as api:
            for folder in folders:
                release = publish(api, sorted(folder.iterdir()), {})
                parts = len(release["release"]["parts"])
                title, licence = release["release"]["title"], release["release"]["licence"]
                self.say(f"  {title}: {parts} part(s), {licence}")
                releases.append(release)
        return releases

    def publisher(self) -> Publisher:
        others = [slug for slug in library() if slug not in ORDERED]
        return Publisher(self.world.api, self.world.folder / "library", others)

    def publish_own(self) -> dict[str, Any]:
        wish = {
            "licence": self.args.licence or OWN_WORK,
            "licensor": "you",
            "process": self.args.process,
            "material": self.args.material,
            "thickness_mm": self.args.thickness,
        }
        answers = {key: value for key, value in wish.items() if value is not None}
        with self.world.api() as api:
            release = publish(api, self.args.design, answers)
        for finding in release["findings"]:
            self.say(f"  {finding['severity']}: {finding['where']}: {finding['what']}")
        return release

    def make(self, releases: list[dict[str, Any]], inspector: Inspector) -> int:
        self.say("Ordering …")
        with self.world.api() as api:
            ordered = order_all(api, releases, self.say)
            self.say(f"Making …   watch it at {self.world.url}")
            labs = {lab.agent_id: lab.spec.name for lab in self.world.labs}
            turn = consoles(self.world.labs) if self.args.by_hand else None
            following = Following(api, ordered, labs, self.say, turn)
            while not following.step():
                if not inspector.is_alive():
                    raise ChildFailed("the simulated inspector broke off; its words are above")
                time.sleep(0.3)
            table = rows(api, ordered, labs, self.world.url)
        self.tell_of_others()
        self.show(table)
        return self.end(table)

    def tell_of_others(self) -> None:
        if self.others is None:
            return
        self.others.join(60)
        titles = ", ".join(self.others.published)
        self.say(f"Published meanwhile, to order yourself: {titles}")
        if self.others.trouble:
            self.say(f"  and not the rest: {self.others.trouble}")

    def show(self, table: list[dict[str, str]]) -> None:
        if self.args.json:
            sys.stdout.write(json.dumps(table, ensure_ascii=False) + "\n")
            return
        self.say("")
        self.say(printed(table))
        self.say("Every machine, person and inspection here is simulated; the programs are real.")

    def end(self, table: list[dict[str, str]]) -> int:
        unmade = [row for row in table if row["program"] == "–"]
        made = len(table) - len(unmade)
        took = time.monotonic() - self.began
        self.say(f"{made} of {len(table)} parts made and conforming, {took:.0f} s")
        if not self.args.once:
            self.say(f"The city stays open at {self.world.url} until Ctrl-C; for our commands type")
            where = shlex.quote(str(self.world.data_dir))
            self.say(f"  export COSMOLOCAL_SERVER={self.world.url} COSMOLOCAL_DATA_DIR={where}")
            while True:
                time.sleep(3600)
        missing = any("missing" in row["why"] for row in unmade)
        return DONE if not unmade else INCOMPLETE if missing else FAILED


def _ended(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    args = parse()
    absent = [str(path) for path in args.design or [] if not path.is_file()]
    if absent:
        sys.stderr.write(f"demo: there is no file {', '.join(absent)}\n")
        return USAGE
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores SIGINT
        signal.signal(number, _ended)
    folder = args.keep or Path(tempfile.mkdtemp(prefix="cosmolocal-demo-"))
    try:
        return Demo(args, folder).run()
    except KeyboardInterrupt:
        sys.stderr.write("\nclosing the city\n")
        return DONE
    except Refused as no:
        sys.stderr.write(f"refused:\n{no}\n")
        return FAILED
    except (ChildFailed, CannotInstallError) as trouble:
        sys.stderr.write(f"demo: {trouble}\n")
        return FAILED
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
