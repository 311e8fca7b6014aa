"""The demo's city: which labs stand where, which machines they own, and what people order.

The places are real, the labs are invented; everything made here is made by simulated machines.
"""

from dataclasses import dataclass

CITY = "Barcelona"


@dataclass(frozen=True)
class MachineSpec:
    """One machine: our agent's entry, and the simulated machine's own name for what it is."""

    id: str
    title: str
    profile: str
    driver: str
    simulator: str
    materials: tuple[str, ...]
    rate_minor_per_h: int
    setup_minor: int
    attended: bool = False
    tool_mm: float | None = None
    kerf_mm: float | None = None


@dataclass(frozen=True)
class LabSpec:
    slug: str
    name: str
    address: str
    lat: float
    lon: float
    machines: tuple[MachineSpec, ...]


def printer(number: int, rate: int) -> MachineSpec:
    return MachineSpec(
        f"printer-{number}", f"Printer {number}", "generic-fdm-220", "marlin", "printer-220",
        ("pla", "petg"), rate, 100,
    )  # fmt: skip


def mill(number: int) -> MachineSpec:
    return MachineSpec(
        f"mill-{number}", f"Mill {number}", "generic-cnc-3018", "grbl", "mill-3018",
        ("plywood", "birch_plywood", "mdf", "acrylic", "hdpe", "beech"), 1800, 500,
        attended=True, tool_mm=3.175,
    )  # fmt: skip


def laser(number: int, rate: int) -> MachineSpec:
    return MachineSpec(
        f"laser-{number}", f"Laser {number}", "generic-laser-400", "grbl", "laser-400",
        ("plywood", "birch_plywood", "mdf", "acrylic", "cardboard"), rate, 300,
        attended=True, kerf_mm=0.15,
    )  # fmt: skip


LABS = (
    LabSpec(
        "poblenou", "Taller Poblenou", "Carrer de Pujades 102, Barcelona", 41.3969, 2.1943,
        (printer(1, 350), laser(1, 1500)),
    ),
    LabSpec(
        "gracia", "Obrador de Gràcia", "Plaça de la Vila de Gràcia 3, Barcelona", 41.3998, 2.1566,
        (printer(2, 300), mill(1)),
    ),
    LabSpec(
        "sants", "Fàbrica de Sants", "Carrer de Sants 79, Barcelona", 41.3758, 2.1350,
        (printer(3, 320), laser(2, 1400)),
    ),
)  # fmt: skip


ORDERED = (
    "cable-comb", "coat-hook", "drawer-divider", "knob", "lantern", "phone-stand", "tool-rack",
    "trivet",
)  # fmt: skip
"""What people order; the library's other designs are published while these are made."""


@dataclass(frozen=True)
class Person:
    """A maker, and where they would like to have it."""

    name: str
    where: str
    lat: float
    lon: float


MAKERS = (
    Person("Aina", "Parc de la Ciutadella", 41.3881, 2.1860),
    Person("Biel", "Camp Nou", 41.3809, 2.1228),
    Person("Carme", "Park Güell", 41.4145, 2.1527),
    Person("Dídac", "Sagrada Família", 41.4036, 2.1744),
    Person("Elna", "Montjuïc", 41.3644, 2.1580),
    Person("Ferran", "Plaça de les Glòries", 41.4034, 2.1870),
)
