"""Bytes of small solids, sound and broken, for the tests of the readers."""

import io
import struct
import zipfile

import numpy as np

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]
)  # fmt: skip
RELS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Target="/3D/3dmodel.model" Id="r" Type="http://schemas.microsoft'
    '.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
)


def cube(size: float = 20.0, at: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """Triangles (12, 3, 3) of a cube with its lowest corner `at`."""
    return (CORNERS * size + np.array(at))[FACES]


def stl(triangles: np.ndarray, count: int | None = None) -> bytes:
    body = b"".join(struct.pack("<12fH", 0, 0, 0, *triangle.ravel(), 0) for triangle in triangles)
    return b"\0" * 80 + struct.pack("<I", len(triangles) if count is None else count) + body


def text_stl(triangles: np.ndarray) -> bytes:
    lines = ["solid cube"]
    for triangle in triangles:
        lines += ["facet normal 0 0 0", " outer loop"]
        lines += ["  vertex " + " ".join(f"{v:.6g}" for v in corner) for corner in triangle]
        lines += [" endloop", "endfacet"]
    return "\n".join([*lines, "endsolid cube", ""]).encode()


def mesh_xml(size: float = 20.0) -> str:
    vertices = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in CORNERS * size)
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in FACES)
    return f"<mesh><vertices>{vertices}</vertices><triangles>{triangles}</triangles></mesh>"


def model(resources: str, build: str, unit: str = "millimeter", more: str = "") -> str:
    return (
        f'<?xml version="1.0"?>{more}<model unit="{unit}" xmlns="http://schemas.microsoft.com/'
        f'3dmanufacturing/core/2015/02"><resources>{resources}</resources>'
        f"<build>{build}</build></model>"
    )


def package(model_xml: str | bytes, **others: bytes) -> bytes:
    """A 3MF of one model part; other entries by name ("__" for "/")."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_rels/.rels", RELS)
        archive.writestr("3D/3dmodel.model", model_xml)
        for name, content in others.items():
            archive.writestr(name.replace("__", "/"), content)
    return out.getvalue()


def cube_3mf(**others: bytes) -> bytes:
    return package(model(f'<object id="1">{mesh_xml()}</object>', '<item objectid="1"/>'), **others)
