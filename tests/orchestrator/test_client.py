"""What the maker's and operator's commands say, without a server of ours behind them."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.cli import main

ADD = ("labs", "add", "Nord", "--place", "41.39,2.19")


class Server:
    def __init__(self) -> None:
        self.url, self.headers = "", dict[str, str]()

    def __call__(self, _method: str, url: str, **request: Any) -> httpx.Response:
        self.url, self.headers = url, request["headers"]
        if "Authorization" not in self.headers:
            return httpx.Response(401, json={"detail": "no"})
        return httpx.Response(200, json={"lab": {"id": "lab-nord"}, "code": "c0de"})


def test_the_token_that_lies_here_goes_to_no_other_computer(
    server: "Server", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "var/token").write_text("secret")
    main([*ADD])
    assert server.headers["Authorization"] == "Bearer secret"
    for elsewhere in ("https://other.example", "http://127.0.0.1.evil.example:80"):
        main([*ADD, "--server", elsewhere])
        assert "Authorization" not in server.headers
    monkeypatch.setenv("COSMOLOCAL_TOKEN", "given")
    main([*ADD, "--server", "https://other.example"])
    assert server.headers["Authorization"] == "Bearer given"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(httpx, "request", made)
    monkeypatch.delenv("COSMOLOCAL_TOKEN", raising=False)
    return made


@pytest.mark.parametrize("last", [False, True])
def test_the_servers_options_may_stand_after_the_word(
    last: bool, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("secret\n")
    options = ("--server", "http://there", "--data-dir", str(tmp_path))
    words = (*ADD, *options) if last else ("labs", *options, *ADD[1:])
    assert main(list(words)) == 0
    assert server.url == "http://there/api/labs"
    assert server.headers == {"Authorization": "Bearer secret"}


def test_a_missing_token_is_said_with_the_place_where_it_lies(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ADD, "--data-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "the operator's token, which is missing" in said
    assert f"--data-dir (now {tmp_path})" in said
    assert server.headers == {}
