"""What the operator sets, from the environment, with a default for each; read once, at the edge."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

PREFIX = "AIACT_SANDBOX_"


def _state() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/aiact-sandbox")
    return Path(platformdirs.user_data_dir("aiact-sandbox"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings; each is also an environment variable `AIACT_SANDBOX_<NAME>`.

    Args:
        state: folder of all that is kept: database, quarantine, evidence, cell tree, MLflow.
        isolation: `auto`, `docker` or `bubblewrap`.
        policy: name of the default policy, a file in `checks/policies`.
        database_url: SQLAlchemy URL; empty for SQLite in `state`.
        mlflow_tracking_uri: where runs are logged; empty for SQLite in `state`. `MLFLOW_TRACKING_URI` is read too.
        docker_runtime: OCI runtime of the docker backend, as in `runsc`; empty for the engine's default.
        cell_image: name of the cell image, without tag.
        cell_base_image: base image that the cell image is built from.
        docker_build_network: network of image builds (`host` where the default has no way out); may be empty.
        retention_days: how long sealed evidence and uploads are kept.
        upload_bytes: largest upload.
        master_key_file: file of the key that wraps the keys of uploads and evidence; may be empty.
        worker_beside: 1 where the web service starts a worker beside itself, 0 where workers run elsewhere.
        log_format: `text`, or `json` for one JSON object per line.
        unpacked_bytes: largest size of an unpacked submission.
        listen: address and port of the web service.
        accounts: `off` for one person on this machine, who needs no sign-in and whom nobody else can reach; `local` for
            people who sign in. Without accounts the service listens on this machine alone.
    """

    state: Path = field(default_factory=_state)
    isolation: str = "auto"
    policy: str = "default"
    database_url: str = ""
    mlflow_tracking_uri: str = ""
    docker_runtime: str = ""
    cell_image: str = "aiact-sandbox-cell"
    cell_base_image: str = "python:3.11-slim-bookworm"
    docker_build_network: str = ""
    retention_days: int = 30
    upload_bytes: int = 512 * 1024**2
    unpacked_bytes: int = 2 * 1024**3
    master_key_file: str = ""
    worker_beside: int = 1
    log_format: str = "text"
    listen: str = "127.0.0.1:8080"
    accounts: str = "off"

    @classmethod
    def from_environment(cls, environment: dict[str, str] | None = None) -> Settings:
        """Read the settings from environment variables.

        Args:
            environment: variables to read instead of the process's own (for tests).

        Raises:
            ValueError: a variable that must be a number is none; names the variable.
        """
        env = dict(os.environ) if environment is None else environment
        values: dict[str, object] = {}
        for name, default in cls().as_dict().items():
            raw = env.get(PREFIX + name.upper())
            if raw is None:
                continue
            if isinstance(default, int):
                try:
                    values[name] = int(raw)
                except ValueError:
                    raise ValueError(f"{PREFIX}{name.upper()} must be a whole number, not {raw!r}") from None
            elif isinstance(default, Path):
                values[name] = Path(raw)
            else:
                values[name] = raw
        if "mlflow_tracking_uri" not in values and env.get("MLFLOW_TRACKING_URI"):
            values["mlflow_tracking_uri"] = env["MLFLOW_TRACKING_URI"]
        return cls(**values)  # type: ignore[arg-type]  # names and types come from the fields themselves

    def as_dict(self) -> dict[str, object]:
        """Give the settings by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in use."""
        return self.database_url or f"sqlite:///{self.state / 'sandbox.db'}"

    @property
    def tracking_uri(self) -> str:
        """The MLflow tracking URI in use."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.state / 'mlflow.db'}"
