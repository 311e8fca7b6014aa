"""How far places are from each other, and how long a part travels between two labs.

It promises whole metres and seconds; it knows no roads and no prices.
"""

from math import asin, cos, radians, sin, sqrt

from scheduling.problem import Job, Problem

EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG


def distance_m(place: tuple[int, int], other: tuple[int, int]) -> int:
    """Great-circle metres between two (lat, lon) in micro-degrees; haversine formula."""
    lat1, lon1, lat2, lon2 = (radians(udeg / 1e6) for udeg in (*place, *other))
    chord = _hav(lat2 - lat1) + cos(lat1) * cos(lat2) * _hav(lon2 - lon1)
    return round(2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(chord))))


def _hav(angle: float) -> float:
    return sin(angle / 2) ** 2


def lab_distance_m(problem: Problem, lab: str, other: str) -> int:
    """Metres between two labs, by id."""
    a, b = problem.lab[lab], problem.lab[other]
    return distance_m((a.lat_udeg, a.lon_udeg), (b.lat_udeg, b.lon_udeg))


def job_distance_m(problem: Problem, job: Job, lab: str) -> int:
    """Metres between a lab and the place where the job is wanted."""
    there = problem.lab[lab]
    return distance_m((there.lat_udeg, there.lon_udeg), (job.lat_udeg, job.lon_udeg))


def travel_s(problem: Problem, lab: str, other: str) -> int:
    """Seconds a part takes from one lab to another; none within a lab."""
    if lab == other:
        return 0
    way_s = -(-lab_distance_m(problem, lab, other) * problem.travel.s_per_km // 1000)
    return problem.travel.handover_s + way_s
