"""A list of parts as people write it (CSV): what of it is bought, and what it says of the parts.

Spreadsheets have titles above the table, several tables below each other, columns in any order and
language. A table begins where one row names both a thing and a number of it. Nothing in a cell is
ever computed.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from designs.design import Bought
from designs.errors import Finding, Severity

MOST_BYTES: Final = 1 << 20
MOST_BOUGHT: Final = 500
_LONGEST_NAME: Final = 200
_LONGEST_NOTE: Final = 400
_MOST: Final = 10_000
_LONGEST_CELL: Final = 500
"""What is longer is no name; and no pattern is tried on more of it."""
_COLUMNS: Final = {
    "name": """item|part|part name|name|part bom name|component|components|title|product|material
        description|teil|benennung|bezeichnung|artikel|pieza|artículo|articulo|componente|nombre
        descripción|descripcion|peça|nom|pièce|piece|désignation|designation|article|composant""",
    "quantity": """quantity|qty|qnty|quant|bom qty|quantity needed|qty needed|count|amount
        menge|anzahl|stück|stueck|stückzahl|cantidad|cant|unidades|quantitat|quantité|quantite|qté
        qte|pcs|pieces|units""",
    "kind": "kind|make or buy|make buy|makebuy|procurement|art|tipo|type",
    "note": """note|notes|comment|comments|remark|remarks|mpn|manufacturer|supplier|vendor|link|url
        source|reference|specification|size|hersteller|lieferant|bemerkung|nota|notas|proveedor
        fabricante|enlace|fournisseur|fabricant|lien|remarque""",
}
_MADE: Final = re.compile(
    r"\b(made|make|print|printed|3d|manufactur\w*|fabricat\w*|laser|cnc|mill\w*|cut|in.?house|eigen\w*"
    r"|gedruckt|impres\w*|imprim\w*|fabriqu\w*|fresad\w*|cortad\w*)\b"
)
_BUYS: Final = re.compile(
    r"\b(bought|buy|purchas\w*|commercial|off.the.shelf|cots|hardware|standard|vitamins?|kauf\w*"
    r"|gekauft|comprad\w*|compra|achet\w*|achat)\b"
)
_NOT_OF_IT: Final = re.compile(r"\b(tools?|werkzeug\w*|herramientas?|outils?|total|subtotal)\b")
_WORDS: Final = {
    role: {" ".join(each.split()) for line in said.splitlines() for each in line.split("|")}
    for role, said in _COLUMNS.items()
}
_SECTION: Final = re.compile(
    r"\b(parts|components|items|tools|teile|werkzeug|piezas|herramientas)\b"
)
_AMOUNT: Final = re.compile(
    r"(?:[x×]\s*)?(\d{1,6})(?:[.,]0+)?\s*(?:[x×]|pcs?\.?|pieces?|st\.?|stk\.?|uds?\.?)?"
)


@dataclass(frozen=True)
class Bill:
    """What is bought, in the list's order; how many of each part it says; what is to be told."""

    bought: tuple[Bought, ...]
    parts: Mapping[str, int]
    findings: tuple[Finding, ...]


def read(content: bytes, where: str, parts: Mapping[str, Iterable[str]]) -> Bill:
    """The list in a CSV file. `parts`: by name, what else a part is called, its file among it."""
    if len(content) > MOST_BYTES:
        return _unread(where, "it is too long to be read")
    called = {_plain(word): name for name, words in parts.items() for word in (name, *words)}
    bought = dict[str, Bought]()
    counted = dict[str, int]()
    found = list[Finding]()
    listed, text = 0, _text(content)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        for table, row in _rows(map(_cells, lines)):
            listed += 1
            part, amount = _part(row, table, called), _amount(table.of(row, "quantity"))
            if part is not None:
                counted[part] = counted.get(part, 0) + (amount or 1)
            elif not table.is_made(row):
                thing = _bought(table, row)
                if thing.name in bought:
                    more = min(_MOST, bought[thing.name].quantity + thing.quantity)
                    thing = thing.model_copy(update={"quantity": more})
                bought[thing.name] = thing
    except csv.Error:
        found.append(_told(where, f"from line {lines.line_num} on it cannot be read as a table"))
    if not listed and not found:
        return _unread(where, "no row of it names both a thing and how many of it")
    if len(bought) > MOST_BOUGHT:
        found.append(_told(where, f"only the first {MOST_BOUGHT} of {len(bought)} things are read"))
    return Bill(tuple([*bought.values()][:MOST_BOUGHT]), counted, tuple(found))


