"""A signed C2PA manifest made to follow from its content alone.

c2pa's writer salts each assertion's box at random (ISO 19566-5, the private box `c2sh`), so that two files of one
picture differ, though nothing in them is ever redacted. Here the salts follow from what is given, the hashes that
hang on them are reckoned again, and the claim is signed again; with a signature that holds no chance either (Ed25519,
ECDSA with the nonces of RFC 6979) one picture gives one manifest. Lengths stay, so the hash over the file, which leaves
the manifest's own place out, stays right.

C2PA's technical specification (2.2): "Hashing JUMBF Boxes" (an assertion's hash is over its superbox without the
header) and "Digital Signatures" (COSE_Sign1 over the claim, which is detached).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SALT_BYTES = 16
SALT_BOX = struct.pack(">I4s", 8 + SALT_BYTES, b"c2sh")
HEADER = 8  # length and type of a box
COSE_SIGN1 = b"\xd2\x84"  # its tag, and an array of four
DETACHED = b"\xf6"  # CBOR's null in the payload's place


class UnknownManifest(Exception):
    """The manifest is not built as c2pa 0.38 builds it."""


@dataclass(frozen=True, slots=True)
class Superbox:
    """Places in the manifest: `start` of the header, `inner` of the first box after the description, `end`."""

    label: str
    start: int
    inner: int
    end: int


def superboxes(data: bytes, start: int, end: int) -> Iterator[Superbox]:
    """Every superbox, outer ones first."""
    while start < end:
        length, kind = struct.unpack_from(">I4s", data, start)
        if length < HEADER or start + length > end:
            raise UnknownManifest(f"a box of {length} bytes at {start} of {end}")
        if kind == b"jumb":
            described: int = struct.unpack_from(">I", data, start + HEADER)[0]
            inner = start + HEADER + described
            label = data[start + 2 * HEADER + 17 : inner].partition(b"\0")[0]  # after the type's UUID and the toggles
            yield Superbox(label.decode(errors="replace"), start, inner, start + length)
            yield from superboxes(data, inner, start + length)
        start += length


def resigned(manifest: bytes, seed: bytes, signature_bytes: int, sign: Callable[[bytes], bytes]) -> bytes:
    """Args:
        manifest: a manifest store with one manifest.
        seed: from which the salts follow.
        signature_bytes: of the signature that is there and of what `sign` gives.
        sign: of COSE's Sig_structure.

    Raises:
        UnknownManifest: it is built in another way.
    """
    data = bytearray(manifest)
    boxes = list(superboxes(manifest, 0, len(manifest)))
    claim, signature = only(boxes, "c2pa.claim.v2"), only(boxes, "c2pa.signature")
    for box in boxes:
        if data[box.inner - SALT_BYTES - HEADER : box.inner - SALT_BYTES] == SALT_BOX:
            before = box_hash(data, box)
            salt = hashlib.sha256(box.label.encode() + b"\0" + seed).digest()[:SALT_BYTES]
            data[box.inner - SALT_BYTES : box.inner] = salt
            replace_once(data, claim, before, box_hash(data, box))
    cose = bytes(data[signature.inner + HEADER : signature.end])
    ending = DETACHED + bytestring_head(signature_bytes)
    at = len(cose) - signature_bytes
    if not cose.startswith(COSE_SIGN1) or cose[at - len(ending) : at] != ending:
        raise UnknownManifest("its signature is no COSE_Sign1 with a detached payload")
    payload = bytes(data[claim.inner + HEADER : claim.end])
    protected = read_bytestring(cose, len(COSE_SIGN1))
    structure = b"\x84\x6aSignature1" + bytestring(protected) + bytestring(b"") + bytestring(payload)
    made = sign(structure)
    if len(made) != signature_bytes:
        raise UnknownManifest(f"a signature of {len(made)} bytes where {signature_bytes} are wanted")
    data[signature.end - signature_bytes : signature.end] = made
    return bytes(data)


def only(boxes: list[Superbox], label: str) -> Superbox:
    found = [box for box in boxes if box.label == label]
    if len(found) != 1:
        raise UnknownManifest(f"{len(found)} boxes are called {label}")
    return found[0]


def box_hash(data: bytearray, box: Superbox) -> bytes:
    return hashlib.sha256(data[box.start + HEADER : box.end]).digest()


def replace_once(data: bytearray, box: Superbox, old: bytes, new: bytes) -> None:
    content = bytes(data[box.inner : box.end])
    if content.count(old) != 1:
        raise UnknownManifest("its claim does not hold the hash of an assertion")
    data[box.inner : box.end] = content.replace(old, new)


def bytestring_head(length: int) -> bytes:
    """CBOR's head of a byte string (RFC 8949, 3.1)."""
    if length < 24:
        return bytes([0x40 + length])
    return struct.pack(">BB", 0x58, length) if length < 2**8 else struct.pack(">BH", 0x59, length)


def bytestring(data: bytes) -> bytes:
    return bytestring_head(len(data)) + data


def read_bytestring(data: bytes, at: int) -> bytes:
    head = data[at]
    if head == 0x59:
        start, length = at + 3, int.from_bytes(data[at + 1 : at + 3])
    elif head == 0x58:
        start, length = at + 2, data[at + 1]
    elif 0x40 <= head < 0x58:
        start, length = at + 1, head - 0x40
    else:
        raise UnknownManifest("its signature begins with no byte string")
    return data[start : start + length]
