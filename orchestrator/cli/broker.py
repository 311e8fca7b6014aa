"""`cosmolocal broker`: the embedded broker alone, or the files for Mosquitto in its place."""

import argparse
import sys
from pathlib import Path

from orchestrator.cli.client import DONE, USAGE, Commands
from orchestrator.settings import Settings

_BROKER = """\
`cosmolocal serve` runs this by itself. Alone it is good for a broker on another computer; for a
city of many labs use Mosquitto:

  cosmolocal broker --data-dir var --print-mosquitto /etc/mosquitto/cosmolocal
  mosquitto -c /etc/mosquitto/cosmolocal/mosquitto.conf
  cosmolocal serve --broker external

After an enrolment copy the data folder's broker/passwd there and send Mosquitto SIGHUP.
"""


def register(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "broker",
        help="the message broker alone, or Mosquitto's files for it",
        description=_BROKER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plain = Settings()
    parser.add_argument("--data-dir", type=Path, default=plain.data_dir, metavar="DIR")
    parser.add_argument("--host", default=plain.mqtt_host)
    parser.add_argument("--port", type=int, default=plain.mqtt_port)
    parser.add_argument("--config", type=Path, metavar="FILE", help="host, port, passwords as TOML")
    parser.add_argument("--print-mosquitto", type=Path, metavar="DIR", help="write files and end")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this process has ended")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from orchestrator.dispatch import access, broker

    kept = Settings(data_dir=args.data_dir).passwords_file
    settings = access.BrokerSettings(args.host, args.port, kept)
    if args.config:
        settings = access.BrokerSettings.read(args.config)
    if not settings.passwords.exists():
        sys.stderr.write(f"no {settings.passwords}: run `cosmolocal serve` once, it makes it\n")
        return USAGE
    if args.print_mosquitto:
        folder: Path = args.print_mosquitto.resolve()
        conf = access.write_mosquitto(folder, settings.passwords, settings.host, settings.port)
        sys.stdout.write(f"{conf}\n")
        return DONE
    broker.run(settings, args.parent)
    return DONE
