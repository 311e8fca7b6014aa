"""What is wrong in a file that a person wrote: each fault in one plain line, with its key.

It tells a model's findings in words; it reads no file and knows no key by itself.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

SLUG: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
CODE: Final = r"^[GMT](0|[1-9][0-9]{0,3})(\.[1-9])?$"
_FORMS: Final = {
    SLUG: 'takes small letters, digits, "-" and "_"',
    CODE: "takes codes such as G1, M104 or G38.2, without leading zeros",
}
_WORDS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], str]]] = {
    **dict.fromkeys(
        ("float_type", "float_parsing", "int_type", "int_parsing", "int_from_float"),
        lambda given, _: f"wants a number{_without_quotes(given)}, not {given!r}",
    ),
    **dict.fromkeys(
        ("bool_type", "bool_parsing"),
        lambda given, _: f"wants true or false{_without_quotes(given)}, not {given!r}",
    ),
    "missing": lambda *_: "is missing",
    "string_type": lambda *_: "wants words in quotes",
    "tuple_type": lambda *_: "wants a list, such as [0, 0]",
    "frozen_set_type": lambda *_: 'wants a list, such as ["G0", "G1"]',
    "too_long": lambda _, told: f"has too many values; {told['max_length']} are right",
    "model_type": lambda *_: "wants a table of its own, with its keys below it",
    "dict_type": lambda *_: "wants a table of its own, with its keys below it",
    "literal_error": lambda given, told: f"{given!r} is none of {told['expected']}",
    "greater_than": lambda given, told: f"must be more than {told['gt']:g}, not {given}",
    "greater_than_equal": lambda given, told: f"must be at least {told['ge']:g}, not {given}",
    "less_than_equal": lambda given, told: f"must be at most {told['le']:g}, not {given}",
    "finite_number": lambda *_: "must be a finite number",
    "string_pattern_mismatch": lambda given, told: _formed(given, told["pattern"]),
}


def faults(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """Every fault; `model` is what the whole file should have been."""
    for fault in error.errors():
        place, kind = _place(fault["loc"]), fault["type"]
        if kind == "extra_forbidden":
            yield f"{place}: nobody knows this key{_meant(fault['loc'], model)}"
        elif kind in _WORDS:
            yield f"{place}: {_WORDS[kind](fault['input'], fault.get('ctx', {}))}"
        else:
            yield f"{place}: {fault['msg'].removeprefix('Value error, ')}"


def _formed(given: object, pattern: str) -> str:
    return f"{given!r} is not right; it {_FORMS.get(pattern, f'must look like {pattern}')}"


def _without_quotes(given: object) -> str:
    return " without quotes" if isinstance(given, str) else ""


def _place(loc: tuple[int | str, ...]) -> str:
    """`("machine", 1, "baud")` → `machine 2, baud`: people count from one."""
    words: list[str] = []
    for step in loc:
        if isinstance(step, int):
            words[-1] = f"{words[-1]} {step + 1}"
        else:
            words.append(step)
    return ", ".join(words) or "the whole file"


def _meant(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    *tables, name = (step for step in loc if isinstance(step, str))
    known = _known(tables, model)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _known(tables: Sequence[str], model: type[BaseModel]) -> list[str]:
    """The keys of the innermost table; a name of the shop's own (a material) is no key."""
    for name in tables:
        field = model.model_fields.get(name)
        model = (field and _model_in(field.annotation)) or model
    return list(model.model_fields)


def _model_in(kind: Any) -> type[BaseModel] | None:  # noqa: ANN401
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next(filter(None, map(_model_in, get_args(kind))), None)
