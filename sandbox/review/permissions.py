"""Say who may do what: roles, what each may, and what each address of the service asks for.

Assumes of its caller: `sandbox.web.identity` asks here before every request, and refuses an address that is
not in `ROUTES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a person is in one organisation; one person may be several things, and other things elsewhere."""

    SUBMITTER = "submitter"
    OWNER = "owner"
    REVIEWER = "reviewer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"
    MEMBER = "member"


class Permission(StrEnum):
    """What can be allowed in one organisation."""

    SUBMIT = "submit"
    CONTRIBUTE = "contribute"
    """Fill in and confirm the sections of a draft that are assigned to them; whoever may submit fills in any."""
    READ = "read"
    CANCEL = "cancel"
    COMMENT = "comment"
    REVIEW = "review"
    SEE_MEMBERS = "see_members"
    MANAGE_MEMBERS = "manage_members"
    MANAGE_WEBHOOKS = "manage_webhooks"


ROLES: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.SUBMITTER: frozenset(
        {Permission.SUBMIT, Permission.CONTRIBUTE, Permission.READ, Permission.CANCEL, Permission.COMMENT}
    ),
    Role.OWNER: frozenset(
        {
            Permission.SUBMIT,
            Permission.CONTRIBUTE,
            Permission.READ,
            Permission.CANCEL,
            Permission.COMMENT,
            Permission.SEE_MEMBERS,
            Permission.MANAGE_MEMBERS,
            Permission.MANAGE_WEBHOOKS,
        }
    ),
    Role.REVIEWER: frozenset({Permission.READ, Permission.COMMENT, Permission.REVIEW}),
    Role.AUDITOR: frozenset({Permission.READ, Permission.SEE_MEMBERS}),
    Role.ADMINISTRATOR: frozenset({Permission.SEE_MEMBERS, Permission.MANAGE_MEMBERS, Permission.MANAGE_WEBHOOKS}),
    Role.MEMBER: frozenset({Permission.CONTRIBUTE}),
}
"""What each role may in its organisation. An administrator manages people and does not read what they hand in; a member
sees the drafts in which a section is assigned to them, and nothing else."""


class Access(StrEnum):
    """What an address asks of whoever calls it, where it asks for no permission."""

    ANYONE = "anyone"
    STRANGER_WITH_ACCOUNTS = "stranger_with_accounts"
    """Anyone, but only on a service that has accounts: the page to sign in."""
    PERSON = "person"
    """Somebody who is signed in, on a service that has accounts."""


