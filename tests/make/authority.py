"""An authority of a test's own, and the certificates it signs."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write(folder: Path, name: str = "cluster of a test") -> Path:
    """Write `ca.pem`, `certificate.pem` and `key.pem`, as the setting `scheduler_tls` wants them.

    Args:
        folder: made; its files are private.
        name: of the authority.

    Returns:
        The folder.
    """
    folder.mkdir(mode=0o700, parents=True)
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    root = _signed(authority, issuer, issuer, authority, x509.BasicConstraints(ca=True, path_length=0))
    member = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"a member of {name}")])
    certificate = _signed(own, member, issuer, authority, x509.BasicConstraints(ca=False, path_length=None))
    key = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = serialization.Encoding.PEM
    for file, content in (
        ("ca.pem", root.public_bytes(pem)),
        ("certificate.pem", certificate.public_bytes(pem)),
        ("key.pem", key),
    ):
        (folder / file).write_bytes(content)
        (folder / file).chmod(0o600)
    return folder


def _signed(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    issuer: x509.Name,
    by: ec.EllipticCurvePrivateKey,
    constraints: x509.BasicConstraints,
) -> x509.Certificate:
    today = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=2))
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(by, hashes.SHA256())
    )
