"""Write and send mail: what happened and a link, in the language of whom it is for; nothing else of anybody.

Assumes of its caller: the server is the operator's. What is written into a header has no line break: the standard
library refuses one.
"""

from __future__ import annotations

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from sandbox.settings import Settings
from sandbox.web.words import DEFAULT_LANGUAGE, LANGUAGES, Pages

SECONDS = 20


class NotSent(Exception):
    """The mail was not taken."""


def message(settings: Settings, *, to: str, language: str, event: str, about: str, notice_id: str) -> EmailMessage:
    """Write a mail.

    Args:
        event: as in `submission.done`.
        about: id of the submission, or of the draft where the event is one of a draft.
        notice_id: names the mail, so that one that is sent twice can be told.

    Raises:
        NotSent: the address is none.
    """
    lang = language if language in LANGUAGES else DEFAULT_LANGUAGE
    words = Pages(lang)
    made = EmailMessage(policy=SMTP)
    key = event.replace(".", "_")
    try:
        made["From"] = Address(addr_spec=settings.mail_from)
        made["To"] = Address(addr_spec=to)
        made["Subject"] = words(f"mail.{key}.subject")
    except (ValueError, IndexError) as wrong:
        raise NotSent("that is no address for mail") from wrong
    made["Message-ID"] = f"<{notice_id}@{settings.mail_from.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made["Content-Language"] = lang
    place = "drafts" if event.startswith("draft.") else "submissions"
    link = f"{settings.public_address}/{lang}/{place}/{about}"
    made.set_content("\n\n".join((words(f"mail.{key}.text"), link, words("mail.why"), words.disclaimer)) + "\n")
    return made


def send(settings: Settings, made: EmailMessage, trusted: ssl.SSLContext | None = None) -> None:
    """Send a mail: encrypted, unless the operator allows it to be sent plainly.

    Raises:
        NotSent: the server is not there, takes no encryption, or does not take the mail.
    """
    host, _, port = settings.mail_server.rpartition(":")
    try:
        with smtplib.SMTP(host, int(port), timeout=SECONDS) as server:
            server.ehlo()
            if not settings.mail_plain:
                server.starttls(context=trusted or ssl.create_default_context())
                server.ehlo()
            if settings.mail_login:
                password = Path(settings.mail_password_file).read_text(encoding="utf-8").strip()
                server.login(settings.mail_login, password)
            server.send_message(made)
    except (OSError, smtplib.SMTPException, ValueError) as wrong:
        raise NotSent(type(wrong).__name__) from wrong
