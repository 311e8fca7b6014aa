"""What does not fit a record, in words: what is wrong, at which field, what to write instead.

It tells what pydantic found in what a person or a program sent; it reads nothing and fixes nothing.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from designs.errors import Finding, Severity

_LONGEST: Final = 60
_MOST: Final = 20
_FORMS: Final = (
    # (what matches its pattern, what does not, what it is); the first that fits
    ("So it is: fine!", "\x00", "it without control characters"),
    ("a" * 64, "a" * 63, "a hash of 64 digits from 0 to f, such as 3f7a…"),
    ("a" * 32, "a" * 31, "a number of 32 digits from 0 to f"),
    ("EUR", "EURO", "three capital letters, such as EUR"),
    ("nord/printer-1", "nord", "two names with a slash between them, such as nord/printer-1"),
    ("folder/hook.stl", "/", "a plain path below the design's folder, such as folder/hook.stl"),
    ("1.2.0-rc.1", "1 2", "a version such as 1.2.0"),
    ("coat-hook_2", "Coat", 'small letters, digits, "-" and "_", such as coat-hook'),
    ("a_b2", "a-b", 'small letters, digits and "_"'),
)
_Words = Callable[[str, Mapping[str, Any]], tuple[str, str]]


def _wants(what: str) -> _Words:
    return lambda given, _: (f"{given} is not {what}", f"give {what}")


def _bound(than: str, name: str) -> _Words:
    return lambda given, told: (
        f"{given} is out of bounds",
        f"give a number {than} {told[name]:g}",
    )


def _counted(words: str, name: str) -> _Words:
    return lambda _, told: (f"it has to have {words.format(told[name])}", "write it so")


def _formed(given: str, told: Mapping[str, Any]) -> tuple[str, str]:
    pattern = re.compile(str(told["pattern"]))
    fitting = (
        form
        for sample, counter, form in _FORMS
        if pattern.search(sample) and not pattern.search(counter)
    )
    form = next(fitting, "letters and digits")
    return f"{given} has another form than it takes", f"write {form}"


def _chosen(given: str, told: Mapping[str, Any]) -> tuple[str, str]:
    return f"{given} is none of what it can be", f"choose {told['expected']}"


def _own(_: str, told: Mapping[str, Any]) -> tuple[str, str]:
    """What a model of ours says by itself: what is wrong, and after a colon what to do."""
    what, _, do = str(told.get("error", "it does not fit")).partition(": ")
    return what, do or "correct it"


_JSON: Final = "it is no JSON that can be read", "send one JSON object, in UTF-8"
_NO_JSON: Final = "it is not sent as JSON", "send the header Content-Type: application/json"
_NO_FILE: Final = "Expected UploadFile, received: <class 'str'>"
_A_FILE: Final = "it is sent as text", "send it as a file, with a name, in multipart/form-data"
_EMPTY: Final = ("it is empty", "send one JSON object, such as {}")
_TABLE: Final = _wants("an object or table with named fields")
_TIME: Final = _wants("a time with its zone, such as 2026-11-30T14:00:00Z")
_KINDS: Final[Sequence[tuple[str, _Words]]] = (
    # (how the kinds of error begin, their words); the first that fits
    ("missing", lambda *_: ("it is missing", "give it")),
    (
        "extra_forbidden",
        lambda *_: ("nobody knows this field", "correct its name, or leave it out"),
    ),
    ("string_pattern_mismatch", _formed),
    ("string_too_long", _counted("at most {} characters", "max_length")),
    ("string_too_short", _counted("at least {} characters", "min_length")),
    ("string_", lambda given, _: (f"{given} is not text", "give it in quotes")),
    ("int_", _wants("a whole number")),
    ("float_", _wants("a number")),
    ("decimal_", _wants("a number")),
    ("finite_number", _wants("a finite number")),
    ("bool_", _wants("true or false")),
    ("greater_than_equal", _bound("from", "ge")),
    ("greater_than", _bound("above", "gt")),
    ("less_than_equal", _bound("up to", "le")),
    ("less_than", _bound("below", "lt")),
    ("literal_error", _chosen),
    ("enum", _chosen),
    ("too_long", _counted("at most {} entries", "max_length")),
    ("too_short", _counted("at least {} entries", "min_length")),
    ("json_", lambda *_: _JSON),
    ("timezone_", _TIME),
    ("datetime_", _TIME),
    ("date_", _wants("a date, such as 2026-11-30")),
    ("value_error", _own),
    ("assertion_error", _own),
    *((kind, _wants("a list")) for kind in ("list_", "tuple_", "set_", "frozen_set_")),
    *((kind, _TABLE) for kind in ("dict_", "model_", "mapping_", "dataclass_")),
)


def told(errors: Iterable[Mapping[str, Any]], *, whole: str, without: int = 0) -> list[Finding]:
    """One refusal for each of a pydantic error's `errors()`, at most 20 of them.

    `whole` names what does not fit as such; so many steps `without` a place go before each field.
    """
    return [
        Finding(
            severity=Severity.REFUSAL,
            where=where or whole,
            what=what,
            do=do[:1].upper() + do[1:],
        )
        for each in list(errors)[:_MOST]
        for where in (place(each["loc"][without:]),)
        for what, do in (_EMPTY if each["type"] == "missing" and not where else words(each),)
    ]


def words(error: Mapping[str, Any]) -> tuple[str, str]:
    """(what is wrong, what to do) of one error."""
    kind, given = str(error["type"]), _shown(error.get("input"))
    if isinstance(error.get("input"), bytes):
        return _NO_JSON
    if str(error.get("msg", "")).endswith(_NO_FILE):
        return _A_FILE
    say = next((say for start, say in _KINDS if kind.startswith(start)), None)
    return say(given, error.get("ctx", {})) if say else (f"{given} does not fit", "correct it")


def place(loc: Iterable[int | str]) -> str:
    """`("parts", 1, "quantity")` → `parts 2, quantity`: people count from one."""
    steps: list[str] = []
    for step in loc:
        if isinstance(step, int) and steps:
            steps[-1] += f" {step + 1}"
        elif isinstance(step, str) and re.fullmatch(r"[^\[\](){}]+", step):
            steps.append(step[:_LONGEST])
    return ", ".join(steps)


def _shown(given: object) -> str:
    """What was given, on one line and short."""
    if given is None:
        return "nothing"
    if isinstance(given, (dict, list, tuple)):
        return "a list" if not isinstance(given, dict) else "an object"
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, int) and given.bit_length() > _LONGEST * 3:
        return "a number of very many digits"
    if isinstance(given, (int, float)):
        return str(given)
    said = " ".join(str(given).split())
    return f"{said[:_LONGEST]!r}{'…' if len(said) > _LONGEST else ''}" if said else "an empty text"
