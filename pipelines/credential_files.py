"""A certificate chain and its private key, read from files and found usable; never from anywhere else, and the key is
sent and stored nowhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import InvalidJob

CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """Args:
    certificate: PEM: the signer's own certificate first, then those that issued it, the root left out or not.
    key: PEM: the private key, not encrypted.
    """

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Args:
    chain: PEM. `pem`: the private key, which no text shows.
    algorithm: as C2PA names it.
    fingerprint: SHA-256 of the chain, in hex.
    signature_bytes: of each signature, as COSE has it.
    valid: from when to when.
    """

    chain: bytes
    pem: bytes = field(repr=False)
    algorithm: str
    fingerprint: str
    signature_bytes: int
    valid: tuple[datetime, datetime]
    private: Any = field(repr=False)

    def check_time(self, path: str) -> None:
        """Args:
            path: of the certificate.

        Raises:
            InvalidJob: its time is over, or not come.
        """
        begin, end = self.valid
        now = datetime.now(UTC)
        if not begin <= now <= end:
            raise InvalidJob(
                f"the certificate in {path} is valid from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, "
                f"and it is {now:%Y-%m-%d %H:%M}"
            )

    def sign(self, data: bytes) -> bytes:
        """The same bytes for the same data: Ed25519, or ECDSA with the nonces of RFC 6979."""
        if self.algorithm == "ed25519":
            signature: bytes = self.private.sign(data)
            return signature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        digests = {"es256": hashes.SHA256(), "es384": hashes.SHA384(), "es512": hashes.SHA512()}
        made = self.private.sign(data, ec.ECDSA(digests[self.algorithm], deterministic_signing=True))
        size = self.signature_bytes // 2
        return b"".join(number.to_bytes(size) for number in utils.decode_dss_signature(made))


def credential_files(certificate: str | None, key: str | None) -> CredentialFiles | None:
    """Raises:
    InvalidJob: one of the two is missing.
    """
    if (certificate is None) != (key is None):
        given, missing = ("c2pa_certificate", "c2pa_key") if key is None else ("c2pa_key", "c2pa_certificate")
        raise InvalidJob(f"{given} is given without {missing}; signing needs both")
    return None if certificate is None or key is None else CredentialFiles(certificate, key)


def read_signing_key(files: CredentialFiles) -> SigningKey:
    """Raises:
    InvalidJob: a file cannot be read, the two do not belong together, or they sign in a way that is not the same
        each time.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
    except ImportError as missing:
        raise InvalidJob("signing needs c2pa-python; run pip install '.[c2pa]' in imagegen's folder") from missing
    chain, pem = read(files.certificate, "c2pa_certificate"), read(files.key, "c2pa_key")
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise InvalidJob(f"c2pa_certificate: {files.certificate} holds no certificate in PEM ({error})") from error
    try:
        private = serialization.load_pem_private_key(pem, None)
    except TypeError as error:
        raise InvalidJob(
            f"c2pa_key: {files.key} is encrypted; give the key unencrypted, in a file that only you can read"
        ) from error
    except ValueError as error:
        raise InvalidJob(f"c2pa_key: {files.key} holds no private key in PEM") from error
    algorithm, signature_bytes = algorithm_of(private, files.key)
    own = certificates[0]
    encoded = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if own.public_key().public_bytes(*encoded) != private.public_key().public_bytes(*encoded):
        raise InvalidJob(f"{files.key} is not the key of the first certificate in {files.certificate}")
    fingerprint = hashlib.sha256(b"".join(c.public_bytes(serialization.Encoding.DER) for c in certificates)).hexdigest()
    plain = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    valid = own.not_valid_before_utc, own.not_valid_after_utc
    return SigningKey(chain, plain, algorithm, fingerprint, signature_bytes, valid, private)


def read(path: str, name: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidJob(f"{name}: cannot read {path}: {error.strerror}") from error


def algorithm_of(private: Any, path: str) -> tuple[str, int]:
    """C2PA's name, and bytes of a signature."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519", 64
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        return CURVES[private.curve.name], 2 * ((private.curve.key_size + 7) // 8)
    raise InvalidJob(
        f"{path} holds a key of another kind than Ed25519 or ECDSA on P-256, P-384 or P-521. RSA's signatures in C2PA "
        "hold random bytes, so one row would not give one file; ask for a certificate with an ECDSA key"
    )
