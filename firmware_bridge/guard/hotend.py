"""What a printer heats, and what it pushes through its nozzle.

Temperatures are held to machine and material, filament to what a nozzle can melt and lay down.
"""

import math
from typing import Final

from firmware_bridge.guard.verdict import Findings
from firmware_bridge.profiles import FilamentLimits, MachineProfile

Number = float | None

# A deposited line thicker than this is a blob, not a line: 2.5 mm² is eight wide 0.4 mm lines.
_SECTION_MAX_MM2: Final = 2.5
_SECTION_OF_NOZZLE: Final = 8.0
_SECTION_FROM_MM: Final = 0.2
# No nozzle of 0.4 mm melts this much for long, and a gear that pushes on grinds the filament.
_MELT_MM3_S: Final = 80.0
_MELT_NOZZLE_MM: Final = 0.4
_UNMELTED_MM3: Final = 100.0
# Lines drawn with next to nothing: amounts told for one line each, read as sums since the start.
_THINNEST_MM2: Final = 0.005
_THIN_FROM_MM: Final = 500.0
_PULL_REVIEW_MM: Final = 50.0
_PULL_MAX_MM: Final = 200.0
# Filament pulled out and pushed in again at one place is soon ground through by the gear.
_FRETTED_MM: Final = 200.0
_SWING_C: Final = 50.0
_SWINGS_MAX: Final = 12
# A wait to cool down to less than this may never end in a warm room.
_ROOM_C: Final = 28.0


class Heat:
    """The targets of nozzle, bed and chamber, and how warm the nozzle was waited for."""

    def __init__(self, profile: MachineProfile, findings: Findings, material: str | None) -> None:
        assert profile.fdm is not None
        self._fdm, self._findings = profile.fdm, findings
        self.coldest = self._fdm.cold_below_c
        self._material = self._limits(material)
        self.targets = {"nozzle": 0.0, "bed": 0.0, "chamber": 0.0}
        self.hottest = {"nozzle": 0.0, "bed": 0.0}
        self.waited = 0.0
        self.melts = False  # the nozzle was waited for, and is still told to be warm
        self._swings = 0

    def nozzle(self, number: int, name: str, given: dict[str, Number]) -> None:
        target = self._target(number, name, given, "nozzle")
        if target is None:
            return
        self.waited = target if name == "M109" else min(self.waited, target)
        self._set("nozzle", target)

    def bed(self, number: int, name: str, given: dict[str, Number]) -> None:
        target = self._target(number, name, given, "bed")
        if target is not None:
            self._set("bed", target)

    def chamber(self, number: int, name: str, given: dict[str, Number]) -> None:
        target = self._target(number, name, given, "chamber")
        if target is not None:
            self._set("chamber", target)

    def taken(self, what: str, target: float) -> None:
        """A shop's own block heats this."""
        self._set(what, target)

    def ready(self) -> None:
        """A shop's own block left the nozzle hot."""
        self.waited = max(self.targets["nozzle"], self.coldest)
        self._set("nozzle", self.waited)

    def off(self) -> None:
        """A shop's own block turned it all off."""
        self.targets = dict.fromkeys(self.targets, 0.0)
        self.melts = False

    def top(self, what: str) -> float:
        """The most that machine and material allow."""
        tops = {
            "nozzle": self._fdm.hotend_max_c,
            "bed": self._fdm.bed_max_c,
            "chamber": self._fdm.chamber_max_c,
        }
        limits = self._material
        of_material = {"nozzle": limits.hotend_c[1], "bed": limits.bed_c[1]} if limits else {}
        return min(tops[what], of_material.get(what, math.inf))

    def _set(self, what: str, target: float) -> None:
        self.targets[what] = target
        if what in self.hottest:
            self.hottest[what] = max(self.hottest[what], target)
        self.melts = min(self.targets["nozzle"], self.waited) >= self.coldest

    def _target(self, number: int, name: str, given: dict[str, Number], what: str) -> Number:
        strange = set(given) - set("SRT") or {"S", "R"} <= set(given)
        if strange or given.get("T") not in (None, 0.0):
            self._findings.reject("words", number, f"{name} takes S or R, and one tool")
            return None
        target = given.get("S", given.get("R"))
        if target is None:
            return None
        top = self.top(what)
        if not 0 <= target <= top:
            self._findings.reject(
                "temperature", number, f"{name} to {target:g} °C; 0 to {top:g} allowed"
            )
        if abs(target - self.targets[what]) >= _SWING_C:
            self._swings += 1
        if self._swings > _SWINGS_MAX:
            self._findings.reject("swings", number, f"heats and cools the {what} again and again")
        if "S" not in given and target < _ROOM_C:
            self._findings.reject(
                "dwell", number, f"waits until the {what} has cooled to {target:g} °C: a warm room"
                " never gets there",
            )  # fmt: skip
        return target

    def _limits(self, material: str | None) -> FilamentLimits | None:
        if material is None:
            return None
        limits = self._fdm.materials.get(material)
        if limits is None:
            known = ", ".join(sorted(self._fdm.materials))
            self._findings.reject("material", 0, f"{material} is not worked here; {known} are")
            return None
        self.coldest = max(self.coldest, limits.hotend_c[0])
        return limits


