"""Puts a submission together as a browser does, page by page."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sandbox.drafting import writing

TERMS = {
    "personal_data": "yes",
    "basis": "public_task",
    "retention_days": "12",
    "origin": "own records",
    "accept": writing.TERMS_VERSION,
}
SYSTEM = {
    "name": "Loan advice",
    "version": "2",
    "intended_purpose": "Advises a clerk on small loans.",
    "provider_name": "Example BV",
    "provider_country": "nl",
    "roles": ["provider"],
    "public_body": "no",
    "route": "predictions",
}
HOSTILE = "<img src=x onerror=alert(1)>\u202e.csv"


class Wizard:
    """One draft as a browser works on it."""

    def __init__(self, client: FlaskClient, lang: str = "en", draft: str = "") -> None:
        """Begin a draft, or work on one that is there."""
        self.client, self.lang, self.id = client, lang, draft
        page = client.get(f"/{lang}/drafts/{draft}/terms" if draft else f"/{lang}/drafts")
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found is not None
        self.token = found[1]
        if draft:
            return
        answer = client.post(f"/{lang}/drafts", data={"csrf": self.token})
        assert answer.status_code == 303
        self.id = answer.location.split("/")[-2]

    def at(self, path: str = "") -> str:
        return f"/{self.lang}/drafts/{self.id}{path}"

    def see(self, section: str) -> str:
        answer = self.client.get(self.at(f"/{section}".rstrip("/")))
        assert answer.status_code == 200, answer.location
        return answer.text

    def keep(self, section: str, given: Mapping[str, Any]) -> TestResponse:
        return self.client.post(self.at(f"/{section}"), data={"csrf": self.token, **given})

    def do(self, path: str, **given: str) -> TestResponse:
        return self.client.post(self.at(path), data={"csrf": self.token, **given})

    def tus(self, method: str, path: str, body: bytes = b"", **headers: str) -> TestResponse:
        given = {"Tus-Resumable": "1.0.0", "X-CSRF-Token": self.token}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(path, method=method, data=body, headers=given)

    def create(self, kind: str, name: str, size: int) -> TestResponse:
        named = {"filename": name, "kind": kind}
        meta = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in named.items())
        return self.tus("POST", self.at("/files"), Upload_Length=str(size), Upload_Metadata=meta)

    def patch(self, place: str, offset: int, body: bytes) -> TestResponse:
        return self.tus("PATCH", place, body, Upload_Offset=str(offset), Content_Type="application/offset+octet-stream")

    def upload(self, kind: str, name: str, content: bytes) -> str:
        place = self.create(kind, name, len(content)).location
        assert self.patch(place, 0, content).status_code == 204
        return place


def answer_all(wizard: Wizard) -> None:
    onward = wizard.client.get(wizard.at("/questions")).location
    for _ in range(60):
        if onward.endswith("/result"):
            return
        page = wizard.client.get(onward).text
        asked = re.findall(r'name="on_page" value="([^"]+)"', page)
        given = {}
        for question in asked:
            options = re.findall(rf'name="{question}" value="([^"]+)"', page)
            given[question] = "unknown" if "unknown" in options else options[-1]
        onward = wizard.client.post(onward, data={"csrf": wizard.token, "on_page": asked, **given}).location
    raise AssertionError("the questionnaire did not end")
