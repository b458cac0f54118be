"""Signed pictures: c2pa's own reader trusts them, one row is still one file, and a wrong key stops before any work."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pyarrow as pa
import pytest
from conftest import entries, images, job
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from generators import TestSource
from PIL import Image
from typer.testing import CliRunner

from imagen_model.flat_colour import FlatColourGenerator
from imagen_model.generation import GenerationRequest
from jobs.cli import app
from pipelines.c2pa_manifest import UnknownManifest, resigned
from pipelines.content_credentials import MIME, ContentCredentials, check_credentials
from pipelines.credential_files import CredentialFiles, read_signing_key
from pipelines.encoding import Encoder
from pipelines.errors import InvalidJob, PlanMismatch
from pipelines.export import export
from pipelines.online.batches.answers import success_body
from pipelines.online.replica import Job, Painter, Refusal
from pipelines.progress import Summary
from pipelines.provenance import SOURCE_TYPE, Provenance
from pipelines.retry import retry_failed
from pipelines.verify import verify

FORMATS = ("png", "jpeg", "webp")
KINDS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "es512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}
PICTURE = Image.radial_gradient("L").convert("RGB")
Run = Callable[..., Summary]
Table = Callable[..., str]


def chain_of(
    folder: Path, kind: str = "ed25519", days: tuple[int, int] = (-1, 365), usage: bool = True
) -> tuple[CredentialFiles, str]:
    """Files of a signer's certificate with its issuer's, and of its key; and the issuer's certificate in PEM.

    Args:
        days: from today, between which the signer's is valid.
        usage: say what it may be used for, as C2PA wants.
    """
    folder.mkdir(parents=True, exist_ok=True)
    issuer, own = KINDS[kind](), KINDS[kind]()
    digest = {"ed25519": None, "es384": hashes.SHA384(), "es512": hashes.SHA512()}.get(kind, hashes.SHA256())
    now = datetime.now(UTC)

    def certificate(name: str, by: str, key: Any, begin: int, end: int) -> x509.CertificateBuilder:
        names = [
            x509.Name(
                [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
            )
            for text in (name, by)
        ]
        return (
            x509.CertificateBuilder()
            .subject_name(names[0])
            .issuer_name(names[1])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begin))
            .not_valid_after(now + timedelta(days=end))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False)
        )

    root = (
        certificate("Test root", "Test root", issuer, -400, 400)
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), True)
        .sign(issuer, digest)
    )
    leaf = certificate("Test signer", "Test root", own, *days).add_extension(x509.BasicConstraints(False, None), True)
    if usage:
        leaf = leaf.add_extension(key_usage(digital_signature=True), True)
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    pem = [found.public_bytes(serialization.Encoding.PEM) for found in (leaf.sign(issuer, digest), root)]
    files = CredentialFiles(str(folder / "chain.pem"), str(folder / "key.pem"))
    Path(files.certificate).write_bytes(b"".join(pem))
    Path(files.key).write_bytes(private_pem(own, serialization.NoEncryption()))
    return files, pem[1].decode()


def key_usage(**used: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    names += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


def private_pem(key: Any, encryption: serialization.KeySerializationEncryption) -> bytes:
    found: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return found


def read_back(data: bytes, image_format: str, root: str) -> tuple[str, dict[str, Any]]:
    """What c2pa's reader finds, which trusts this root alone: the state, and the manifest with its claim."""
    trusting = c2pa.Settings.from_dict({"trust": {"trust_anchors": root}, "verify": {"verify_trust": True}})
    with c2pa.Reader(MIME[image_format], io.BytesIO(data), context=c2pa.Context(trusting)) as reader:
        found, detailed = json.loads(reader.json()), json.loads(reader.detailed_json())
    active = found["active_manifest"]
    return found["validation_state"], found["manifests"][active] | {"claim": detailed["manifests"][active]["claim"]}


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("kind", ["ed25519", "es256", "es384", "es512"])
def test_a_reader_trusts_what_is_signed_and_finds_that_a_model_made_it(
    tmp_path: Path, kind: str, image_format: str
) -> None:
    files, root = chain_of(tmp_path, kind)
    request = GenerationRequest("a red circle", 7, width=256, height=256)
    plain = Encoder(image_format).encode(PICTURE, Provenance("my model", "0123", "full").label(request))
    signed = ContentCredentials(read_signing_key(files), "my model", "0123").sign(plain, image_format)
    again = ContentCredentials(read_signing_key(files), "my model", "0123").sign(plain, image_format)
    assert signed == again  # nothing of chance or time is in it
    state, manifest = read_back(signed, image_format, root)
    assert state == "Trusted" and manifest["signature_info"]["common_name"] == "Test signer"
    (action,) = next(one for one in manifest["assertions"] if one["label"] == "c2pa.actions.v2")["data"]["actions"]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", SOURCE_TYPE)
    assert action["softwareAgent"] == {"name": "my model", "version": "0123"}
    stated = [one["url"].rpartition("/")[2] for one in manifest["claim"]["created_assertions"]]
    assert sorted(stated) == ["c2pa.actions.v2", "c2pa.hash.data"] and not manifest["claim"].get("gathered_assertions")
    with Image.open(io.BytesIO(signed)) as one, Image.open(io.BytesIO(plain)) as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
        kept = {name for name in other.info if name in {"xmp", "exif", "parameters", "imagegen", "XML:com.adobe.xmp"}}
        assert len(kept) >= 2 and all(one.info[name] == other.info[name] for name in kept)
    assert read_back(signed, image_format, chain_of(tmp_path / "other", kind)[1])[0] == "Valid"  # but not trusted


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_picture_that_was_changed_afterwards_is_told(tmp_path: Path, image_format: str) -> None:
    files, root = chain_of(tmp_path)
    plain = Encoder(image_format).encode(PICTURE)
    signed = bytearray(ContentCredentials(read_signing_key(files), "m", "1").sign(plain, image_format))
    signed[signed.index(plain[-200:-180]) + 10] ^= 1
    assert read_back(bytes(signed), image_format, root)[0] == "Invalid"


