"""Each ticket, grant and program changed, forged or misdirected: refused before a machine moves

Every single-bit flip of a ticket, a grant and a list of keys; forged headers, payloads, signatures
and keys; the cross product of right words for somebody else; keys that rotate and are revoked;
programs changed by one bit on the disk, and while they are streamed. Judged on the production path:
the journal, the reconciler's `Start`, and what simulated machines received.
"""

import argparse
import itertools
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from bench import at_least_one, remembering_in
from bench.tampering import crossed, envelopes, programs, rotation
from bench.tampering.city import City, grant, ticket
from bench.tampering.envelopes import Subject
from bench.tampering.table import HEAD, Row, Sample


def words(sample: Sample) -> Iterator[Row]:
    """Everything that is signed."""
    with TemporaryDirectory(prefix="tampering-") as folder:
        city = City(Path(folder))
        with crossed.shop_with(city) as shop:
            tried = Subject("a ticket", city, ticket(), grant(), shop.offered)
            yield from envelopes.tampered(tried, sample)
            yield control("a ticket: as it was signed (the control)", shop.offered(tried.envelope))
        with crossed.shop_with(city, "a-1") as shop:
            tried = Subject("a grant", city, grant(), ticket(), shop.starts)
            yield from envelopes.tampered(tried, sample)
            yield control("a grant: as it was signed (the control)", shop.starts(tried.envelope))
        yield from crossed.crossed(city)
    yield from rotation.rotated(sample)


def control(name: str, accepted: bool) -> Row:
    row = Row(name)
    row.count(accepted, right=True)
    return row


def total(rows: Sequence[Row]) -> Row:
    tried, accepted = sum(row.tried for row in rows), sum(row.accepted for row in rows)
    return Row("all", tried, accepted, wrong=sum(row.wrong for row in rows))


def quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./run proof tampering",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "--flips", type=at_least_one, default=100_000, help="bits of programs (%(default)s)"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of each long class of words")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    quiet()
    with TemporaryDirectory(prefix="tampering-") as memory, remembering_in(Path(memory)):
        return run(asked.flips, Sample(asked.share, asked.seed))


def run(flips: int, sample: Sample) -> int:
    print(HEAD, flush=True)
    rows: list[Row] = []
    for row in itertools.chain(words(sample), programs.tampered(flips, sample)):
        rows.append(row)
        print(row, flush=True)
    print(total(rows))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
