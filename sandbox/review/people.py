"""Keep people, organisations, sessions and tokens; passwords as salted argon2id hashes, every secret as its digest.

Assumes of its caller: a password or token arrives over a connection that others cannot read, and is logged nowhere.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import delete, func, select, update

from sandbox.records import audit
from sandbox.records.database import Database, Session
from sandbox.records.tables import ApiToken, FailedSignIn, Membership, Organisation, Person, SignedIn, new_id, now
from sandbox.review.permissions import SCOPES, Permission, Role, allowed

if TYPE_CHECKING:
    from argon2 import PasswordHasher

HASH: Final = "argon2id:3:65536:1"
"""Cost of a password hash: passes, KiB of memory, lanes; 64 MiB and part of a second of one core for each try."""

OLD_HASH: Final = "scrypt:"
"""What hashes began with before; each is replaced when its person next signs in."""

MOST_AT_ONCE: Final = threading.BoundedSemaphore(2)
"""Hashes worked out at once: trying many passwords together must not take the machine from everybody else."""

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 200
FAILURES: Final = 5
"""Wrong passwords for one name before it is locked for `LOCKED`."""

LOCKED: Final = dt.timedelta(minutes=15)
IDLE: Final = dt.timedelta(hours=2)
"""A session that is not used for so long ends."""

LONGEST_SESSION: Final = dt.timedelta(hours=12)
LONGEST_TOKEN_DAYS: Final = 365
TOKEN_PREFIX: Final = "aiact_"  # noqa: S105  # what a token begins with, so that scanners for leaked keys know it
ORGANISATIONS_EACH: Final = 1
"""Organisations that one person may register themselves."""

MAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9.@_+-]{1,99}")

Wrong = Literal["login", "name", "short", "long", "same_as_login", "role", "organisation", "exists", "mail", "many"]


class Unfit(ValueError):
    """What was given cannot be used; `code` says why."""

    def __init__(self, code: Wrong, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks, and what they may.

    Args:
        person_id: None for the one person of a service without accounts.
        login, name: as shown.
        may: permissions by organisation id.
        names: names of those organisations by id.
        must_change: the password has to be replaced before anything else.
        has_password: they can sign in here, and not elsewhere alone.
    """

    person_id: str | None
    login: str
    name: str
    may: Mapping[str, frozenset[Permission]]
    names: Mapping[str, str]
    must_change: bool = False
    has_password: bool = True

    @property
    def is_alone(self) -> bool:
        """Whether this is the one person of a service without accounts, who may do everything."""
        return self.person_id is None

    @property
    def actor(self) -> str:
        """How the audit log names them."""
        return f"person:{self.login}" if self.person_id else "local"

    def where(self, permission: Permission) -> tuple[str, ...]:
        """List the organisations, by id, in which they have a permission; sorted by name."""
        held = (organisation for organisation, may in self.may.items() if permission in may)
        return tuple(sorted(held, key=lambda organisation: self.names[organisation].casefold()))

    def holds(self, permission: Permission, organisation: str | None) -> bool:
        """Tell whether they have a permission in an organisation."""
        return self.is_alone or permission in self.may.get(organisation or "", frozenset())


ALONE: Final = Identity(person_id=None, login="", name="", may={}, names={})
"""The one person of a service without accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One person of an organisation with their roles there."""

    person_id: str
    login: str
    name: str
    roles: tuple[Role, ...]


