"""A dirty line by seed: what ours makes of it on the bench's own board, and the dice themselves."""

import pytest

from bench.peers.process import ours, plain
from bench.streaming.faults import Dirt
from bench.streaming.measure import Line, measure
from bench.streaming.programs import compare, milling, printing

_LIMIT_S = 60.0


@pytest.mark.parametrize("seed", [1, 2])
def test_ours_is_exact_on_marlin_whatever_the_line_does(seed: int) -> None:
    job = printing(600, seed=seed)
    line = Line("marlin", bad_lines=0.01, bad_acks=0.003, seed=seed)
    result = measure(ours("marlin"), line, job, limit_s=_LIMIT_S)
    assert result.altered_sent > 0, "the line was clean"
    assert (result.ended, result.compared.exact) == ("finished", True), result


def test_ours_halts_on_grbl_and_never_says_finished() -> None:
    job = milling(600)
    line = Line("grbl", bad_lines=0.02, seed=3)
    result = measure(ours("grbl"), line, job, limit_s=_LIMIT_S)
    assert result.facts["errors"] >= 1, "the seed brought no error"
    assert result.ended != "finished", result
    assert result.facts["after error"] <= 5, "only what lay in GRBL's buffer may still run"


def test_the_bench_sees_what_plain_counting_does_to_a_workpiece() -> None:
    line = Line("grbl", bad_lines=0.02, seed=3)
    result = measure(plain("grbl-counting"), line, milling(600), limit_s=_LIMIT_S)
    assert result.compared.altered > 0
    assert result.compared.missing > result.compared.altered


def test_the_same_seed_throws_the_same_dice() -> None:
    def thrown(seed: int) -> tuple[list[bytes], list[bytes]]:
        dirt = Dirt(seed, 0.2, 0.2, armed=True)
        lines = [dirt.line(b"N1 G1 X1.000*9\n") for _ in range(200)]
        return lines, [dirt.ack(b"ok\n") for _ in range(200)]

    assert thrown(1) == thrown(1)
    assert thrown(1) != thrown(2)
    lines, acks = thrown(1)
    altered = [line for line in lines if line != b"N1 G1 X1.000*9\n"]
    assert altered
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in altered)
    assert {b"", b"ok"} < set(acks)


def test_executed_lines_are_held_against_the_job_one_by_one() -> None:
    job = printing(4)
    asked = ["M115", "M110 N1999", "M105", *job.head]
    assert compare(job, [*asked, *job.moves, "M400"]).exact
    missing = compare(job, [*asked, *job.moves[:2], job.moves[3]])
    assert (missing.exact, missing.missing) == (False, 1)
    altered = compare(job, [*job.moves[:3], job.moves[3].replace("Y", "Y1")])
    assert (altered.missing, altered.altered) == (1, 1)
    assert compare(job, [*job.moves, job.moves[-1]]).repeated == 1
    assert not compare(job, [job.moves[1], job.moves[0], *job.moves[2:]]).in_order