def _unread(where: str, why: str) -> Bill:
    return Bill((), {}, (_told(where, f"what it lists is not read: {why}"),))


def _told(where: str, what: str) -> Finding:
    do = "Give it a heading such as: item, kind, quantity, note; kind is made or bought"
    return Finding(severity=Severity.NOTE, where=where, what=what, do=do)


# ── tables


@dataclass(frozen=True)
class _Table:
    """Its columns by their role; `made`: whether its title says that it lists what is made."""

    columns: Mapping[str, Sequence[int]]
    made: bool

    def of(self, row: Sequence[str], role: str) -> str:
        """The first cell of that role that says something."""
        return next(iter(self.all_of(row, role)), "")

    def all_of(self, row: Sequence[str], role: str) -> list[str]:
        cells = (row[at] for at in self.columns.get(role, ()) if at < len(row))
        return [cell for cell in cells if cell]

    def is_made(self, row: Sequence[str]) -> bool:
        kind = _plain(self.of(row, "kind"))
        if _BUYS.search(kind):
            return False
        return bool(_MADE.search(kind)) or self.made


def _rows(rows: Iterable[Sequence[str]]) -> Iterator[tuple[_Table, Sequence[str]]]:
    """The rows of tables that list things, each with its table."""
    table: _Table | None = None
    title = ""
    for row in rows:
        said = [cell for cell in row if cell]
        columns = _columns(row)
        if "name" in columns and "quantity" in columns:
            table = None if _NOT_OF_IT.search(title) else _Table(columns, _made(title))
            title = ""
        elif table is not None and _lists(table, row):
            yield table, row
        elif said and (len(said) == 1 or table is None):
            title = _plain(said[0])
            if table is not None and _SECTION.search(title):
                table = None if _NOT_OF_IT.search(title) else replace(table, made=_made(title))


def _made(title: str) -> bool:
    return bool(_MADE.search(title)) and not _BUYS.search(title)


def _lists(table: _Table, row: Sequence[str]) -> bool:
    name, many = table.of(row, "name"), table.of(row, "quantity")
    none = not many.strip("0., ")
    return bool(name) and not none and not _NOT_OF_IT.match(_plain(name))


def _columns(row: Sequence[str]) -> dict[str, list[int]]:
    found = dict[str, list[int]]()
    for at, cell in enumerate(row):
        word = _plain(re.sub(r"\(.*?\)", "", cell))
        for role, words in _WORDS.items():
            if word in words:
                found.setdefault(role, []).append(at)
                break
    return found


def _cells(row: Sequence[str]) -> list[str]:
    return [" ".join(_shown(cell[:_LONGEST_CELL]).split()) for cell in row[:50]]


def _text(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _delimiter(text: str) -> str:
    """What most of the first lines have, and most often."""
    lines = text.splitlines()[:30]
    return max(",;\t|", key=lambda each: (sum(each in x for x in lines), text.count(each)))


def _shown(cell: str) -> str:
    """Without what is not seen."""
    return "".join(c if unicodedata.category(c)[0] != "C" else " " for c in cell)


# ── rows


def _part(row: Sequence[str], table: _Table, called: Mapping[str, str]) -> str | None:
    """The part that a row is about: by its name, or because a cell of it is the part's file."""
    name = called.get(_plain(table.of(row, "name")))
    return name or next((called[key] for cell in row if (key := _plain(cell)) in called), None)


def _bought(table: _Table, row: Sequence[str]) -> Bought:
    name, said = table.of(row, "name")[:_LONGEST_NAME], table.of(row, "quantity")
    amount = _amount(said)
    notes = [] if amount else [said]
    notes += [each for each in table.all_of(row, "note") if each not in name]
    note = ", ".join(dict.fromkeys(notes))[:_LONGEST_NOTE]
    return Bought(name=name, quantity=min(amount or 1, _MOST), note=note)


def _amount(said: str) -> int | None:
    """A whole number of pieces; None for "1.5 m" and "some"."""
    found = _AMOUNT.fullmatch(said.strip().lower())
    return int(found[1]) if found else None


def _plain(words: str) -> str:
    return " ".join(re.sub(r"[^\w.#]+", " ", words.casefold()).split())
