"""The pages of people: signing in and out, one's own account and tokens, and the people of an organisation."""

from __future__ import annotations

import logging
import re
from typing import Any, cast

from flask import (
    Blueprint,
    Response,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.wrappers import Response as BaseResponse

from sandbox.errors import NotAllowed
from sandbox.notices import hooks
from sandbox.records.tables import now
from sandbox.review import budgets, people
from sandbox.review.people import Unfit
from sandbox.review.permissions import SCOPES, Permission, Role
from sandbox.web import identity as who
from sandbox.web.elsewhere import NotVouched, Provider
from sandbox.web.pages import service, words
from sandbox.web.security import require_token
from sandbox.web.words import LANGUAGES, Pages

log = logging.getLogger(__name__)
blueprint = Blueprint("accounts", __name__)
KEPT = "elsewhere"
"""Where a browser keeps what it brings back from the provider."""

OURS = re.compile(rf"/(?:{'|'.join(LANGUAGES)})/[A-Za-z0-9/._-]*")
"""Addresses that signing in may lead on to: a path of pages of ours and nothing else."""

TOKEN_DAYS = (7, 30, 90, 365)


@blueprint.get("/<lang:lang>/sign-in")
def sign_in(lang: str) -> BaseResponse | str:
    """Ask for name and password."""
    if who.identity() is not None:
        return redirect(url_for("pages.start", lang=lang), 303)
    return _sign_in_page(failed=False, login="")


def _sign_in_page(*, failed: bool, login: str, elsewhere: str = "") -> str:
    onward = request.values.get("next", "")
    return render_template(
        "sign_in.html",
        failed=failed,
        login=login,
        elsewhere=elsewhere,
        onward=onward if OURS.fullmatch(onward) else "",
        nobody=people.is_empty(service().database) and _has("local"),
        has_passwords=_has("local"),
        has_provider=_has("oidc"),
        leaves=request.args.get("out") == "elsewhere" and _has("oidc") and bool(_leaving(words().lang)),
        registers=bool(service().settings.registration),
        minutes=int(people.LOCKED.total_seconds() // 60),
    )


def _has(kind: str) -> bool:
    return kind in service().settings.accounts.split("+")


def _provider() -> Provider:
    return cast("Provider", current_app.extensions["aiact_sandbox_provider"])


@blueprint.get("/<lang:lang>/sign-in/elsewhere")
def go_elsewhere(lang: str) -> BaseResponse:
    """Send the browser to the provider, with what it must bring back."""
    if not _has("oidc"):
        return redirect(url_for("accounts.sign_in", lang=lang), 303)
    who.limited("sign_in")
    onward = request.args.get("next", "")
    try:
        address, kept = _provider().begin(f"{service().settings.public_address}/sign-in/back")
    except NotVouched as why:
        log.warning("the provider cannot be used: %s", why)
        return make_response(_sign_in_page(failed=False, login="", elsewhere="away"), 503)
    session[KEPT] = {**kept, "lang": lang, "onward": onward if OURS.fullmatch(onward) else ""}
    return redirect(address, 303)


@blueprint.get("/sign-in/back")
def come_back() -> BaseResponse:
    """Sign in whom the provider vouches for, under a new secret; what the browser kept is used once."""
    kept = session.pop(KEPT, None)
    if not _has("oidc") or not isinstance(kept, dict):
        return redirect(url_for("accounts.sign_in", lang=words().lang), 303)
    who.limited("sign_in")
    g.words = Pages(kept["lang"])
    try:
        vouched = _provider().finish(kept, request.args.to_dict())
    except NotVouched as why:
        log.warning("nobody was signed in: %s", why)
        return make_response(_sign_in_page(failed=False, login="", elsewhere="refused"), 422)
    secret = people.sign_in_elsewhere(
        service().database, issuer=vouched.issuer, subject=vouched.subject, name=vouched.name, mail=vouched.mail
    )
    _begin(secret)
    return redirect(kept["onward"] or url_for("pages.start", lang=kept["lang"]), 303)


@blueprint.get("/<lang:lang>/register")
def registration(lang: str) -> BaseResponse | str:
    """Ask for the organisation, and for an account where nobody is signed in."""
    return _registration_page() if _may_register() else redirect(url_for("accounts.sign_in", lang=lang), 303)


def _may_register() -> bool:
    return bool(service().settings.registration) and (who.identity() is not None or _has("local"))


def _registration_page(problem: str = "") -> str:
    return render_template("register.html", problem=problem, given=request.form)


@blueprint.post("/<lang:lang>/register")
def register(lang: str) -> BaseResponse:
    """Register an organisation; whoever does it owns it."""
    require_token()
    if not _may_register():
        return redirect(url_for("accounts.sign_in", lang=lang), 303)
    who.limited("register")
    database, me, form = service().database, who.identity(), request.form
    try:
        if not form.get("organisation", "").strip():
            raise Unfit("organisation", "an organisation has a name")
        if me is None:
            login, password = form.get("login", ""), form.get("password", "")
            name = form.get("name", "") or login
            person = people.create_person(database, login=login, name=name, password=password, actor="web")
            secret = people.sign_in(database, login=login, password=password)
            if secret is not None:
                _begin(secret)
                g.identity = people.identify(database, secret)
        else:
            person = str(me.person_id)
        made = people.register_organisation(database, person_id=person, name=form["organisation"])
    except Unfit as unfit:
        return make_response(_registration_page(unfit.code), 422)
    return redirect(url_for("accounts.organisation", lang=lang, organisation_id=made), 303)


@blueprint.post("/<lang:lang>/sign-in")
def enter(lang: str) -> BaseResponse:
    """Sign a person in: a new session under a new secret, whatever the browser held before."""
    require_token()
    who.limited("sign_in")
    login, password = request.form.get("login", ""), request.form.get("password", "")
    secret = people.sign_in(service().database, login=login, password=password) if _has("local") else None
    if secret is None:
        return make_response(_sign_in_page(failed=True, login=login), 422)
    _begin(secret)
    onward = request.form.get("next", "")
    return redirect(onward if OURS.fullmatch(onward) else url_for("pages.start", lang=lang), 303)


def _begin(secret: str) -> None:
    session.clear()
    session[who.SECRET] = secret


@blueprint.post("/<lang:lang>/sign-out")
def sign_out(lang: str) -> BaseResponse:
    """End this session; whoever came from a provider may end theirs there too."""
    require_token()
    is_elsewhere = not who.somebody().has_password
    people.sign_out(service().database, str(session.get(who.SECRET, "")))
    session.clear()
    return redirect(url_for("accounts.sign_in", lang=lang, out="elsewhere" if is_elsewhere else None), 303)


@blueprint.get("/<lang:lang>/sign-out/elsewhere")
def leave_elsewhere(lang: str) -> BaseResponse:
    """Send the browser to where its session at the provider is ended, if the provider has such a place."""
    address = _leaving(lang) if _has("oidc") else ""
    return redirect(address or url_for("accounts.sign_in", lang=lang), 303)


def _leaving(lang: str) -> str:
    # Whoever asks here is a stranger, and a provider that is away keeps everybody waiting who asks for it.
    who.limited("sign_in")
    return _provider().leave(f"{service().settings.public_address}/", lang)


@blueprint.get("/<lang:lang>/account")
def account(lang: str) -> str:  # noqa: ARG001  # read from the address by `words`
    """Show who one is, what one may where, and one's tokens."""
    return _account_page()


def _account_page(**more: Any) -> str:
    me = who.somebody()
    database = service().database
    tokens = people.tokens_of(database, str(me.person_id))
    scopes = [
        (f"{scope}:{organisation}", scope, me.names[organisation])
        for organisation, may in me.may.items()
        for scope in SCOPES
        if SCOPES[scope] <= may
    ]
    roles = {
        organisation: member.roles
        for organisation in me.may
        for member in people.members(database, organisation)
        if member.person_id == me.person_id
    }
    mail, language = people.contact_of(database, str(me.person_id))
    filled = {"problem": "", "token": "", "token_problem": "", "changed": False, "mail_problem": False} | more
    filled = {"mail": mail, "mail_language": language, "sends_mail": bool(service().settings.mail_server)} | filled
    filled["registers"] = bool(service().settings.registration) and not me.may
    return render_template(
        "account.html", me=me, tokens=tokens, scopes=scopes, roles=roles, days=TOKEN_DAYS, now=now(), **filled
    )


@blueprint.post("/<lang:lang>/account/password")
def change_password(lang: str) -> BaseResponse:  # noqa: ARG001
    """Replace one's password; all other sessions end."""
    require_token()
    who.limited("sign_in")
    me = who.somebody()
    new = request.form.get("new", "")
    problem = "repeat" if new != request.form.get("again", "") else ""
    if not problem:
        try:
            secret = people.set_password(
                service().database,
                person_id=str(me.person_id),
                password=new,
                old=request.form.get("old", ""),
                actor=me.actor,
            )
        except Unfit as unfit:
            problem = unfit.code
        else:
            if secret is not None:
                _begin(secret)
                g.identity = people.identify(service().database, secret)
                return make_response(_account_page(changed=True))
            problem = "old"
    return make_response(_account_page(problem=problem), 422)


@blueprint.post("/<lang:lang>/account/tokens")
def make_token(lang: str) -> BaseResponse:  # noqa: ARG001
    """Make a token and show it this once."""
    require_token()
    scope, _, organisation = request.form.get("scope", "").partition(":")
    days = request.form.get("days", "")
    try:
        token = people.make_token(
            service().database,
            who.somebody(),
            name=request.form.get("name", ""),
            organisation_id=organisation,
            scope=scope,
            days=int(days) if days.isdecimal() and len(days) < 5 else 0,
        )
    except Unfit as unfit:
        return make_response(_account_page(token_problem=unfit.code), 422)
    return make_response(_account_page(token=token), 201)


@blueprint.post("/<lang:lang>/account/tokens/<token_id>/end")
def end_token(lang: str, token_id: str) -> BaseResponse:
    """End one of one's own tokens."""
    require_token()
    if not people.end_token(service().database, who.somebody(), token_id):
        raise NotAllowed("there is no such token")
    return redirect(url_for("accounts.account", lang=lang), 303)


@blueprint.post("/<lang:lang>/account/contact")
def change_contact(lang: str) -> BaseResponse:
    """Set where mail goes, and its language."""
    require_token()
    mail, language = request.form.get("mail", ""), request.form.get("language", "")
    try:
        people.set_contact(
            service().database,
            who.somebody(),
            mail=mail,
            language=language if language in LANGUAGES else lang,
        )
    except Unfit:
        return make_response(_account_page(mail_problem=True, mail=mail, mail_language=language), 422)
    return redirect(url_for("accounts.account", lang=lang), 303)


@blueprint.get("/<lang:lang>/organisations/<organisation_id>")
def organisation(lang: str, organisation_id: str) -> str:  # noqa: ARG001
    """Show what an organisation may use and has used, and its webhooks."""
    return _organisation_page(organisation_id)


def _organisation_page(organisation_id: str, **more: Any) -> str:
    me, database = who.somebody(), service().database
    filled = {"problem": False, "secret": "", "tried": False, "address": ""} | more
    return render_template(
        "organisation.html",
        organisation=organisation_id,
        name=me.names[organisation_id],
        parts=budgets.of(database, service().settings, organisation_id),
        webhooks=hooks.listed(database, organisation_id),
        manages=me.holds(Permission.MANAGE_WEBHOOKS, organisation_id),
        **filled,
    )


@blueprint.post("/<lang:lang>/organisations/<organisation_id>/webhooks")
def add_webhook(lang: str, organisation_id: str) -> BaseResponse:  # noqa: ARG001
    """Add a webhook and show its secret this once."""
    require_token()
    who.limited("webhook")
    address = request.form.get("address", "")
    try:
        hook = hooks.add(
            service().database, organisation_id=organisation_id, address=address, actor=who.somebody().actor
        )
    except hooks.Unfit:
        return make_response(_organisation_page(organisation_id, problem=True, address=address), 422)
    secret = hooks.secret_of(service().settings, hook.id)
    return make_response(_organisation_page(organisation_id, secret=secret), 201)


@blueprint.post("/<lang:lang>/organisations/<organisation_id>/webhooks/<hook_id>/test")
def try_webhook(lang: str, organisation_id: str, hook_id: str) -> BaseResponse:
    """Have the worker send a message without content to a webhook."""
    require_token()
    who.limited("webhook")
    hooks.try_out(service().database, organisation_id=organisation_id, hook_id=hook_id)
    return redirect(url_for("accounts.organisation", lang=lang, organisation_id=organisation_id), 303)


@blueprint.post("/<lang:lang>/organisations/<organisation_id>/webhooks/<hook_id>/remove")
def remove_webhook(lang: str, organisation_id: str, hook_id: str) -> BaseResponse:
    """Remove a webhook; one that is not there any more changes nothing."""
    require_token()
    actor = who.somebody().actor
    hooks.remove(service().database, organisation_id=organisation_id, hook_id=hook_id, actor=actor)
    return redirect(url_for("accounts.organisation", lang=lang, organisation_id=organisation_id), 303)


@blueprint.get("/<lang:lang>/people", endpoint="people")
def people_of(lang: str) -> str:  # noqa: ARG001
    """Show the people of the organisations where one may see them."""
    return _people_page()


def _people_page(**more: Any) -> str:
    me = who.somebody()
    listed = [
        (
            organisation,
            me.names[organisation],
            people.members(service().database, organisation),
            me.holds(Permission.MANAGE_MEMBERS, organisation),
        )
        for organisation in me.where(Permission.SEE_MEMBERS)
    ]
    filled = {"problem": "", "at": "", "made": None} | more
    return render_template("people.html", me=me, listed=listed, all_roles=list(Role), **filled)


@blueprint.post("/<lang:lang>/organisations/<organisation_id>/members")
def add_member(lang: str, organisation_id: str) -> Response | BaseResponse:
    """Give a person a role; whoever cannot sign in yet gets a drawn password, shown this once."""
    require_token()
    database, me = service().database, who.somebody()
    login, role = request.form.get("login", ""), request.form.get("role", "")
    drawn = ""
    try:
        if role not in list(Role):
            raise Unfit("role", "there is no such role")
        person = people.person_of(database, login)
        if person is None:
            drawn = people.draw_password()
            person = people.create_person(
                database,
                login=login,
                name=request.form.get("name", "") or login,
                password=drawn,
                actor=me.actor,
                must_change=True,
            )
    except Unfit as unfit:
        return make_response(_people_page(problem=unfit.code, at=organisation_id), 422)
    people.give_role(database, person_id=person, organisation_id=organisation_id, role=Role(role), actor=me.actor)
    if drawn:
        return make_response(_people_page(made=(login.strip().lower(), drawn), at=organisation_id), 201)
    return redirect(url_for("accounts.people", lang=lang), 303)


@blueprint.post("/<lang:lang>/organisations/<organisation_id>/members/<person_id>/remove")
def remove_member(lang: str, organisation_id: str, person_id: str) -> BaseResponse:
    """Take all roles of a person in an organisation away."""
    require_token()
    removed = people.remove_member(
        service().database, person_id=person_id, organisation_id=organisation_id, actor=who.somebody().actor
    )
    if not removed:
        return make_response(_people_page(problem="last", at=organisation_id), 422)
    return redirect(url_for("accounts.people", lang=lang), 303)
