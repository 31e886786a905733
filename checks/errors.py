"""The errors of the measuring layer; whose fault it is comes first.

ChecksError
├── EvidenceMissing     a check asked for a fact that the evidence does not hold: becomes `not_gathered`
├── NeedNotDeclared     a check asked for a fact that it did not declare: our fault, becomes `error`
└── CatalogueBroken     a check file defines no check, or two, or fails to import: the service does not start
"""


class ChecksError(Exception):
    """Base of all errors that this layer raises on purpose."""


class EvidenceMissing(ChecksError):
    """A declared fact is not in the evidence.

    Args:
        need: the name of the absent fact, one of `checks.evidence.Need`.
    """

    def __init__(self, need: str) -> None:
        super().__init__(f"the evidence holds no {need}")
        self.need = need


class NeedNotDeclared(ChecksError):
    """A check reached for a fact that its declaration does not name: a fault of the check, never of the submission."""


class CatalogueBroken(ChecksError):
    """The catalogue cannot be built: a check file defines no check, or several, or does not import."""
