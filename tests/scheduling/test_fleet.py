"""The columns of a fleet against the words of routing and cost, machine by machine."""

from dataclasses import replace

from hypothesis import given, settings

from scheduling.cost import untimed_minor
from scheduling.fleet import Fleet
from scheduling.problem import Problem, Weights
from scheduling.routing import STEPS, passed
from tests.scheduling.worlds import job, lab, machine, problem, problems


@settings(max_examples=150, deadline=None)
@given(problems())
def test_a_fleet_knows_what_routing_and_cost_say_of_each_machine(world: Problem) -> None:
    for each in world.jobs:
        fleet = Fleet(world, each.process)
        takes = fleet.takes_s(each)
        minor = fleet.untimed_minor(each, takes)
        for at, one in enumerate(fleet.machines):
            able = passed(world, each, one) >= STEPS.index("hours")
            assert bool(takes[at]) == able
            if able:
                assert takes[at] == each.durations_s[one.id]
                assert minor[at] == untimed_minor(world, each, one)


def test_numbers_beyond_64_bits_are_added_up_all_the_same() -> None:
    heavy = machine("n1", "near", power_w=10**7)
    weights = Weights(co2_minor_per_kg=10**4, co2_g_per_kwh=10**4)
    world = problem([lab("near")], [heavy], [job("a", {"n1": 25_000})], weights=weights)
    [one] = world.jobs
    fleet = Fleet(world, one.process)
    assert fleet.untimed_minor(one, fleet.takes_s(one))[0] == untimed_minor(world, one, heavy)
    world = replace(world, jobs=(replace(one, prices_minor={}),))
    assert Fleet(world, "print").untimed_minor(world.jobs[0], fleet.takes_s(one))[0] > 10**12
