"""The requests that we make of OctoPrint, and their failures as errors of the bridge.

Each call is one request, asked once; nothing is retried here.
"""

from collections.abc import Mapping

import httpx

from firmware_bridge.drivers.octoprint import codec, quirks
from firmware_bridge.errors import LinkLost, Refused


class Server:
    """The requests we make, their failures as errors of the bridge."""

    def __init__(self, address: str, api_key: str) -> None:
        self._address = address
        self._api_key = api_key
        self._http = self._client()

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._address,
            headers={"X-Api-Key": self._api_key},
            timeout=quirks.REQUEST_S,
            trust_env=False,
        )

    def close(self) -> None:
        """Let go of the connections; the next request makes new ones."""
        self._http.close()
        self._http = self._client()

    def version(self) -> str:
        return codec.read(codec.Version, self._get("/api/version")).text

    def connection(self) -> codec.Connection:
        return codec.read(codec.Connection, self._get("/api/connection"))

    def job(self) -> codec.Job:
        return codec.read(codec.Job, self._get("/api/job"))

    def printer(self) -> codec.Printer:
        return codec.read(codec.Printer, self._get("/api/printer"))

    def file(self, name: str) -> codec.StoredFile | None:
        reply = self._send("GET", f"/api/files/local/{name}")
        if reply.status_code == 404:
            return None
        return codec.read(codec.StoredFile, self._good(reply).content)

    def upload(self, name: str, data: bytes) -> None:
        self._good(self._send("POST", "/api/files/local", file=(name, data)))

    def post(self, path: str, body: Mapping[str, object]) -> None:
        self._good(self._send("POST", path, body=body))

    def _get(self, path: str) -> bytes:
        return self._good(self._send("GET", path)).content

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        file: tuple[str, bytes] | None = None,
    ) -> httpx.Response:
        try:
            files = {"file": file} if file else None
            return self._http.request(method, path, json=body, files=files)
        except httpx.HTTPError as error:
            raise LinkLost(f"OctoPrint at {self._address} does not answer: {error}") from error

    def _good(self, reply: httpx.Response) -> httpx.Response:
        code = reply.status_code
        if code in (401, 403):
            raise Refused(f"OctoPrint at {self._address} refuses our API key; make it a new one")
        if code >= 500:
            raise LinkLost(f"OctoPrint at {self._address} is in trouble: HTTP {code}")
        if code >= 400:
            raise Refused(f"OctoPrint refused: {reply.text[:300].strip() or code}")
        return reply
