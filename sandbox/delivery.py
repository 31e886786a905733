"""Write a dossier so that it is there whole or not at all, and hand its run to MLflow."""

from __future__ import annotations

import datetime as dt
import getpass
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from checks.finding import Figure
from model_cards import documents
from model_cards.dossier import Assessment, Dossier, ReceiptFacts, Run, Standing
from model_cards.exports import exports
from sandbox.errors import NotSigned, Refused
from sandbox.settings import Settings

LIBRARIES = ("fairlearn", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "shap", "statsmodels", "matplotlib")
"""Libraries that figures come from: their versions are part of the dossier."""


CARDS = frozenset({"markdown", "html", "pdf", "hugging_face"})
"""Exports that stand as model cards at the top of a dossier, not in its folder `exports`."""


@cache
def versions(rules: str) -> dict[str, str]:
    """Name the versions behind a dossier: this software, its libraries, Python and the rules of law."""
    named = {name: metadata.version(name) for name in ("aiact-sandbox", *LIBRARIES)}
    return {**named, "python": platform.python_version(), "rules": rules}


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One dossier on its way.

    Args:
        target: where it will stand.
        draft: where it is written until it is whole.
    """

    target: Path
    draft: Path

    def write(
        self,
        dossier: Dossier,
        figures: Sequence[Figure],
        *,
        languages: Sequence[str],
        attested_by: str,
        receipt: ReceiptFacts | None,
        intake: str,
        started: dt.datetime,
        seconds: Mapping[str, float],
        notes: Sequence[str] = (),
        who: str | None = None,
        standing: Standing | None = None,
    ) -> Assessment:
        """Write all files of the dossier into the draft.

        Args:
            dossier: as composed.
            figures: data of its figures.
            languages: of the documents.
            attested_by, receipt, intake, started, seconds, notes, who, standing: see `Run`.

        Returns:
            The assessment as documents see it.
        """
        run = Run(
            attested_by=attested_by,
            dossier_digest=dossier.digest,
            receipt=receipt,
            intake=intake,
            started=started.isoformat(timespec="seconds"),
            ended=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            seconds=dict(seconds),
            machine={"processor": platform.machine(), "system": platform.system(), "kernel": platform.release()},
            notes=tuple(notes),
            who=_user() if who is None else who,
            standing=standing,
        )
        assessment = Assessment(dossier=dossier, run=run, figures=tuple(figures))
        (self.draft / "dossier.json").write_bytes(dossier.to_json())
        (self.draft / "run.json").write_bytes(run.to_json())
        documents.write(assessment, self.draft, languages)
        self._export(assessment, languages[0])
        sums = [
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(self.draft).as_posix()}\n"
            for path in sorted(p for p in self.draft.rglob("*") if p.is_file())
        ]
        (self.draft / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
        return assessment

    def sign(self, settings: Settings) -> None:
        """Sign the dossier where the operator set a key, before anybody sees it.

        Raises:
            NotSigned: the key, or the authority for the time, cannot be reached.
        """
        if not settings.signing:
            return
        from sandbox import signing, timestamps
        from sandbox.keys.held import open_signer

        authority = settings.timestamp_authority
        try:
            signer = open_signer(settings.signing)
            signing.sign(self.draft, signer, stamp=timestamps.by(authority) if authority else None)
        except Refused as why:
            raise NotSigned(f"the dossier could not be signed: {why}") from why

    def _export(self, assessment: Assessment, lang: str) -> None:
        """Write what other programs read, once, in the first language."""
        folder = self.draft / "exports"
        folder.mkdir()
        for name, export in exports().items():
            if name not in CARDS:
                (folder / f"{name}{export.SUFFIX}").write_bytes(export.render(assessment, lang))

    def log(self, assessment: Assessment, settings: Settings) -> None:
        """Put the run in the outbox and let the one logger log it; a server that is down loses nothing."""
        from sandbox.records import mlflow_log

        mlflow_log.log_or_keep(assessment, self.target, settings)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@contextmanager
def deliver(target: Path) -> Iterator[Delivery]:
    """Give a draft folder that becomes the target when the block ends well, and vanishes when it does not.

    Args:
        target: must not exist, or be an empty folder.

    Raises:
        FileExistsError: the target holds something already.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} exists already and is not an empty folder; name another --out")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield Delivery(target=target, draft=draft)
        draft.chmod(0o755)
        if target.exists():
            target.rmdir()
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
