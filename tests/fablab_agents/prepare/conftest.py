"""Shapes, files and a slicer for this room's tests; nothing here stands in for a real one."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fablab_agents.prepare.order import Order
from firmware_bridge import profiles

KIND = {
    "3d_printing_fdm": "generic-fdm-220",
    "cnc_milling": "generic-cnc-3018",
    "laser_cutting": "generic-laser-400",
}


@pytest.fixture
def slicer() -> str:
    """Path of PrusaSlicer; in CI its absence fails."""
    found = shutil.which("prusa-slicer")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("prusa-slicer is not installed, and CI skips nothing")
    if found is None:
        pytest.skip("needs prusa-slicer")
    return found


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., Order]:
    """An order for one piece of a file on the shipped machine of that process."""

    def make(file: Path, process: str, material: str, **others: object) -> Order:
        plain = Order(
            part_name="thing",
            process=process,
            material=material,
            thickness_mm=None,
            quality="normal",
            quantity=1,
            file_path=file,
            format=file.suffix[1:].lower(),
            profile=profiles.load(KIND[process]),
            machine="here",
        )
        return replace(plain, **others)

    return make


CORNERS = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=float)
FACES = [
    (0, 2, 1), (1, 2, 3), (4, 5, 6), (5, 7, 6), (0, 1, 4), (1, 5, 4),
    (2, 6, 3), (3, 6, 7), (0, 4, 2), (2, 4, 6), (1, 3, 5), (3, 7, 5),
]  # fmt: skip


@pytest.fixture
def box_stl(tmp_path: Path) -> Callable[..., Path]:
    """A box of these sides in mm as a text STL, moved by `at`."""

    def make(x: float, y: float, z: float, at: tuple[float, float, float] = (0, 0, 0)) -> Path:
        corners = CORNERS * (x, y, z) + at
        path = tmp_path / f"box-{x:g}-{y:g}-{z:g}.stl"
        path.write_text(ascii_stl(corners))
        return path

    return make


def ascii_stl(corners: np.ndarray) -> str:
    facets = (
        "facet normal 0 0 0\nouter loop\n"
        + "".join("vertex {} {} {}\n".format(*corners[i]) for i in face)
        + "endloop\nendfacet\n"
        for face in FACES
    )
    return "solid box\n" + "".join(facets) + "endsolid box\n"


@pytest.fixture
def plate_svg(tmp_path: Path) -> Path:
    """A plate of 80 x 50 mm with two round holes of 8 mm and one of the cutter's own width."""
    path = tmp_path / "plate.svg"
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="80mm" height="50mm" viewBox="0 0 80 50">'
        '<rect x="0" y="0" width="80" height="50" rx="6" fill="none" stroke="black"/>'
        '<circle cx="20" cy="25" r="4" fill="none" stroke="black"/>'
        '<circle cx="60" cy="25" r="4" fill="none" stroke="black"/>'
        '<circle cx="40" cy="25" r="1.5875" fill="none" stroke="black"/></svg>'
    )
    return path
