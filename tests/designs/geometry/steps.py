"""Text of small STEP files (AP214), written face by face, for the tests of the reader."""

import math
from collections.abc import Iterable, Sequence

HEAD = (
    "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION((''),'2;1');\n"
    "FILE_NAME('part','2026-01-01T00:00:00',(''),(''),'','','');\n"
    "FILE_SCHEMA(('{schema}'));\nENDSEC;\nDATA;\n"
)
TAIL = "ENDSEC;\nEND-ISO-10303-21;\n"
MM = "( LENGTH_UNIT() NAMED_UNIT(*) SI_UNIT(.MILLI.,.METRE.) )"
METRE = "( LENGTH_UNIT() NAMED_UNIT(*) SI_UNIT($,.METRE.) )"
Corner = tuple[float, float, float]


class Step:
    """Collects entities; `add` answers with the entity's name, #7."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, text: str) -> str:
        self.lines.append(f"#{len(self.lines) + 1}={text};")
        return f"#{len(self.lines)}"

    def point(self, at: Sequence[float]) -> str:
        return self.add(f"CARTESIAN_POINT('',({','.join(f'{v:.9f}' for v in at)}))")

    def direction(self, way: Sequence[float]) -> str:
        length = math.sqrt(sum(v * v for v in way))
        return self.add(f"DIRECTION('',({','.join(f'{v / length:.9f}' for v in way)}))")

    def text(self, schema: str = "AUTOMOTIVE_DESIGN") -> bytes:
        return (HEAD.format(schema=schema) + "\n".join(self.lines) + "\n" + TAIL).encode()


def prism(outline: Sequence[tuple[float, float]], height: float, **how: str) -> bytes:
    """A STEP file of one upright prism; `unit` and `schema` as given."""
    step = Step()
    solid = _solid(step, outline, height)
    _product(step, [solid], how.get("unit", MM))
    return step.text(how.get("schema", "AUTOMOTIVE_DESIGN"))


def box(x: float, y: float, z: float, **how: str) -> bytes:
    return prism([(0, 0), (x, 0), (x, y), (0, y)], z, **how)


def _solid(step: Step, outline: Sequence[tuple[float, float]], height: float) -> str:
    n = len(outline)
    corners = [(x, y, z) for z in (0.0, height) for x, y in outline]
    vertices = [step.add(f"VERTEX_POINT('',{step.point(c)})") for c in corners]
    edges: dict[tuple[int, int], str] = {}

    def edge(a: int, b: int) -> str:
        forward = a < b
        low, high = sorted((a, b))
        if (low, high) not in edges:
            way = [q - p for p, q in zip(corners[low], corners[high], strict=True)]
            vector = step.add(f"VECTOR('',{step.direction(way)},1.)")
            line = step.add(f"LINE('',{step.point(corners[low])},{vector})")
            made = f"EDGE_CURVE('',{vertices[low]},{vertices[high]},{line},.T.)"
            edges[low, high] = step.add(made)
        return step.add(f"ORIENTED_EDGE('',*,*,{edges[low, high]},.{'T' if forward else 'F'}.)")

    loops = [list(range(n))[::-1], [n + i for i in range(n)]]
    loops += [[i, (i + 1) % n, n + (i + 1) % n, n + i] for i in range(n)]
    faces = [_face(step, corners, loop, edge) for loop in loops]
    shell = step.add(f"CLOSED_SHELL('',({','.join(faces)}))")
    return step.add(f"MANIFOLD_SOLID_BREP('body',{shell})")


def _face(step: Step, corners: list[Corner], loop: list[int], edge) -> str:
    sides = [edge(a, b) for a, b in zip(loop, loop[1:] + loop[:1], strict=True)]
    bound = step.add(f"FACE_OUTER_BOUND('',{step.add(_loop(sides))},.T.)")
    a, b = (corners[i] for i in loop[:2])
    along = [q - p for p, q in zip(a, b, strict=True)]
    normal = _newell([corners[i] for i in loop])
    place = step.add(
        f"AXIS2_PLACEMENT_3D('',{step.point(a)},{step.direction(normal)},{step.direction(along)})"
    )
    plane = step.add(f"PLANE('',{place})")
    return step.add(f"ADVANCED_FACE('',({bound}),{plane},.T.)")


def _loop(sides: Iterable[str]) -> str:
    return f"EDGE_LOOP('',({','.join(sides)}))"


def _newell(points: list[Corner]) -> list[float]:
    total = [0.0, 0.0, 0.0]
    for (ax, ay, az), (bx, by, bz) in zip(points, points[1:] + points[:1], strict=True):
        total[0] += (ay - by) * (az + bz)
        total[1] += (az - bz) * (ax + bx)
        total[2] += (ax - bx) * (ay + by)
    return total


def context(step: Step, unit: str) -> str:
    length = step.add(unit)
    angle = step.add("( NAMED_UNIT(*) PLANE_ANGLE_UNIT() SI_UNIT($,.RADIAN.) )")
    solid = step.add("( NAMED_UNIT(*) SI_UNIT($,.STERADIAN.) SOLID_ANGLE_UNIT() )")
    near = step.add(f"UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-06),{length},'d','')")
    return step.add(
        "( GEOMETRIC_REPRESENTATION_CONTEXT(3) "
        f"GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT(({near})) "
        f"GLOBAL_UNIT_ASSIGNED_CONTEXT(({length},{angle},{solid})) "
        "REPRESENTATION_CONTEXT('','3D') )"
    )


def product(step: Step, name: str) -> str:
    """The definition of a product of that name."""
    app = step.add("APPLICATION_CONTEXT('automotive design')")
    kind = step.add(f"PRODUCT_CONTEXT('',{app},'mechanical')")
    made = step.add(f"PRODUCT('{name}','{name}','',({kind}))")
    version = step.add(f"PRODUCT_DEFINITION_FORMATION('','',{made})")
    about = step.add(f"PRODUCT_DEFINITION_CONTEXT('part definition',{app},'design')")
    return step.add(f"PRODUCT_DEFINITION('design','',{version},{about})")


def represented(step: Step, definition: str, items: Sequence[str], where: str) -> str:
    shape = step.add(f"PRODUCT_DEFINITION_SHAPE('','',{definition})")
    held = step.add(f"ADVANCED_BREP_SHAPE_REPRESENTATION('',({','.join(items)}),{where})")
    step.add(f"SHAPE_DEFINITION_REPRESENTATION({shape},{held})")
    return held


def _product(step: Step, solids: Sequence[str], unit: str) -> None:
    where = context(step, unit)
    definition = product(step, "Bracket")
    zero = step.add(f"AXIS2_PLACEMENT_3D('',{step.point((0, 0, 0))},$,$)")
    represented(step, definition, [zero, *solids], where)


def surface(text: str, *points: str) -> bytes:
    """A file whose only face lies on the surface of that text, without bounds that fit it."""
    step = Step()
    made = step.add(text)
    for point in points:
        step.add(point)
    face = step.add(f"FACE_SURFACE('',(),{made},.T.)")
    shell = step.add(f"OPEN_SHELL('',({face}))")
    _product(step, [step.add(f"SHELL_BASED_SURFACE_MODEL('',({shell}))")], MM)
    return step.text()


def assembly(levels: int, copies: int) -> bytes:
    """A box used `copies` times in a product that is used as often in the next, and so on."""
    step = Step()
    where = context(step, MM)
    inner = product(step, "L0")
    held = represented(step, inner, [_solid(step, [(0, 0), (9, 0), (9, 9), (0, 9)], 9)], where)
    for level in range(1, levels + 1):
        outer = product(step, f"L{level}")
        zero = step.add(f"AXIS2_PLACEMENT_3D('',{step.point((0, 0, 0))},$,$)")
        places = [
            step.add(f"AXIS2_PLACEMENT_3D('',{step.point((10.0 * k, 10.0 * level, 0))},$,$)")
            for k in range(copies)
        ]
        shape = step.add(f"PRODUCT_DEFINITION_SHAPE('','',{outer})")
        around = step.add(f"SHAPE_REPRESENTATION('',({','.join([zero, *places])}),{where})")
        step.add(f"SHAPE_DEFINITION_REPRESENTATION({shape},{around})")
        for k, place in enumerate(places):
            use(step, (inner, held), (outer, around), f"{level}-{k}", (zero, place))
        inner, held = outer, around
    return step.text()


def use(
    step: Step,
    inner: tuple[str, str],
    outer: tuple[str, str],
    name: str,
    places: tuple[str, str],
) -> None:
    """`inner` (definition, representation) is a component of `outer`, moved from place to place."""
    used = step.add(f"NEXT_ASSEMBLY_USAGE_OCCURRENCE('{name}','{name}','',{outer[0]},{inner[0]},$)")
    shape = step.add(f"PRODUCT_DEFINITION_SHAPE('','',{used})")
    moved = step.add(f"ITEM_DEFINED_TRANSFORMATION('','',{places[0]},{places[1]})")
    related = step.add(
        f"( REPRESENTATION_RELATIONSHIP('','',{inner[1]},{outer[1]}) "
        f"REPRESENTATION_RELATIONSHIP_WITH_TRANSFORMATION({moved}) "
        "SHAPE_REPRESENTATION_RELATIONSHIP() )"
    )
    step.add(f"CONTEXT_DEPENDENT_SHAPE_REPRESENTATION({related},{shape})")
