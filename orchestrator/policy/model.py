"""The price policy in force: what material costs, what distance and waiting weigh.

It never prices anything itself. An order keeps the version it was made under; a changed number is
a new version.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, ConfigDict, Field


class PricePolicy(BaseModel):
    """Money in minor units of `currency`; material per kilogram.

    Transport is told, not charged: makers collect, or settle it with the lab. The weights say how
    much a kilometre or an hour counts when labs are compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    version: str
    currency: str
    material_minor_per_kg: Mapping[str, int]
    other_material_minor_per_kg: int
    transport_minor_per_km: int = Field(ge=0)
    lateness_minor_per_h: int = Field(ge=0)
    waiting_minor_per_h: int = Field(ge=0)
    move_minor: int = Field(ge=0)
    quote_hours: int = Field(gt=0)

    def material_minor(self, material: str) -> int:
        """Price of a kilogram."""
        return self.material_minor_per_kg.get(material, self.other_material_minor_per_kg)


IN_FORCE: Final = PricePolicy(
    version="2026-11-1",
    currency="EUR",
    material_minor_per_kg=MappingProxyType(
        {
            "pla": 2200,
            "petg": 2400,
            "abs": 2400,
            "asa": 3200,
            "tpu": 3800,
            "plywood": 450,
            "birch_plywood": 700,
            "mdf": 250,
            "acrylic": 1100,
            "cardboard": 200,
            "hdpe": 900,
            "beech": 800,
            "aluminium": 1500,
        }
    ),
    other_material_minor_per_kg=3000,
    transport_minor_per_km=30,
    lateness_minor_per_h=200,
    waiting_minor_per_h=5,
    move_minor=100,
    quote_hours=48,
)