def test_two_pictures_and_two_certificates_have_manifests_of_their_own(tmp_path: Path) -> None:
    labels = {
        read_back(ContentCredentials(read_signing_key(files), "m", "1").sign(data, "png"), "png", root)[1]["label"]
        for files, root in (chain_of(tmp_path / "one"), chain_of(tmp_path / "two"))
        for data in (Encoder("png").encode(PICTURE), Encoder("png").encode(PICTURE.rotate(90)))
    }
    assert len(labels) == 4


def test_a_manifest_that_is_built_otherwise_is_never_touched() -> None:
    for data in (b"", b"\0\0\0\x10jumb" + bytes(8), b"\0\0\0\x02jumb"):
        with pytest.raises(UnknownManifest):
            resigned(data, bytes(16), 64, lambda _: bytes(64))


@pytest.fixture
def prompts(table: Table) -> str:
    return table({"prompt": [f"picture {index}" for index in range(12)] + [""]})


def asked(prompts: str, output: Path, files: CredentialFiles | None, **settings: Any) -> Any:
    signing = {"c2pa_certificate": files.certificate, "c2pa_key": files.key} if files else {}
    return job(prompts, output, shard_rows=4, **signing, **settings)


@pytest.mark.parametrize("image_format", FORMATS)
def test_one_row_is_one_file_in_any_run(inline: Run, prompts: str, tmp_path: Path, image_format: str) -> None:
    files, root = chain_of(tmp_path / "keys", "es256")
    settings = {"image_format": image_format, "metadata": "provenance"}
    one, two, plain = tmp_path / "one", tmp_path / "two", tmp_path / "plain"
    inline(asked(prompts, one, files, batch_size=1, **settings))
    inline(asked(prompts, two, files, batch_size=5, limit=7, **settings))
    inline(asked(prompts, two, files, batch_size=3, **settings))  # goes on
    inline(asked(prompts, plain, None, **settings))
    assert images(one) == images(two) and len(images(one)) == 12
    assert verify(str(one)).ok and verify(str(plain)).ok
    for name, data in images(one).items():
        assert read_back(data, image_format, root)[0] == "Trusted", name
        assert 1_000 < len(data) - len(images(plain)[name]) < 5_000
    hashed = [(entry["sha256"], entry["bytes"]) for entry in entries(one) if entry["status"] == "success"]
    assert hashed == [(e["sha256"], e["bytes"]) for e in entries(two) if e["status"] == "success"]


