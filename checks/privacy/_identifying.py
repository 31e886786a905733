"""The forms that numbers and texts have by which one person can be found, with the sums that prove them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b")
_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_PHONE: Final = re.compile(r"(?<![\w+])(?:(?:\+31|0031)[ -]?(?:\(0\))?[ -]?|0)[1-9](?:[ -]?\d){8}(?!\d)")
_FOREIGN_PHONE: Final = re.compile(r"(?<![\w+])\+[1-9]\d{0,2}(?:[ -]?\d){7,12}(?!\d)")
# The letter pairs SA, SD and SS are never used in Dutch postcodes.
_POSTCODE: Final = re.compile(r"(?<!\d)[1-9]\d{3} ?(?!SA|SD|SS)[A-Z]{2}(?![A-Z])")
_NUMBER_AFTER: Final = re.compile(r"\W{0,3}(?:nr\.? ?|huisnummer ?)?\d{1,5}\b", re.IGNORECASE)
_NUMBER_BEFORE: Final = re.compile(r"\b\d{1,5} ?[a-zA-Z]{0,2}(?:-\w{1,4})?\W{1,3}$")
_WORD: Final = r"[A-ZÀ-Þ](?:['’][A-ZÀ-Þ])?[a-zß-ÿ'’]+(?:-[A-ZÀ-Þ][a-zß-ÿ'’]+)?"
_BETWEEN: Final = r"(?:van|de|der|den|het|'t|ten|ter|el|al|bin|von|la|le|du|di|da|y)"
_INITIALS: Final = r"(?:[A-ZÀ-Þ]\.? ?){1,5}"
_NAME: Final = re.compile(
    rf"{_WORD}(?: {_BETWEEN}){{0,3}}(?: {_WORD}){{1,3}}"
    rf"|{_INITIALS}(?:{_BETWEEN} ){{0,3}}{_WORD}(?: {_WORD})?"
    rf"|{_WORD}, {_INITIALS}(?: ?{_BETWEEN}){{0,3}}"
)
_LONGEST_NAME: Final = 80


def is_bsn(text: str) -> bool:
    """Tell whether a number keeps the eleven-test of the Dutch citizen service number (BSN).

    Eight or nine digits; the first eight times 9 down to 2, minus the last, add up to a multiple of eleven.

    Example:
        >>> is_bsn("111222333"), is_bsn("123456789"), is_bsn("000000000")
        (True, False, False)
    """
    digits = re.sub(r"[ .]", "", text)
    if not re.fullmatch(r"[0-9]{8,9}", digits):
        return False
    digits = digits.zfill(9)
    total = sum(int(d) * w for d, w in zip(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1), strict=True))
    return int(digits) > 0 and total % 11 == 0


def is_iban(text: str) -> bool:
    """Tell whether an account number keeps the test of ISO 13616: its remainder by 97 is 1.

    Example:
        >>> is_iban("NL91 ABNA 0417 1643 00"), is_iban("NL91 ABNA 0417 1643 01")
        (True, False)
    """
    plain = re.sub(r"[ -]", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", plain):
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def is_payment_card(text: str) -> bool:
    """Tell whether a number of 13 to 19 digits, as payment cards have, keeps Luhn's test.

    Example:
        >>> is_payment_card("4111 1111 1111 1111"), is_payment_card("4111 1111 1111 1112")
        (True, False)
    """
    digits = re.sub(r"[ -]", "", text)
    if not re.fullmatch(r"[2-6][0-9]{12,18}", digits):
        return False
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def has_iban(text: str) -> bool:
    """Tell whether a text is or holds an account number."""
    return is_iban(text) or any(is_iban(found) for found in _IBAN.findall(text))


def has_email(text: str) -> bool:
    """Tell whether a text holds an e-mail address."""
    return "@" in text and _EMAIL.search(text) is not None


def has_phone(text: str) -> bool:
    """Tell whether a text holds a Dutch telephone number, or a foreign one with its plus sign."""
    return _PHONE.search(text) is not None or _FOREIGN_PHONE.search(text) is not None


def has_postcode(text: str) -> bool:
    """Tell whether a text holds a Dutch postcode."""
    return _POSTCODE.search(text.upper()) is not None


def has_address(text: str) -> bool:
    """Tell whether a text holds a Dutch postcode with a house number beside it: together one front door.

    Example:
        >>> has_address("1234 AB 56"), has_address("Dorpsstraat 3, 1234AB Ons Dorp"), has_address("1234 AB")
        (True, True, False)
    """
    found = _POSTCODE.search(text.upper())
    if found is None:
        return False
    after, before = text[found.end() :], text[: found.start()]
    return _NUMBER_AFTER.match(after) is not None or _NUMBER_BEFORE.search(before) is not None


def is_name(text: str) -> bool:
    """Tell whether a text has the form of a person's name: two or more words with a capital, or a name and initials.

    Example:
        >>> is_name("Jan de Vries"), is_name("Vries, J. de"), is_name("Exec-managerial"), is_name("J. Jansen")
        (True, True, False, True)
    """
    plain = text.strip()
    return len(plain) <= _LONGEST_NAME and _NAME.fullmatch(plain) is not None


FORMS: Final[Mapping[str, tuple[Callable[[str], bool], float]]] = {
    # About one number in eleven keeps the eleven-test by chance, one in ten Luhn's: so most must, not some.
    "bsn": (is_bsn, 0.5),
    "payment_card": (is_payment_card, 0.5),
    "iban": (has_iban, 0.01),
    "email": (has_email, 0.01),
    "phone": (has_phone, 0.05),
    "address": (has_address, 0.05),
    "person_name": (is_name, 0.5),
}
"""By kind: the form of one value, and the share of a column's values from which the column looks like that."""

NAME_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "bsn": frozenset({"bsn", "burgerservicenummer", "sofinummer", "sofi"}),
    "iban": frozenset({"iban", "rekeningnummer", "bankrekening"}),
    "email": frozenset({"email", "mailadres", "emailadres"}),
    "phone": frozenset({"telefoon", "telefoonnummer", "phone", "mobiel", "mobile", "telnr"}),
    "person_name": frozenset(
        {"achternaam", "voornaam", "voorletters", "geslachtsnaam", "surname", "lastname", "firstname", "roepnaam"}
    ),
}
"""Words of a column name that say the same, whatever the values look like."""

HOUSE_NUMBER_WORDS: Final = frozenset({"huisnummer", "huisnr", "housenumber", "housenr", "house"})
