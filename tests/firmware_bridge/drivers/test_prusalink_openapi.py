"""PrusaLink's published interface, as far as we use it: what we ask is in it, what fits it we read.

The shapes below are written down from prusa3d/Prusa-Link-Web, spec/openapi.yaml, 1.0.0-draft
(commit 54a54b4); the file itself is not ours to ship.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from firmware_bridge.driver import Ended
from firmware_bridge.drivers.prusalink import codec
from firmware_bridge.serving.answers import read
from firmware_bridge.serving.http import Http

Serve = Callable[..., Any]


@dataclass(frozen=True)
class Object:
    required: Mapping[str, Any] = field(default_factory=dict[str, Any])
    optional: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Many:
    of: Any


STATES = (
    "IDLE",
    "BUSY",
    "PRINTING",
    "PAUSED",
    "FINISHED",
    "STOPPED",
    "ERROR",
    "ATTTENTION",
    "READY",
)
REFS = Object(optional={"download": str, "icon": str, "thumbnail": str})
FILE = Object(
    {"name": str, "read_only": bool, "type": ("PRINT_FILE",), "m_timestamp": int},
    {"size": int, "display_name": str, "refs": REFS},
)
VERSION = Object(
    {"api": str, "version": str, "printer": str, "text": str, "firmware": str},
    {"sdk": str, "capabilities": Object(optional={"upload-by-put": bool})},
)
TEMPERATURES = dict.fromkeys(("temp_nozzle", "target_nozzle", "temp_bed", "target_bed"), float)
POSITIONS = dict.fromkeys(("axis_x", "axis_y", "axis_z"), float)
COUNTS = dict.fromkeys(("flow", "speed", "fan_hotend", "fan_print"), int)
OK = Object(optional={"ok": bool, "message": str})
STATUS = Object(
    {
        "printer": Object(
            {"state": STATES},
            {**TEMPERATURES, **POSITIONS, **COUNTS, "status_printer": OK, "status_connect": OK},
        )
    },
    {
        "job": Object(
            {"id": int}, {"progress": float, "time_remaining": int, "time_printing": int}
        ),
        "storage": Object({"name": str, "path": str, "read_only": bool}, {"free_space": int}),
    },
)
JOB = Object(
    {"id": int, "state": ("PRINTING", "PAUSED", "FINISHED", "STOPPED", "ERROR"),
     "progress": float, "time_printing": int},
    {"time_remaining": int, "inaccurate_estimates": bool, "serial_print": bool,
     "file": Object({"name": str, "path": str, "m_timestamp": int},
                    {"display_name": str, "display_path": str, "size": int, "refs": REFS})},
)  # fmt: skip
STORAGES = Object(
    optional={
        "storage_list": Many(
            Object(
                {"available": bool, "path": str, "type": ("LOCAL", "SDCARD", "USB")},
                {"name": str, "free_space": int, "total_space": int, "read_only": bool},
            )
        )
    }
)
_FILE_PATH = r"/api/v1/files/[^/]+/.+"
_STATUSES = {"GET": {200, 401, 404}, "PUT": {201, 401, 404, 409}, "POST": {204, 401, 404, 409}}
# (method, path) → the shape of its 200, and the statuses that the document names.
PUBLISHED: Mapping[tuple[str, str], tuple[Object | None, set[int]]] = {
    ("GET", "/api/version"): (VERSION, {200, 401}),
    ("GET", "/api/v1/status"): (STATUS, {200, 401}),
    ("GET", "/api/v1/job"): (JOB, {200, 204, 401}),
    ("GET", "/api/v1/storage"): (STORAGES, {200, 401}),
    ("GET", _FILE_PATH): (FILE, _STATUSES["GET"]),
    ("PUT", _FILE_PATH): (None, _STATUSES["PUT"]),
    ("POST", _FILE_PATH): (None, _STATUSES["POST"]),
    ("PUT", r"/api/v1/job/\d+/pause"): (None, {204, 401, 404, 409}),
    ("PUT", r"/api/v1/job/\d+/resume"): (None, {204, 401, 404, 409}),
    ("DELETE", r"/api/v1/job/\d+"): (None, {204, 401, 404, 409}),
    # What an answer's refs.download points to; the document gives no shape for it.
    ("GET", "/usb/.+"): (None, {200, 401, 404}),
}


def fits(shape: Any, value: object, where: str = "") -> None:
    """Asserts that the value has this shape."""
    if isinstance(shape, Object):
        assert isinstance(value, dict), where
        for name in shape.required:
            assert name in value, f"{where}.{name} is required"
        for name, part in value.items():
            known = {**shape.required, **shape.optional}
            if name in known:
                fits(known[name], part, f"{where}.{name}")
    elif isinstance(shape, Many):
        assert isinstance(value, list), where
        for each in value:
            fits(shape.of, each, f"{where}[]")
    elif isinstance(shape, tuple):
        assert value in shape, f"{where} is {value!r}"
    else:
        kind = (int, float) if shape is float else shape
        assert isinstance(value, kind), f"{where} is {value!r}"


def made(shape: Any) -> SearchStrategy[Any]:
    """Values of this shape, with every choice of what is optional."""
    if isinstance(shape, Object):
        required = {name: made(part) for name, part in shape.required.items()}
        optional = {name: made(part) for name, part in shape.optional.items()}
        return st.fixed_dictionaries(required, optional=optional)
    if isinstance(shape, Many):
        return st.lists(made(shape.of), max_size=3)
    if isinstance(shape, tuple):
        return st.sampled_from(shape)
    plain: dict[Any, SearchStrategy[Any]] = {
        str: st.text(max_size=40),
        int: st.integers(0, 2**40),
        float: st.floats(0, 1e6),
        bool: st.booleans(),
    }
    return plain[shape]


SHAPES = {
    codec.Version: VERSION,
    codec.Storages: STORAGES,
    codec.StoredFile: FILE,
    codec.Job: JOB,
    codec.Status: STATUS,
}


@pytest.mark.parametrize("kind", SHAPES)
def test_whatever_fits_the_published_openapi_is_read(kind: Any) -> None:
    @given(made(SHAPES[kind]))
    def read_it(value: object) -> None:
        fits(SHAPES[kind], value)
        read(kind, json.dumps(value).encode(), "PrusaLink")

    read_it()


@given(made(STATUS), st.none() | made(JOB))
def test_every_published_state_can_be_looked_at(status: object, job: object) -> None:
    told = read(codec.Status, json.dumps(status).encode(), "PrusaLink")
    current = None if job is None else read(codec.Job, json.dumps(job).encode(), "PrusaLink")
    look = told.look(current)
    assert look.file == (None if current is None else current.name)
    assert all(value >= 0 for pair in look.heat.values() for value in pair)


def test_requests_and_answers_fit_the_published_openapi(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, str]] = []
    send = httpx.Client.send

    def check(client: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
        response = send(client, request, **how)
        method, path = request.method, request.url.path
        shape, statuses = next(
            found for (verb, rule), found in PUBLISHED.items()
            if verb == method and re.fullmatch(rule, path)
        )  # fmt: skip
        assert response.status_code in statuses, (method, path, response.status_code)
        if shape is not None and response.status_code == 200:
            fits(shape, json.loads(response.read()), path)
        heard.append((method, re.sub(r"\d+", "N", path)))
        return response

    server = serve("prusalink", speed=10)
    driver = server.driver()
    monkeypatch.setattr(httpx.Client, "send", check)
    monkeypatch.setattr(Http, "_body", lambda _self, answer, _limit: answer.read())
    driver.connect()
    run = driver.start(server.program(["G4 P200"] * 200))
    events = []
    for event in run.events():
        events.append(event)
        name = type(event).__name__
        {"Started": run.pause, "Paused": run.resume}.get(name, lambda: None)()
        if name == "Resumed":
            run.stop("enough")
    assert isinstance(events[-1], Ended)
    assert {method for method, _ in heard} == {"GET", "PUT", "POST", "DELETE"}
    assert sum(method == "POST" for method, _ in heard) == 1