def test_archives_hold_the_signed_files_too(inline: Run, prompts: str, tmp_path: Path) -> None:
    files, _ = chain_of(tmp_path / "keys")
    inline(asked(prompts, tmp_path / "folder", files))
    inline(asked(prompts, tmp_path / "tar", files, output_format="webdataset"))
    export(str(tmp_path / "tar"), "imagefolder", str(tmp_path / "copy"))
    assert images(tmp_path / "copy") == images(tmp_path / "folder") and verify(str(tmp_path / "tar")).ok


def test_a_plan_names_the_certificate_and_holds_no_key(inline: Run, prompts: str, tmp_path: Path) -> None:
    (files, _), (others, _) = chain_of(tmp_path / "keys"), chain_of(tmp_path / "others")
    out = tmp_path / "out"
    inline(asked(prompts, out, files))
    plan = json.loads((out / ".run/plan.json").read_text())
    assert plan["settings"]["credentials"] == read_signing_key(files).fingerprint
    secret = "".join(Path(files.key).read_text().splitlines()[1:-1])
    stored = [path for path in out.rglob("*") if path.is_file()]
    assert all(secret.encode() not in path.read_bytes() and b"key.pem" not in path.read_bytes() for path in stored)
    assert secret not in repr(read_signing_key(files))
    for wrong in (others, None):
        with pytest.raises(PlanMismatch, match="credentials"):
            inline(asked(prompts, out, wrong))
    inline(asked(prompts, tmp_path / "plain", None))
    assert "credentials" not in json.loads((tmp_path / "plain/.run/plan.json").read_text())["settings"]


def test_retry_signs_with_the_same_certificate_or_not_at_all(inline: Run, table: Table, tmp_path: Path) -> None:
    (files, _), (others, _) = chain_of(tmp_path / "keys"), chain_of(tmp_path / "others")
    prompts = table({"prompt": ["a", "b", f"FAILS-WITHOUT {tmp_path / 'cure'}", "d"]})
    whole, out = tmp_path / "whole", tmp_path / "out"
    inline(asked(prompts, out, files))
    assert len(images(out)) == 3
    (tmp_path / "cure").touch()
    inline(asked(prompts, whole, files))
    with pytest.raises(InvalidJob, match="are signed; give --c2pa-certificate and --c2pa-key"):
        retry_failed(str(out), source=TestSource())
    with pytest.raises(PlanMismatch, match="credentials"):
        retry_failed(str(out), source=TestSource(), signing=others)
    retry_failed(str(out), source=TestSource(), signing=files)
    assert images(out) == images(whole) and len(images(out)) == 4 and verify(str(out)).ok


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_server_and_its_batches_give_the_signed_files_of_generate(
    inline: Run, table: Table, tmp_path: Path, image_format: str
) -> None:
    files, _ = chain_of(tmp_path / "keys", "es256")
    of_batch = {"output_format": [image_format], "output_quality": pa.array([None], pa.int64())}
    path = table({"prompt": ["a red circle"], "seed": [7], **of_batch})
    inline(asked(path, tmp_path / "out", files, image_format=image_format))
    inline(asked(path, tmp_path / "batch", None))  # a batch's dataset is PNG, and is signed on its way out
    wanted = list(images(tmp_path / "out").values())
    name, revision = TestSource().name, TestSource().revision
    credentials = ContentCredentials(read_signing_key(files), name, revision)

    async def online() -> list[bytes]:
        painter = Painter(FlatColourGenerator(), None, 8, credentials=credentials)
        request = FlatColourGenerator.rules.resolve(GenerationRequest("a red circle", 7))
        pictures = await painter.paint(Job((request,), Encoder(image_format), 60))
        await painter.close()
        assert not isinstance(pictures, Refusal)
        return [picture.data for picture in pictures]

    assert asyncio.run(online()) == wanted
    (entry,) = entries(tmp_path / "batch")
    found = [(entry, images(tmp_path / "batch")["000000000-0.png"])]
    (item,) = success_body(found, Provenance(name, revision), credentials)["data"]
    assert [base64.b64decode(item["b64_json"])] == wanted


