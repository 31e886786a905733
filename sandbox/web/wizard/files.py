"""Take the files of a draft in: in parts by the tus protocol 1.0 (core and creation), or as a plain form.

What comes goes straight into its encrypted file; nothing of it is opened here. Before the terms are accepted, and
beyond what may be handed in, nothing is taken.

Assumes of its caller: the guard found that whoever asks may work on the draft.
"""

from __future__ import annotations

import base64
import binascii
from typing import cast

from flask import Blueprint, Response, abort, g, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from sandbox.records import drafts, parts, uploads
from sandbox.records.tables import DraftFile
from sandbox.web import identity as who
from sandbox.web import receiving
from sandbox.web.pages import ACTOR, service
from sandbox.web.security import SMALL_BODY_BYTES, require_token
from sandbox.web.wizard import forms
from sandbox.web.wizard.forms import lacking_terms
from sandbox.web.wizard.opening import opened

blueprint = Blueprint("wizard_files", __name__, url_prefix="/<lang:lang>/drafts/<draft_id>/files")

TUS = "1.0.0"
OFFSET_TYPE = "application/offset+octet-stream"


def _answer(status: int, **headers: str | int) -> Response:
    made = Response(status=status)
    made.headers["Tus-Resumable"] = TUS
    for name, value in headers.items():
        made.headers[name.replace("_", "-")] = str(value)
    return made


def _require_tus() -> None:
    if request.headers.get("Tus-Resumable") != TUS:
        abort(_answer(412, Tus_Version=TUS))


def _metadata() -> dict[str, str]:
    """Read `Upload-Metadata`: pairs of a key and its value in base64."""
    made = {}
    for pair in request.headers.get("Upload-Metadata", "").split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            made[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            abort(_answer(400))
    return made


def _make_room(draft_id: str, kind: str, name: str, size: int) -> DraftFile | None:
    if kind not in drafts.KINDS:
        abort(400)
    return drafts.add_file(
        service().database, service().settings, draft_id, kind=kind, name=name, size=size, actor=who.actor(ACTOR)
    )


@blueprint.post("")
def create(lang: str, draft_id: str) -> BaseResponse:
    """Make room for a file that will come in parts (tus creation); 413 where it would be too large."""
    require_token()
    _require_tus()
    whole = opened(draft_id)
    length = request.headers.get("Upload-Length", "")
    given = _metadata()
    if not length.isdecimal() or int(length) == 0:
        return _answer(400)
    if lacking_terms(whole.section("terms")):
        return _answer(403)
    made = _make_room(draft_id, given.get("kind", ""), given.get("filename", ""), int(length))
    if made is None:
        return _answer(413)
    place = url_for("wizard_files.part", lang=lang, draft_id=draft_id, file_id=made.id)
    return _answer(201, Location=place, Upload_Offset=0)


@blueprint.route("/<file_id>", methods=["HEAD", "PATCH"])
def part(lang: str, draft_id: str, file_id: str) -> BaseResponse:  # noqa: ARG001  # in the address
    """Tell how far a file is, or add the next part behind that (tus core)."""
    found = drafts.find_file(service().database, draft_id, file_id)
    if found is None:
        return _answer(404)
    if request.method == "HEAD":
        return _answer(200, Upload_Offset=found.received, Upload_Length=found.size, Cache_Control="no-store")
    require_token()
    _require_tus()
    opened(draft_id)
    if request.mimetype != OFFSET_TYPE:
        return _answer(415)
    if request.headers.get("Upload-Offset") != str(found.received):
        return _answer(409, Upload_Offset=found.received)
    request.max_content_length = found.size - found.received + 1
    try:
        now = drafts.receive(
            service().database, service().settings, found, cast("parts.Source", request.stream), actor=who.actor(ACTOR)
        )
    except (parts.Busy, FileNotFoundError):
        return _answer(423)
    return _answer(404) if now is None else _answer(204, Upload_Offset=now.received)


@blueprint.post("/send")
def send(lang: str, draft_id: str) -> BaseResponse:
    """Take one file from a plain form, for browsers without scripts."""
    whole = opened(draft_id)
    back = redirect(url_for("wizard.section", lang=lang, draft_id=draft_id, section="files"), 303)
    if lacking_terms(whole.section("terms")):
        return redirect(url_for("wizard.section", lang=lang, draft_id=draft_id, section="terms"), 303)
    receiving.expect()
    # The rest of a form is small, so that this bounds the file from above before a byte of it is kept.
    request.max_content_length = service().settings.upload_bytes + SMALL_BODY_BYTES
    require_token()
    sent, taken = request.files.get("file"), g.get("receiving")
    if sent is None or taken is None or taken.size == 0 or request.form.get("kind") not in drafts.KINDS:
        return redirect(f"{back.location}?wrong=none", 303)
    made = _make_room(draft_id, request.form["kind"], sent.filename or "", taken.size)
    if made is None:
        return redirect(f"{back.location}?wrong=large", 303)
    taken.keep()
    try:
        drafts.receive(service().database, service().settings, made, _Kept(taken.submission_id), actor=who.actor(ACTOR))
    finally:
        uploads.remove_upload(service().settings, taken.submission_id)
    return back


class _Kept:
    """Reads back an upload that came with a form."""

    def __init__(self, upload_id: str) -> None:
        self._pieces, self._waiting = uploads.read_upload(service().settings, upload_id), b""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; none at the end."""
        if not self._waiting:
            self._waiting = next(self._pieces, b"")
        given, self._waiting = self._waiting[:size], self._waiting[size:]
        return given


@blueprint.post("/written")
def written(lang: str, draft_id: str) -> BaseResponse:
    """Keep how the tables are written, and have them looked at once more where that changed."""
    require_token()
    whole, database = opened(draft_id), service().database
    if drafts.keep(database, draft_id, "files", forms.files(request.form), actor=who.actor(ACTOR)):
        for file in whole.files:
            if file.kind in drafts.TABLES and file.digest:
                drafts.ask(database, draft_id, kind="look", job_id=file.id)
    return redirect(url_for("wizard.section", lang=lang, draft_id=draft_id, section="files"), 303)


@blueprint.post("/<file_id>/remove")
def remove(lang: str, draft_id: str, file_id: str) -> BaseResponse:
    """Erase one file."""
    require_token()
    opened(draft_id)
    drafts.remove_file(service().database, service().settings, draft_id, file_id, actor=who.actor(ACTOR))
    return redirect(url_for("wizard.section", lang=lang, draft_id=draft_id, section="files"), 303)