def digest(secret: str) -> str:
    """Give the digest under which a drawn secret is kept; it is long enough to need no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checked_login(login: str) -> str:
    small = login.strip().lower()
    if not LOGIN.fullmatch(small):
        raise Unfit("login", "a name to sign in with has 2 to 100 letters, digits or . @ _ + -, and begins with one")
    return small


def _hashed(password: str, login: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise Unfit("short", f"a password has at least {SHORTEST_PASSWORD} characters")
    if len(password) > LONGEST_PASSWORD:
        raise Unfit("long", f"a password has at most {LONGEST_PASSWORD} characters")
    if password.lower() == login:
        raise Unfit("same_as_login", "a password is not the name that one signs in with")
    return _hash(password)


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    _, passes, memory, lanes = HASH.split(":")
    return PasswordHasher(time_cost=int(passes), memory_cost=int(memory), parallelism=int(lanes))


def _hash(password: str) -> str:
    with MOST_AT_ONCE:
        return _hasher().hash(password)


def _fits(hashed: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    password = password[:LONGEST_PASSWORD]
    with MOST_AT_ONCE:
        if hashed.startswith(OLD_HASH):
            from werkzeug.security import check_password_hash

            return check_password_hash(hashed, password)
        try:
            return _hasher().verify(hashed, password)
        except (InvalidHashError, VerificationError):
            return False


def _is_dated(hashed: str) -> bool:
    return hashed.startswith(OLD_HASH) or _hasher().check_needs_rehash(hashed)


def create_person(
    database: Database, *, login: str, name: str, password: str, actor: str, must_change: bool = False
) -> str:
    """Make a person who can sign in and has no role yet.

    Returns:
        Their id.

    Raises:
        Unfit: login, name or password cannot be used, or the login is taken.
    """
    login = _checked_login(login)
    name = name.strip()[:200]
    if not name:
        raise Unfit("name", "a person has a name")
    hashed = _hashed(password, login)
    with database.writing() as session:
        if session.scalar(select(Person.id).where(Person.login == login)) is not None:
            raise Unfit("exists", f"{login} signs in here already")
        person = Person(id=new_id(), login=login, name=name, password=hashed, must_change=must_change, made=now())
        session.add(person)
        audit.record(session, actor=actor, action="person.made", subject=person.id)
        return person.id


def create_organisation(database: Database, *, name: str, actor: str) -> str:
    """Give the id of an organisation by its name, and make it if it is not there."""
    name = name.strip()[:200]
    if not name:
        raise Unfit("organisation", "an organisation has a name")
    with database.writing() as session:
        found = session.scalar(select(Organisation.id).where(Organisation.name == name))
        if found is not None:
            return found
        made = Organisation(id=new_id(), name=name, made=now())
        session.add(made)
        audit.record(session, actor=actor, action="organisation.made", subject=made.id)
        return made.id


def give_role(database: Database, *, person_id: str, organisation_id: str, role: Role, actor: str) -> None:
    """Give a person a role in an organisation; one they have already changes nothing."""
    with database.writing() as session:
        key = {"person": person_id, "organisation": organisation_id, "role": role.value}
        if session.get(Membership, key) is None:
            session.add(Membership(**key))
            audit.record(
                session,
                actor=actor,
                action="role.given",
                subject=person_id,
                facts={"organisation": organisation_id, "role": role.value},
            )


def remove_member(database: Database, *, person_id: str, organisation_id: str, actor: str) -> bool:
    """Take all roles of a person in an organisation away, with their tokens there.

    Returns:
        False when they are the last one who may manage its members; then nothing was done.
    """
    with database.writing() as session:
        rows = session.execute(
            select(Membership.person, Membership.role).where(Membership.organisation == organisation_id)
        ).all()
        rest = (Role(row.role) for row in rows if row.person != person_id)
        if Permission.MANAGE_MEMBERS not in allowed(frozenset(rest)):
            return False
        gone = (Membership.person == person_id, Membership.organisation == organisation_id)
        session.execute(delete(Membership).where(*gone))
        session.execute(delete(ApiToken).where(ApiToken.person == person_id, ApiToken.organisation == organisation_id))
        audit.record(
            session, actor=actor, action="member.removed", subject=person_id, facts={"organisation": organisation_id}
        )
        return True


def person_of(database: Database, login: str) -> str | None:
    """Find a person by the name they sign in with."""
    with database.reading() as session:
        return session.scalar(select(Person.id).where(Person.login == login.strip().lower()))


def organisation_of(database: Database, name: str) -> str | None:
    """Find an organisation by its name."""
    with database.reading() as session:
        return session.scalar(select(Organisation.id).where(Organisation.name == name.strip()))


def members(database: Database, organisation_id: str) -> Sequence[Member]:
    """List the people of an organisation by name."""
    with database.reading() as session:
        rows = session.execute(
            select(Person.id, Person.login, Person.name, Membership.role)
            .join(Membership, Membership.person == Person.id)
            .where(Membership.organisation == organisation_id)
        ).all()
    people = {row.id: row for row in rows}
    listed = (
        Member(
            person_id=person,
            login=row.login,
            name=row.name,
            roles=tuple(role for role in Role if any(r.id == person and r.role == role for r in rows)),
        )
        for person, row in people.items()
    )
    return sorted(listed, key=lambda member: (member.name.casefold(), member.login))


@cache
def _nobody() -> str:
    """Give a hash to compare with when nobody has the name: whether one has it must not show in the time it takes."""
    return _hash(secrets.token_hex(16))


def sign_in(database: Database, *, login: str, password: str) -> str | None:
    """Check a password and begin a session.

    Returns:
        The secret of the new session, for the browser alone; None when name and password do not belong together, or the
        name is locked after too many tries, whether anybody has that name or not.
    """
    login = login.strip().lower()[:100]
    key = digest(login)
    with database.reading() as session:
        failed = session.get(FailedSignIn, key)
        person = session.scalar(select(Person).where(Person.login == login))
    # Before the slow comparison, so that a locked name costs nothing.
    if failed is not None and failed.times >= FAILURES and now() - failed.last < LOCKED:
        return None
    # Who signs in elsewhere alone has no password: that must not show in the time it takes either.
    kept = person.password if person else ""
    fits = _fits(kept or _nobody(), password) and bool(kept)
    renewed = _hash(password[:LONGEST_PASSWORD]) if fits and _is_dated(kept) else None
    with database.writing() as session:
        if person is None or not fits:
            _count_failure(session, key, person)
            return None
        session.execute(delete(FailedSignIn).where(FailedSignIn.digest == key))
        if renewed is not None:
            # Only the hash that was compared with: a password that was changed meanwhile stays.
            same = (Person.id == person.id, Person.password == kept)
            session.execute(update(Person).where(*same).values(password=renewed))
        secret = _begin(session, person.id)
        audit.record(session, actor=f"person:{login}", action="person.signed_in", subject=person.id)
        return secret


def sign_in_elsewhere(database: Database, *, issuer: str, subject: str, name: str, mail: str) -> str:
    """Begin a session for somebody whom a provider vouches for; the first time it makes a person without any role.

    Args:
        issuer, subject: who they are there; nothing else links them to a person here, no name and no address.
        name: as shown.
        mail: an address that the provider has checked; empty for none.

    Returns:
        The secret of the new session, for the browser alone.
    """
    with database.writing() as session:
        person = session.scalar(select(Person).where(Person.issuer == issuer, Person.subject == subject))
        if person is None:
            login = "sso-" + digest(f"{issuer}\n{subject}")[:20]
            person = Person(
                id=new_id(),
                login=login,
                name=name.strip()[:200] or login,
                password="",
                made=now(),
                issuer=issuer,
                subject=subject,
                mail=mail if is_mail(mail) else "",
            )
            session.add(person)
            session.flush()
            audit.record(session, actor=f"person:{login}", action="person.made", subject=person.id)
        secret = _begin(session, person.id)
        audit.record(session, actor=f"person:{person.login}", action="person.signed_in", subject=person.id)
        return secret


def is_mail(address: str) -> bool:
    """Tell whether mail can be sent to an address; a line break or a second address is none."""
    return len(address) <= 254 and MAIL.fullmatch(address) is not None


def set_contact(database: Database, identity: Identity, *, mail: str, language: str) -> None:
    """Set where mail for somebody goes, and its language.

    Args:
        mail: empty for none.

    Raises:
        Unfit: it is no address.
    """
    mail = mail.strip()
    if mail and not is_mail(mail):
        raise Unfit("mail", "that is no address for mail")
    with database.writing() as session:
        values = {"mail": mail, "language": language}
        session.execute(update(Person).where(Person.id == identity.person_id).values(**values))
        audit.record(session, actor=identity.actor, action="person.contact", subject=str(identity.person_id))


def contact_of(database: Database, person_id: str) -> tuple[str, str]:
    """Give where mail for a person goes (empty for nowhere), and in which language."""
    with database.reading() as session:
        person = session.get_one(Person, person_id)
        return person.mail, person.language


def register_organisation(database: Database, *, person_id: str, name: str) -> str:
    """Make an organisation whose owner is the person who registers it.

    Assumes of its caller: the operator allows it.

    Returns:
        Its id.

    Raises:
        Unfit: the name cannot be used, or the person registered as many as they may.
    """
    name = name.strip()[:200]
    if not name:
        raise Unfit("organisation", "an organisation has a name")
    with database.writing() as session:
        mine = select(func.count()).select_from(Organisation).where(Organisation.registered_by == person_id)
        if (session.scalar(mine) or 0) >= ORGANISATIONS_EACH:
            raise Unfit("many", f"one person registers {ORGANISATIONS_EACH} organisation")
        # Two of one name would let one pass for the other before a reviewer.
        if session.scalar(select(Organisation.id).where(func.lower(Organisation.name) == name.lower())) is not None:
            raise Unfit("organisation", "this name cannot be used")
        made = Organisation(id=new_id(), name=name, made=now(), registered_by=person_id)
        session.add(made)
        session.flush()
        session.add(Membership(person=person_id, organisation=made.id, role=Role.OWNER.value))
        actor = f"person:{session.get_one(Person, person_id).login}"
        audit.record(session, actor=actor, action="organisation.registered", subject=made.id)
        return made.id


def _count_failure(session: Session, key: str, person: Person | None) -> None:
    session.execute(delete(FailedSignIn).where(FailedSignIn.last < now() - LOCKED))
    failed = session.get(FailedSignIn, key)
    if failed is None:
        failed = FailedSignIn(digest=key, times=0, last=now())
        session.add(failed)
    failed.times, failed.last = failed.times + 1, now()
    if failed.times == FAILURES and person is not None:
        audit.record(session, actor="web", action="person.locked", subject=person.id)


def _begin(session: Session, person_id: str) -> str:
    session.execute(delete(SignedIn).where(SignedIn.begun < now() - LONGEST_SESSION))
    secret = secrets.token_urlsafe(32)
    session.add(SignedIn(digest=digest(secret), person=person_id, begun=now(), seen=now()))
    return secret


def sign_out(database: Database, secret: str) -> None:
    """End a session."""
    with database.writing() as session:
        session.execute(delete(SignedIn).where(SignedIn.digest == digest(secret)))


def identify(database: Database, secret: str) -> Identity | None:
    """Tell who a session belongs to; None when it has ended."""
    with database.reading() as session:
        row = session.get(SignedIn, digest(secret))
        if row is None or now() - row.begun > LONGEST_SESSION or now() - row.seen > IDLE:
            return None
        found = _identity(session, row.person, None, None)
    if now() - row.seen > dt.timedelta(minutes=1):
        with database.writing() as session:
            seen = session.get(SignedIn, row.digest)
            if seen is not None:
                seen.seen = now()
    return found


def _identity(
    session: Session, person_id: str, organisation: str | None, most: Collection[Permission] | None
) -> Identity | None:
    person = session.get(Person, person_id)
    if person is None:
        return None
    rows = session.execute(
        select(Membership.organisation, Membership.role, Organisation.name)
        .join(Organisation, Organisation.id == Membership.organisation)
        .where(Membership.person == person_id)
    ).all()
    held: dict[str, frozenset[Role]] = {}
    for row in rows:
        if organisation in (None, row.organisation):
            held[row.organisation] = held.get(row.organisation, frozenset()) | {Role(row.role)}
    may = {org: allowed(roles) for org, roles in held.items()}
    if most is not None:
        may = {org: permissions & frozenset(most) for org, permissions in may.items()}
    return Identity(
        person_id=person.id,
        login=person.login,
        name=person.name,
        may=may,
        names={row.organisation: row.name for row in rows},
        must_change=person.must_change,
        has_password=bool(person.password),
    )


def set_password(
    database: Database, *, person_id: str, password: str, actor: str, old: str | None = None, must_change: bool = False
) -> str | None:
    """Replace a password, end all sessions of that person, and begin a new one.

    Args:
        old: the password until now; None where an operator sets it.

    Returns:
        The secret of the new session; None when `old` is not the password.

    Raises:
        Unfit: the new password cannot be used.
    """
    with database.reading() as session:
        person = session.get_one(Person, person_id)
    if old is not None and not _fits(person.password, old):
        return None
    hashed = _hashed(password, person.login)
    with database.writing() as session:
        kept = session.get_one(Person, person_id)
        kept.password, kept.must_change = hashed, must_change
        session.execute(delete(SignedIn).where(SignedIn.person == person_id))
        audit.record(session, actor=actor, action="person.password_changed", subject=person_id)
        return _begin(session, person_id)


def draw_password() -> str:
    """Draw a password for somebody who will replace it."""
    return "-".join(secrets.token_hex(2) for _ in range(5))


def make_token(
    database: Database, identity: Identity, *, name: str, organisation_id: str, scope: str, days: int
) -> str:
    """Make a token for a program.

    Args:
        scope: one of `SCOPES`.
        days: how long it is valid, 1 to `LONGEST_TOKEN_DAYS`.

    Returns:
        The token, to be shown once.

    Raises:
        Unfit: name, organisation, scope or days cannot be used.
    """
    name = name.strip()[:100]
    if not name:
        raise Unfit("name", "a token has a name, so that one knows it again")
    if scope not in SCOPES or not SCOPES[scope] <= identity.may.get(organisation_id, frozenset()):
        raise Unfit("role", "that is more than you may do there yourself")
    if identity.person_id is None or not 1 <= days <= LONGEST_TOKEN_DAYS:
        raise Unfit("long", f"a token is valid for 1 to {LONGEST_TOKEN_DAYS} days")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    with database.writing() as session:
        row = ApiToken(
            id=new_id(),
            digest=digest(token),
            person=identity.person_id,
            organisation=organisation_id,
            name=name,
            scope=scope,
            made=now(),
            until=now() + dt.timedelta(days=days),
        )
        session.add(row)
        audit.record(
            session,
            actor=identity.actor,
            action="token.made",
            subject=row.id,
            facts={"organisation": organisation_id, "scope": scope, "days": days},
        )
    return token


def identify_token(database: Database, token: str) -> Identity | None:
    """Tell for whom a token acts; None when there is no such token or its time is over."""
    with database.reading() as session:
        row = session.scalar(select(ApiToken).where(ApiToken.digest == digest(token)))
        if row is None or row.until <= now():
            return None
        return _identity(session, row.person, row.organisation, SCOPES[row.scope])


def tokens_of(database: Database, person_id: str) -> Sequence[ApiToken]:
    """List the tokens of a person, the newest first."""
    with database.reading() as session:
        return session.scalars(
            select(ApiToken).where(ApiToken.person == person_id).order_by(ApiToken.made.desc())
        ).all()


def end_token(database: Database, identity: Identity, token_id: str) -> bool:
    """End one of one's own tokens; False when there is none of that id."""
    with database.writing() as session:
        row = session.get(ApiToken, token_id)
        if row is None or row.person != identity.person_id:
            return False
        session.delete(row)
        audit.record(session, actor=identity.actor, action="token.ended", subject=token_id)
        return True


def is_empty(database: Database) -> bool:
    """Tell whether nobody can sign in yet."""
    with database.reading() as session:
        return session.scalar(select(Person.id).limit(1)) is None