def test_a_server_checks_its_certificate_before_it_starts(tmp_path: Path) -> None:
    files, words = wrong_files(tmp_path, "expired")
    asked = ["serve", "--model", "flat-colour", "--c2pa-certificate", files.certificate, "--c2pa-key", files.key]
    assert re.search(words, str(CliRunner().invoke(app, asked).exception))
    assert "without c2pa_key" in str(CliRunner().invoke(app, asked[:-2]).exception)


def wrong_files(folder: Path, what: str) -> tuple[CredentialFiles, str]:
    """Files that cannot sign, and what is said of them."""
    files, _ = chain_of(folder / "keys")
    match what:
        case "missing":
            return dataclasses.replace(files, key=str(folder / "nowhere.pem")), "c2pa_key: cannot read .*nowhere.pem"
        case "another's key":
            return dataclasses.replace(files, key=chain_of(folder / "other")[0].key), "is not the key of the first"
        case "no certificate":
            Path(files.certificate).write_text("nothing")
            return files, "holds no certificate in PEM"
        case "no key":
            Path(files.key).write_text("nothing")
            return files, "holds no private key in PEM"
        case "encrypted":
            key = serialization.load_pem_private_key(Path(files.key).read_bytes(), None)
            Path(files.key).write_bytes(private_pem(key, serialization.BestAvailableEncryption(b"x")))
            return files, "is encrypted; give the key unencrypted"
        case "expired":
            return chain_of(folder / "old", days=(-300, -1))[0], "is valid from .* and it is"
        case "rsa":
            return chain_of(folder / "rsa", "rsa")[0], "RSA's signatures in C2PA hold random bytes"
    return chain_of(folder / "any", usage=False)[0], "cannot sign|a reader refuses"


@pytest.mark.parametrize(
    "what", ["missing", "another's key", "no certificate", "no key", "encrypted", "expired", "rsa", "no usage"]
)
def test_what_cannot_sign_is_told_before_any_work(inline: Run, prompts: str, tmp_path: Path, what: str) -> None:
    files, words = wrong_files(tmp_path, what)
    with pytest.raises(InvalidJob, match=words):
        check_credentials(files, Encoder("png"))
    with pytest.raises(InvalidJob, match=words):
        inline(asked(prompts, tmp_path / "out", files))
    assert not (tmp_path / "out/.run/plan.json").exists() and not (tmp_path / "out/images").exists()


def test_half_a_pair_is_refused(prompts: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidJob, match="c2pa_certificate is given without c2pa_key"):
        job(prompts, tmp_path / "out", c2pa_certificate="chain.pem")
    said = CliRunner().invoke(app, ["generate", prompts, str(tmp_path / "out"), "--c2pa-key", "key.pem"])
    assert "c2pa_key is given without c2pa_certificate" in str(said.exception)


def test_a_node_with_another_certificate_makes_nothing(
    inline: Run, prompts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files, _), (others, _) = chain_of(tmp_path / "keys"), chain_of(tmp_path / "others")
    here = read_signing_key(files)
    monkeypatch.setattr("pipelines.content_credentials.read_signing_key", lambda _: read_signing_key(others))
    monkeypatch.setattr("pipelines.batch.check_credentials", lambda files, encoder: here.fingerprint)
    with pytest.raises(InvalidJob, match="is not the certificate that the run was started with"):
        inline(asked(prompts, tmp_path / "out", files))
    assert not (tmp_path / "out/images").exists()