class Filament:
    """What E words mean, and where the filament goes that they push.

    Firmwares differ in what G90 and G91 do to E: Marlin 2 forgets M82 and M83 over them, Klipper
    and Marlin 1 do not. Where the two readings differ, Marlin 2's counts and a person has to look.
    """

    def __init__(self, profile: MachineProfile, heat: Heat, findings: Findings) -> None:
        assert profile.fdm is not None
        self._heat, self._findings = heat, findings
        fdm = profile.fdm
        self.area = math.pi * fdm.filament_mm**2 / 4
        thickest = max(_SECTION_MAX_MM2, _SECTION_OF_NOZZLE * fdm.nozzle_mm**2)
        self._drain = thickest / self.area
        self._melts_min = _MELT_MM3_S * max(1.0, fdm.nozzle_mm / _MELT_NOZZLE_MM) * 60 / self.area
        self._heap_max = fdm.blob_max_mm
        self._absolute = self._told_absolute = True
        self._unsure = False
        self._e = 0.0  # the firmware's number
        self._flow = 1.0
        self.fed = self.most = 0.0  # filament since the start; its high-water mark
        self._heap = 0.0  # filament in one place: what lines carry away is taken off
        self._fretted = 0.0  # filament pulled since some was laid down last
        self._solid = 0.0  # filament pushed faster than it melts
        self._lined = 0.0  # the length of all moves with an E word

    def axes_read(self, *, absolute: bool) -> None:
        """G90 or G91."""
        self._absolute = absolute
        self._unsure = self._absolute != (absolute and self._told_absolute)

    def read(self, *, absolute: bool, axes_absolute: bool) -> None:
        """M82 or M83."""
        self._absolute = self._told_absolute = absolute
        self._unsure = absolute and not axes_absolute

    def count_from(self, e: float) -> None:
        """G92 E."""
        self._e = e

    def flows(self, percent: float) -> None:
        """M221."""
        self._flow = percent / 100

    def push(self, number: int, e: float, distance: float, rate: float) -> bool:
        """Account for an E word of a move this long, in mm/min; True when it deposits."""
        if self._unsure and self._e:
            self._either(number, e)
        if self._absolute:
            delta, self._e = (e - self._e) * self._flow, e
        else:
            delta = e * self._flow
            self._e += e
        if not delta:
            return False
        fed = self.fed + delta
        self.fed = fed
        self._lined += distance
        if delta < 0:
            self._pulled(number, -delta)
            return False
        if not self._heat.melts:
            self._cold(number)
        drained = self._drain * distance
        if delta > _SECTION_FROM_MM and distance and delta > drained:
            self._findings.reject(
                "blob", number, f"{delta:.1f} mm of filament over {distance:.2f} mm"
            )
        fresh = fed - self.most
        self._heap = max(0.0, self._heap + max(fresh, 0.0) - drained)
        if self._heap > self._heap_max:
            self._pile(number)
        if fresh <= 0:
            return False
        self.most, self._fretted = fed, 0.0
        if distance:
            self._melt(number, fresh, distance, rate)
        return True

    def _melt(self, number: int, fresh: float, distance: float, rate: float) -> None:
        self._solid = max(0.0, self._solid + fresh - self._melts_min * distance / rate)
        if self._solid * self.area > _UNMELTED_MM3:
            volume = fresh * self.area * rate / 60 / distance
            self._findings.reject(
                "melt", number, f"pushes {volume:.0f} mm³/s for long; no nozzle melts so much"
            )
            self._solid = 0.0

    def close(self) -> None:
        laid = self.most * self.area
        if self._lined > _THIN_FROM_MM and laid < _THINNEST_MM2 * self._lined:
            self._findings.review(
                "thin", 0, f"{self.most:.1f} mm of filament for {self._lined:.0f} mm of lines: are"
                " its E words meant for M83?",
            )  # fmt: skip

    def _either(self, number: int, e: float) -> None:
        self._findings.review(
            "E mode", number, f"E{e:g} after M82 or M83 and then G90 or G91: some firmwares take it"
            " as a sum, others as a step; say M82 or M83 once more",
        )  # fmt: skip

    def _pulled(self, number: int, length: float) -> None:
        out = self.most - self.fed
        said = f"pulls {out:.0f} mm back"
        if out > _PULL_MAX_MM:
            self._findings.reject("retraction", number, said)
        elif out > _PULL_REVIEW_MM:
            self._findings.review("retraction", number, said)
        self._fretted += length
        if self._fretted > max(_FRETTED_MM, out):
            self._findings.reject("retraction", number, "pulls the same filament to and fro")
            self._fretted = 0.0

    def _cold(self, number: int) -> None:
        heat = self._heat
        at = min(heat.targets["nozzle"], heat.waited)
        self._findings.reject(
            "cold", number, f"pushes filament at {at:g} °C, at least {heat.coldest:g} °C"
        )

    def _pile(self, number: int) -> None:
        self._findings.reject(
            "blob", number, f"pushes {self._heap:.0f} mm of filament in one place"
        )
        self._heap = 0.0
