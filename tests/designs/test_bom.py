"""Lists of parts as people write them: what is bought is found, nothing is made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from designs import bom
from designs.design import Bought

PARTS = {"hook": ("Coat hook", "hook.stl")}


def things(content: str | bytes) -> list[tuple[str, int, str]]:
    coded = content.encode() if isinstance(content, str) else content
    return [(b.name, b.quantity, b.note) for b in bom.read(coded, "bom.csv", PARTS).bought]


@pytest.mark.parametrize(
    ("content", "bought"),
    [
        (
            "item,kind,quantity,note\nCoat hook,made,1,hook.stl\nM4 screw,bought,2,steel\n",
            [("M4 screw", 2, "steel")],
        ),
        ('Part Name;Qty\n"Screw; long";8 pcs\n', [("Screw; long", 8, "")]),
        ("\ufeffBezeichnung\tStück\nSeil\t1,5 m\n", [("Seil", 1, "1,5 m")]),
        ("Nombre,Cantidad\nTornillo,4\nhook.stl,1\n", [("Tornillo", 4, "")]),
        ("#,Name,Qty,MPN,Manufacturer\n1,Pump,1,K-12,Kamoer\n", [("Pump", 1, "K-12, Kamoer")]),
        ("Name,Qty\nNut,2\nNut,3\n", [("Nut", 5, "")]),
        ("No,Name,Qty\n7,Nut,2\n", [("Nut", 2, "")]),
        ("Name,Qty\nNut,0\nGlue,\nBolt,1\n", [("Bolt", 1, "")]),
        ('Name,Qty\n=HYPERLINK("x"),2\n', [('=HYPERLINK("x")', 2, "")]),
        ("A lamp\nBought parts,,\nName,Qty\nBulb,1\n,\nPrinted parts,,\nName,Qty\nShade,1\n",
         [("Bulb", 1, "")]),
        ("Name,Qty\nPrinted parts,\nShade,1\nBought parts,\nBulb,1\nTools,\nSaw,1\n",
         [("Bulb", 1, "")]),
        ("Item,Make or buy,Quantity\nShade,make,1\nBulb,buy,2\n", [("Bulb", 2, "")]),
        ("Nom,Quantité\nÉcrou,3\n".encode("cp1252"), [("Écrou", 3, "")]),
        ("Name;Menge\nMutter;3\n".encode("utf-16"), [("Mutter", 3, "")]),
    ],
)  # fmt: skip
def test_what_is_bought_is_read_from_what_people_write(
    content: str | bytes, bought: list[tuple[str, int, str]]
) -> None:
    assert things(content) == bought


def test_what_it_says_of_parts_is_counted_and_what_cannot_be_read_is_told() -> None:
    read = bom.read(b"name,qty\nhook.stl,2\nCoat Hook,1\n", "bom.csv", PARTS)
    assert (read.parts, read.bought, read.findings) == ({"hook": 3}, (), ())
    for content in (
        b"",
        b"three words here\n",
        b"name,price\nNut,3\n",
        b"x" * (bom.MOST_BYTES + 1),
    ):
        (told,) = bom.read(content, "bom.csv", PARTS).findings
        assert told.where == "bom.csv"
        assert "not read" in told.what
    long = bom.read(b"name,qty\nNut,2\n" + b"x" * 140_000 + b",1\nBolt,1\n", "bom.csv", PARTS)
    assert [each.name for each in long.bought] == ["Nut"]
    assert "from line 3 on it cannot be read" in long.findings[0].what
    many = "name,qty\n" + "".join(f"Nut {n},1\n" for n in range(bom.MOST_BOUGHT + 1))
    read = bom.read(many.encode(), "bom.csv", PARTS)
    assert len(read.bought) == bom.MOST_BOUGHT
    assert f"first {bom.MOST_BOUGHT} of {bom.MOST_BOUGHT + 1}" in read.findings[0].what


@given(st.one_of(st.binary(max_size=400), st.text(max_size=400).map(str.encode)))
def test_nothing_makes_it_stumble(content: bytes) -> None:
    for thing in bom.read(b"name,qty\n" + content, "bom.csv", PARTS).bought:
        assert Bought.model_validate(thing.model_dump()) == thing