ROUTES: Final[Mapping[str, Access | Permission]] = {
    "static": Access.ANYONE,
    "health.alive": Access.ANYONE,
    "health.ready": Access.ANYONE,
    "health.metrics": Access.ANYONE,
    "pages.root": Access.ANYONE,
    "pages.start": Access.ANYONE,
    "pages.submissions": Permission.READ,
    "pages.portfolio": Permission.READ,
    "pages.submit": Permission.SUBMIT,
    "pages.submission": Permission.READ,
    "pages.events": Permission.READ,
    "pages.cancel": Permission.CANCEL,
    "pages.report": Permission.READ,
    "pages.law": Permission.READ,
    "pages.card": Permission.READ,
    "pages.file": Permission.READ,
    "pages.dossier": Permission.READ,
    "pages.compare": Permission.READ,
    "pages.comparison": Permission.READ,
    "accounts.sign_in": Access.STRANGER_WITH_ACCOUNTS,
    "accounts.enter": Access.STRANGER_WITH_ACCOUNTS,
    "accounts.go_elsewhere": Access.STRANGER_WITH_ACCOUNTS,
    "accounts.come_back": Access.STRANGER_WITH_ACCOUNTS,
    "accounts.leave_elsewhere": Access.STRANGER_WITH_ACCOUNTS,
    "accounts.registration": Access.STRANGER_WITH_ACCOUNTS,
    "accounts.register": Access.STRANGER_WITH_ACCOUNTS,
    "accounts.sign_out": Access.PERSON,
    "accounts.change_contact": Access.PERSON,
    "accounts.organisation": Permission.SEE_MEMBERS,
    "accounts.add_webhook": Permission.MANAGE_WEBHOOKS,
    "accounts.try_webhook": Permission.MANAGE_WEBHOOKS,
    "accounts.remove_webhook": Permission.MANAGE_WEBHOOKS,
    "accounts.account": Access.PERSON,
    "accounts.change_password": Access.PERSON,
    "accounts.make_token": Access.PERSON,
    "accounts.end_token": Access.PERSON,
    "accounts.people": Permission.SEE_MEMBERS,
    "accounts.add_member": Permission.MANAGE_MEMBERS,
    "accounts.remove_member": Permission.MANAGE_MEMBERS,
    "review.queue": Permission.REVIEW,
    "review.desk": Permission.READ,
    "review.comment": Permission.COMMENT,
    "review.ask": Permission.REVIEW,
    "review.answer": Permission.COMMENT,
    "review.assign": Permission.REVIEW,
    "review.relieve": Permission.REVIEW,
    "review.holdout": Permission.REVIEW,
    "review.judge": Permission.REVIEW,
    "review.decide": Permission.REVIEW,
    "questions.begin": Access.ANYONE,
    "questions.organisation": Access.ANYONE,
    "questions.block": Access.ANYONE,
    "questions.answer": Access.ANYONE,
    "questions.result": Access.ANYONE,
    "questions.download": Access.ANYONE,
    "questions.forget": Access.ANYONE,
    "wizard.listing": Permission.CONTRIBUTE,
    "wizard.begin": Permission.SUBMIT,
    "wizard.again": Permission.SUBMIT,
    "wizard.overview": Permission.CONTRIBUTE,
    "wizard.section": Permission.CONTRIBUTE,
    "wizard.keep": Permission.CONTRIBUTE,
    "wizard.confirm": Permission.CONTRIBUTE,
    "wizard.assign": Permission.SUBMIT,
    "wizard.check": Permission.SUBMIT,
    "wizard.ask_check": Permission.SUBMIT,
    "wizard.look": Permission.CONTRIBUTE,
    "wizard.download": Permission.SUBMIT,
    "wizard.submit": Permission.SUBMIT,
    "wizard.forget": Permission.SUBMIT,
    "wizard_files.create": Permission.CONTRIBUTE,
    "wizard_files.part": Permission.CONTRIBUTE,
    "wizard_files.send": Permission.CONTRIBUTE,
    "wizard_files.written": Permission.CONTRIBUTE,
    "wizard_files.remove": Permission.CONTRIBUTE,
    "draft_questions.begin": Permission.CONTRIBUTE,
    "draft_questions.organisation": Permission.CONTRIBUTE,
    "draft_questions.block": Permission.CONTRIBUTE,
    "draft_questions.answer": Permission.CONTRIBUTE,
    "draft_questions.result": Permission.CONTRIBUTE,
    "draft_questions.download": Permission.CONTRIBUTE,
    "draft_questions.forget": Permission.CONTRIBUTE,
    "mlflow.home": Permission.READ,
    "mlflow.read": Permission.READ,
    "api.openapi": Access.ANYONE,
    "api.submissions": Permission.READ,
    "api.submit": Permission.SUBMIT,
    "api.submission": Permission.READ,
    "api.cancel": Permission.CANCEL,
    "api.dossier": Permission.READ,
    "api.events": Permission.READ,
    "api.files": Permission.READ,
    "api.file": Permission.READ,
    "api.review": Permission.READ,
    "api.webhooks": Permission.MANAGE_WEBHOOKS,
    "api.add_webhook": Permission.MANAGE_WEBHOOKS,
    "api.remove_webhook": Permission.MANAGE_WEBHOOKS,
}
"""What each endpoint asks for. With `submission_id`, `draft_id` or `organisation_id` in its address the permission must
be held in that organisation; without, in any, and the view shows no other. To `CONTRIBUTE` to a draft without the
permission to submit, a section of it must be assigned to them: they read the draft and change that section alone. What
is not here answers nobody."""

SECTION_OF: Final[Mapping[str, str]] = {
    "wizard.look": "columns",
    "wizard_files": "files",
    "draft_questions": "questionnaire",
}
"""The section of a draft that an endpoint, or all of a blueprint, changes where its address does not name it."""

SCOPES: Final[Mapping[str, frozenset[Permission]]] = {
    "read": frozenset({Permission.READ}),
    "submit": frozenset({Permission.READ, Permission.SUBMIT, Permission.CANCEL}),
    "webhooks": frozenset({Permission.MANAGE_WEBHOOKS}),
}
"""What a token of each scope may at most; what its person may not, it may not either."""


def allowed(roles: frozenset[Role]) -> frozenset[Permission]:
    """Give what somebody with these roles in an organisation may do there."""
    return frozenset[Permission]().union(*(ROLES[role] for role in roles))
