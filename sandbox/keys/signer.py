"""What holds a private key and signs with it, wherever the key lies."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """Something that holds one private key and signs with it."""

    @property
    def public(self) -> bytes:
        """Its public key, 32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign.

        Args:
            message: the bytes that a DSSE signature is over (`sandbox.statement.pae`).

        Returns:
            The Ed25519 signature, 64 bytes.

        Raises:
            Refused: whoever holds the key does not sign this, or cannot be reached.
        """
        ...
