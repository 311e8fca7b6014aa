"""What does not fit is said in words: never in the validator's, always with the field and a way."""

import re
from typing import Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from designs import misfits


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    quantity: int = Field(ge=1, le=1000)


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    name: str = Field(min_length=2, max_length=5)
    parts: list[Part] = Field(min_length=1)
    due: AwareDatetime | None = None
    todo: Literal["stop", "return"] = "stop"
    length_mm: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    simulated: bool = False
    terms: str = Field(default="", pattern=r"^[^\x00-\x08]*$")
    version: str = Field(default="1", pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,39}$")
    most: int = Field(default=1, le=9)


GOOD = {"sha256": "a" * 64, "name": "Ona", "parts": [{"quantity": 1}]}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"sha256": "abc"}, "sha256: 'abc' has another form than it takes. Write a hash of 64"),
        ({"name": "x"}, "name: it has to have at least 2 characters."),
        ({"name": 7}, "name: 7 is not text. Give it in quotes."),
        ({"parts": [{"quantity": 1}, {"quantity": "two"}]},
         "parts 2, quantity: 'two' is not a whole number. Give a whole number."),
        ({"parts": [{"quantity": 0}]}, "quantity: 0 is out of bounds. Give a number from 1."),
        ({"parts": [{}]}, "parts 1, quantity: it is missing. Give it."),
        ({"parts": "hook"}, "parts: 'hook' is not a list."),
        ({"parts": []}, "parts: it has to have at least 1 entries."),
        ({"parts": ["hook"]}, "parts 1: 'hook' is not an object or table with named fields."),
        ({"due": "2026-11-30"}, "due: '2026-11-30' is not a time with its zone, such as"),
        ({"due": "2026-11-30T10:00:00"}, "is not a time with its zone, such as"),
        ({"todo": "eat"}, "todo: 'eat' is none of what it can be. Choose 'stop' or 'return'."),
        ({"length_mm": float("inf")}, "length_mm: inf is"),
        ({"simulated": "perhaps"}, "simulated: 'perhaps' is not true or false."),
        ({"terms": "a\x01"}, "has another form than it takes. Write it without control characters"),
        ({"version": "v 1"}, "has another form than it takes. Write a version such as 1.2.0."),
        ({"most": 10**400}, "most: a number of very many digits is out of bounds."),
        ({"colour": "red"}, "colour: nobody knows this field. Correct its name, or leave it out."),
    ],
)  # fmt: skip
def test_each_misfit_is_told_with_its_field_and_a_way_out(said: dict[str, object], words: str):
    with pytest.raises(ValidationError) as wrong:
        Order.model_validate(GOOD | said)
    (finding,) = misfits.told(wrong.value.errors(), whole="the order")
    assert words in str(finding)
    raw = wrong.value.errors()[0]["msg"]
    assert raw not in str(finding)
    assert not re.search(r"Input|should|valid|pattern|\^", str(finding))


def test_at_most_twenty_are_told_and_the_whole_has_a_name():
    with pytest.raises(ValidationError) as wrong:
        Order.model_validate(GOOD | {f"x{number}": 1 for number in range(50)})
    assert len(misfits.told(wrong.value.errors(), whole="the order")) == 20
    with pytest.raises(ValidationError) as wrong:
        Order.model_validate_json("{")
    assert str(misfits.told(wrong.value.errors(), whole="the order")[0]).startswith("the order: ")


def test_a_request_without_a_body_says_what_to_send():
    nothing = {"type": "missing", "loc": ("body",), "input": None}
    (finding,) = misfits.told([nothing], whole="the request", without=1)
    assert str(finding) == "the request: it is empty. Send one JSON object, such as {}."


def test_what_is_sent_as_something_else_says_how_to_send_it():
    text = {"type": "model_attributes_type", "loc": ("body",), "input": b"{}", "msg": "no object"}
    file = {"type": "value_error", "loc": ("body", "files", 0), "input": "x",
            "msg": "Value error, Expected UploadFile, received: <class 'str'>"}  # fmt: skip
    (body, upload) = misfits.told([text, file], whole="the request", without=1)
    assert "Content-Type: application/json" in body.do
    assert (upload.where, upload.what) == ("files 1", "it is sent as text")
