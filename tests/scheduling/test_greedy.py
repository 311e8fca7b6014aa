from scheduling.greedy import construct, followed, improve, lay_out, prepare
from scheduling.problem import Running
from scheduling.solve import never
from tests.scheduling.test_solve import contended
from tests.scheduling.worlds import NOW, job, two_labs


def test_every_job_comes_behind_what_it_follows_and_otherwise_keeps_its_place() -> None:
    world = two_labs(
        job("a", {}, after=("c", "done")),
        job("b", {}),
        job("c", {}, after=("b",)),
        job("d", {}),
        fixed=(Running("done", "n1", NOW),),
    )
    assert list(followed(world, "dacb")) == ["d", "b", "c", "a"]


def test_a_long_chain_of_jobs_is_no_matter_of_depth() -> None:
    chain = [job(f"j{i}", {}, after=(f"j{i - 1}",) if i else ()) for i in range(3000)]
    world = two_labs(*chain)
    assert next(followed(world, ["j2999"])) == "j0"


def test_more_rounds_never_make_a_layout_dearer() -> None:
    desk = prepare(contended(), 12)
    first = construct(desk, never)
    costs = [improve(desk, first, rounds, 3, never).minor for rounds in (0, 5, 20, 80)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] >= desk.bound_minor


def test_a_pin_is_kept_where_it_can_be_and_dropped_where_it_cannot() -> None:
    desk = prepare(two_labs(job("a", {"n1": 1, "f1": 1}), job("b", {"n1": 1})), 12)
    spots = lay_out(desk, ["a", "b"], {"a": "f1", "b": "f1"}).spots
    assert {name: spot.way.machine for name, spot in spots.items()} == {"a": "f1", "b": "n1"}


def test_machines_out_of_reach_are_tried_before_a_job_is_left_out() -> None:
    desk = prepare(two_labs(*(job(n, {"n1": 60, "f1": 60}) for n in "ab")), 1)
    layout = construct(desk, never)
    assert layout.left_out == ()
