"""What the operator sets, from the environment, with a default for each; read once, at the edge."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from sandbox.errors import CannotStart

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
        isolation: `auto`, `docker`, `bubblewrap` or `podman` (for an ordinary user).
        policy: name of the default policy, a file in `checks/policies`.
        database_url: SQLAlchemy URL; empty for SQLite in `state`.
        files: where uploads, evidence and dossiers are kept: `s3://bucket/prefix`, by the usual variables of AWS
            (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, ...); empty for `state`. Keys and drafts stay in `state`.
        residency: where all this is kept and processed, as in `Groningen, NL`; printed on each card.
        mlflow_tracking_uri: where runs are logged; empty for SQLite in `state`. `MLFLOW_TRACKING_URI` is read too.
        podman_socket: URL of rootless podman's Docker-compatible socket; empty for the user's own, under
            `XDG_RUNTIME_DIR`.
        mlflow_credential_file: file with `name:password` of the tracking server's one account; empty where it has none.
        docker_runtime: OCI runtime of the docker backend, as in `runsc`; empty for the engine's default.
        cell_image: name of the cell image, without tag.
        cell_base_image: base image that the cell image is built from.
        package_index: the one index that the packages of models come from: the address of its simple pages; empty for
            what `UV_DEFAULT_INDEX`, `UV_INDEX_URL` or `PIP_INDEX_URL` names, else the public one.
        package_files: where that index keeps its files, if elsewhere; addresses with commas between.
        package_names: the packages that a model may ask for, with commas between; empty for any.
        package_sources: 1 where packages may be built from source, which runs their code in the builder's cell.
        package_days: after how many days packages of models that no run has used are removed; 0 keeps them.
        docker_build_network: network of image builds (`host` where the default has no way out); may be empty.
        noise_budget: the most that epsilon of noisy public packages about the same data may add up to; 0 for no such
            packages.
        retention_days: how long sealed evidence and uploads are kept.
        upload_bytes: largest upload.
        master_key_file: file of the key that wraps the keys of uploads and evidence, or `pkcs11:...` for an AES key in
            a token; empty for none, or for the one in `AIACT_SANDBOX_MASTER_KEY`.
        audit_mail: addresses, with commas between, that the head of the audit log is mailed to each day.
        signing: the key that each dossier is signed with: a PEM file, `pkcs11:...` in a token, or `unix:` and the
            socket of a signing process; empty for dossiers that are not signed.
        timestamp_authority: address that stamps signatures with the time (RFC 3161); empty for none.
        scratch: folder of this machine alone, for what is unpacked and for cells; empty for `state`. Set it wherever
            machines share `state`.
        scheduler: where assessments run on a cluster: the `tls://` address of a Dask scheduler, or `slurm` to start
            jobs there; empty for this machine.
        scheduler_tls: folder with `ca.pem`, `certificate.pem` and `key.pem`, by which scheduler, workers and service
            know each other; an authority of its own, that signs nothing else.
        scheduler_at_once: assessments on the cluster at once, and the most Slurm jobs.
        scheduler_spread_seconds: how long its own cells must still need for an assessment on the cluster to ask idle
            workers for theirs, by what its model has taken so far; 0 for never.
        worker_beside: 1 where the web service starts a worker beside itself, 0 where workers run elsewhere.
        log_format: `text`, or `json` for one JSON object per line.
        traces: address of an OpenTelemetry collector (OTLP over HTTP, as in `http://collector:4318/v1/traces`) that is
            told how long requests and stages take, and nothing about anybody; empty for none.
        unpacked_bytes: largest size of an unpacked submission.
        listen: address and port of the web service.
        accounts: `off` for one person on this machine, who needs no sign-in and whom nobody else can reach; `local` for
            people who sign in with a password, `oidc` for people who sign in with a provider, `local+oidc` for both.
            Without accounts the service listens on this machine alone.
        address: how people reach the service, as in `https://sandbox.example.org`; for links in mail and for the way
            back from a provider. Empty for `http://` and `listen`.
        oidc_issuer: the OpenID Connect provider, exactly as it names itself.
        oidc_client: our name there.
        oidc_secret: our secret there; empty for a public client.
        oidc_secret_file: the file that holds it, instead.
        oidc_private: 1 where the provider may be inside this network, and may be reached without encryption.
        registration: 1 where people may register an organisation themselves.
        budget_cells: submissions that an organisation without a figure of its own may have waiting or running at once;
            0 for no limit, here and below.
        budget_running: submissions that an organisation without a figure of its own may have running at once; the
            others wait.
        budget_cpu_seconds: processor time of its cells in a calendar month (UTC).
        budget_builds: its models with packages of their own in a calendar month.
        budget_bytes: bytes of uploads it may have stored.
        mail_server: `host:port` of the SMTP server that takes our mail; empty for no mail.
        mail_from: the address it is sent from.
        mail_login: our account there; empty where it asks for none.
        mail_password_file: the file with its password.
        mail_plain: 1 where mail may go to that server without encryption.
    """

    state: Path = field(default_factory=_state)
    isolation: str = "auto"
    policy: str = "default"
    database_url: str = ""
    files: str = ""
    residency: str = ""
    mlflow_tracking_uri: str = ""
    podman_socket: str = ""
    mlflow_credential_file: str = ""
    docker_runtime: str = ""
    cell_image: str = "aiact-sandbox-cell"
    cell_base_image: str = (
        "python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b"
    )
    docker_build_network: str = ""
    package_index: str = ""
    package_files: str = ""
    package_names: str = ""
    package_sources: int = 0
    package_days: int = 30
    noise_budget: float = 1.0
    retention_days: int = 30
    upload_bytes: int = 512 * 1024**2
    unpacked_bytes: int = 2 * 1024**3
    master_key_file: str = ""
    audit_mail: str = ""
    signing: str = ""
    timestamp_authority: str = ""
    scratch: str = ""
    scheduler: str = ""
    scheduler_tls: str = ""
    scheduler_at_once: int = 8
    scheduler_spread_seconds: int = 60
    worker_beside: int = 1
    log_format: str = "text"
    traces: str = ""
    listen: str = "127.0.0.1:8080"
    accounts: str = "off"
    address: str = ""
    oidc_issuer: str = ""
    oidc_client: str = ""
    oidc_secret: str = field(default="", repr=False)
    oidc_secret_file: str = ""
    oidc_private: int = 0
    registration: int = 0
    budget_cells: int = 0
    budget_running: int = 0
    budget_cpu_seconds: int = 0
    budget_builds: int = 0
    budget_bytes: int = 0
    mail_server: str = ""
    mail_from: str = ""
    mail_login: str = ""
    mail_password_file: str = ""
    mail_plain: int = 0

    @classmethod
    def from_environment(cls, environment: dict[str, str] | None = None) -> Settings:
        """Read the settings from environment variables.

        Args:
            environment: variables to read instead of the process's own (for tests).

        Raises:
            CannotStart: a variable that must be a number is none; names the variable.
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
                    raise CannotStart(f"{PREFIX}{name.upper()} must be a whole number, not {raw!r}") from None
            elif isinstance(default, float):
                try:
                    values[name] = float(raw)
                except ValueError:
                    raise CannotStart(f"{PREFIX}{name.upper()} must be a number, not {raw!r}") from None
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
    def local(self) -> Path:
        """The folder of this machine alone."""
        return Path(self.scratch) if self.scratch else self.state

    @property
    def public_address(self) -> str:
        """How people reach the service, without a slash at the end."""
        return (self.address or f"http://{self.listen}").rstrip("/")

    @property
    def tracking_uri(self) -> str:
        """The MLflow tracking URI in use."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.state / 'mlflow.db'}"
