"""Content Credentials (C2PA): a signed statement in a picture's file that a model made it.

The user's certificate signs; no time stamp authority is asked, and nothing is drawn at random (`c2pa_manifest.py`), so
one picture and one certificate give one file, wherever and whenever it is made. c2pa-python builds the claim, embeds it
into PNG, JPEG and WebP, and reads it back; it comes with the extra `c2pa`.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import uuid
import zlib
from dataclasses import dataclass
from typing import Any

from PIL import Image

from .c2pa_manifest import UnknownManifest, resigned
from .credential_files import CredentialFiles, SigningKey, read_signing_key
from .encoding import EncodeFailed, Encoder
from .errors import InvalidJob
from .provenance import SOURCE_TYPE

MIME = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
# No thumbnail of a picture in itself, and no reading back of each one: the first is, before any work. The action is
# the signer's own statement, and none that was gathered from somebody else.
SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}, "created_assertion_labels": ["c2pa.actions"]},
    "verify": {"verify_after_sign": False},
}


@functools.cache
def library() -> Any:
    """c2pa-python.

    Raises:
        InvalidJob: it is not installed.
    """
    try:
        import c2pa
    except ImportError as missing:
        raise InvalidJob("signing needs c2pa-python; run pip install '.[c2pa]' in imagegen's folder") from missing
    return c2pa


@dataclass(frozen=True, slots=True)
class ContentCredentials:
    """Args:
    model, revision: of the model really used, which the statement names.
    """

    key: SigningKey
    model: str
    revision: str

    def sign(self, data: bytes, image_format: str) -> bytes:
        """The file with its credentials inside; pixels and other metadata are as they were.

        Args:
            image_format: png, jpeg or webp.

        Raises:
            EncodeFailed: it cannot be signed.
        """
        from cryptography.exceptions import UnsupportedAlgorithm  # OpenSSL before 3.2 draws ECDSA's nonces at random

        c2pa = library()
        identity = hashlib.sha256(self.key.fingerprint.encode() + data).digest()
        output = io.BytesIO()
        try:
            context = c2pa.Context(c2pa.Settings.from_dict(SETTINGS))
            info = c2pa.C2paSignerInfo(self.key.algorithm.encode(), self.key.chain, self.key.pem, None)
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(self.statement(identity), context) as builder:
                manifest = builder.sign(signer, MIME[image_format], io.BytesIO(data), output)
            settled = resigned(manifest, identity, self.key.signature_bytes, self.key.sign)
            return replaced(output.getvalue(), manifest, settled, image_format)
        except (c2pa.C2paError, UnknownManifest, UnsupportedAlgorithm) as error:
            raise EncodeFailed(f"the picture cannot be signed: {error}") from error

    def statement(self, identity: bytes) -> str:
        """What is claimed. The manifest's name follows from picture and certificate."""
        name = uuid.UUID(bytes=identity[:16], version=4)
        action = {
            "action": "c2pa.created",
            "digitalSourceType": SOURCE_TYPE,
            "softwareAgent": {"name": self.model, "version": self.revision},
        }
        return json.dumps(
            {
                "label": f"urn:c2pa:{name}",
                "instance_id": f"xmp:iid:{name}",
                "claim_generator_info": [{"name": "imagegen"}],
                "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
            }
        )


def replaced(data: bytes, old: bytes, new: bytes, image_format: str) -> bytes:
    """A file with the manifest of the same length in the old one's place.

    Raises:
        UnknownManifest: the old one is not there in one piece.
    """
    if data.count(old) != 1:
        raise UnknownManifest(f"a {image_format} does not hold {len(old):,} bytes of credentials in one piece")
    before, _, after = data.partition(old)
    if image_format == "png":  # a chunk ends with a checksum over its type and content
        after = zlib.crc32(before[-4:] + new).to_bytes(4) + after[4:]
    return before + new + after


def open_credentials(
    files: CredentialFiles | None, model: str, revision: str, fingerprint: str | None
) -> ContentCredentials | None:
    """Of a worker.

    Args:
        fingerprint: of the certificate that the plan names.

    Raises:
        InvalidJob: this machine has another certificate, or none.
    """
    if files is None:
        return None
    key = read_signing_key(files)
    if key.fingerprint != fingerprint:
        raise InvalidJob(f"{files.certificate} on this machine is not the certificate that the run was started with")
    return ContentCredentials(key, model, revision)


def check_credentials(files: CredentialFiles | None, encoder: Encoder) -> str | None:
    """Sign a picture and read it back, before any work.

    Args:
        files: None for no signing.

    Returns:
        The certificate's fingerprint.

    Raises:
        InvalidJob: the certificate or key cannot be used, with the reason.
    """
    if files is None:
        return None
    key = read_signing_key(files)
    key.check_time(files.certificate)
    try:
        signed = ContentCredentials(key, "trial", "0").sign(
            encoder.encode(Image.new("RGB", (16, 16))), encoder.image_format
        )
    except EncodeFailed as error:
        raise InvalidJob(f"{files.certificate} and {files.key} cannot sign: {error}") from error
    if failures := faults(signed, encoder.image_format):
        raise InvalidJob(
            f"a reader refuses what {files.certificate} signs: {'; '.join(failures)}. C2PA wants a signing "
            "certificate (key usage digitalSignature; extended key usage such as emailProtection), its own first, "
            "then those that issued it"
        )
    return key.fingerprint


def check_server_credentials(files: CredentialFiles | None) -> str | None:
    """As `check_credentials`, for every format that a client may ask for."""
    return {check_credentials(files, Encoder(name)) for name in MIME}.pop()


def faults(data: bytes, image_format: str) -> list[str]:
    """What c2pa's reader has against a file's credentials; that nobody told it whom to trust is none."""
    c2pa = library()
    with c2pa.Reader(MIME[image_format], io.BytesIO(data)) as reader:
        found = json.loads(reader.json())
    failures = found["validation_results"]["activeManifest"]["failure"]
    return [
        f"{one['code']} ({one.get('explanation', '')})"
        for one in failures
        if one["code"] != "signingCredential.untrusted"
    ]
