"""What can go wrong with a design, in the designer's words: what is wrong, where, and what to do.

It never carries a traceback or a path of this machine.

The tree::

    DesignRefused            the design (or file) cannot be taken; `findings` say why
    └── Refused              the same with exactly one finding: what, where, do
        ├── LimitExceeded    reading it would take more memory, time or size than is allowed
        └── ReaderCrashed    the reader itself broke; `detail` keeps what it said for the log
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Severity(StrEnum):
    NOTE = "note"  # worth knowing, nothing to do
    WARNING = "warning"  # can be made, may disappoint
    REFUSAL = "refusal"  # cannot be made


class Finding(BaseModel):
    """`picture` names one of the part's pictures, which shows the place; JSON leaves None out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity
    where: str
    what: str
    do: str
    picture: str | None = None

    @model_serializer(mode="wrap")
    def _plain(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain = handler(self)
        return plain if self.picture else {k: v for k, v in plain.items() if k != "picture"}

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.do}."


class DesignRefused(Exception):
    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(str(f) for f in self.findings))


class Refused(DesignRefused):
    def __init__(self, what: str, where: str, do: str) -> None:
        self.what, self.where, self.do = what, where, do
        super().__init__([Finding(severity=Severity.REFUSAL, where=where, what=what, do=do)])


class LimitExceeded(Refused):
    """Reading was stopped by a limit, not by the content's meaning."""


class ReaderCrashed(Refused):
    def __init__(self, what: str, where: str, do: str, detail: str = "") -> None:
        self.detail = detail
        super().__init__(what, where, do)
