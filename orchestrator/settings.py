"""What an operator may set, from the command line or from COSMOLOCAL_… in the environment.

It never reads a secret: those are files in the data folder that only their owner can read.
"""

from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="COSMOLOCAL_", extra="ignore")

    data_dir: Path = Path("var")
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str | None = None
    """How agents and makers reach this server, if not by the address they used to enrol."""
    database: str | None = None
    """SQLAlchemy URL; an SQLite file in the data folder if left out."""
    broker: Literal["embedded", "external"] = "embedded"
    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = 1883
    mqtt_public_host: str | None = None
    """The broker's name as agents see it, if not `mqtt_host`."""

    drafts: Literal["anyone", "operator"] = "anyone"
    """Who may begin a draft and so publish: anyone, or only who has the operator's token."""

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite+aiosqlite:///{self.data_dir.resolve()}/cosmolocal.db"

    @property
    def blobs(self) -> Path:
        return self.data_dir / "blobs"

    @property
    def token_file(self) -> Path:
        return self.data_dir / "token"

    @property
    def keys_file(self) -> Path:
        return self.data_dir / "keys" / "tickets.json"

    @property
    def broker_dir(self) -> Path:
        return self.data_dir / "broker"

    @property
    def passwords_file(self) -> Path:
        return self.broker_dir / "passwd"

    @property
    def broker_secret_file(self) -> Path:
        return self.broker_dir / "orchestrator.secret"
