"""A version is served only if the configured key signed the bytes that were loaded."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from pydantic import ValidationError
from typer.testing import CliRunner

from service.cli import app
from service.core.artifact import MANIFEST, Artifact, load_current
from service.core.errors import DigestMismatch
from service.settings import ModelSettings, Settings
from service.signature import (
    SIGNATURE,
    SignatureMissing,
    SignatureRefused,
    SignatureUncheckable,
    SigningKey,
    Trust,
    check_signature,
    sign,
)
from tests.support.apps import open_app, tiny_settings
from tests.support.models import TinyChoices, build_tiny_artifact

PASSWORD = "correct horse"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return build_tiny_artifact(tmp_path / "store")


@pytest.fixture
def artifact(store: Path) -> Artifact:
    return load_current(store)


def write_key(folder: Path, name: str, password: str | None = None) -> tuple[Path, Path]:
    """A new private key and its public half."""
    key = ec.generate_private_key(ec.SECP256R1())
    lock = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def write_authority(folder: Path, name: str) -> tuple[SigningKey, Path]:
    """A signing certificate, and the authority that it comes from."""
    authority, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(
        ec.SECP256R1()
    )  # fmt: skip
    root = _certificate(f"{name} root", f"{name} root", authority, authority, is_authority=True)
    signer = _certificate(f"{name} releases", f"{name} root", leaf, authority, is_authority=False)
    files = {part: folder / f"{name}-{part}.pem" for part in ("root", "leaf", "key")}
    files["root"].write_bytes(root.public_bytes(Encoding.PEM))
    files["leaf"].write_bytes(signer.public_bytes(Encoding.PEM))
    files["key"].write_bytes(leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return SigningKey(files["key"], None, files["leaf"], (files["root"],)), files["root"]


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    authority: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=False,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(usage, critical=True)
        .sign(authority, hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def test_without_a_key_digests_are_all_that_is_asked(artifact: Artifact, store: Path) -> None:
    check_signature(artifact, store, Trust())

    assert not (store / artifact.reference / SIGNATURE).exists()


def test_signed_version_passes_and_an_unsigned_does_not(
    artifact: Artifact, store: Path, tmp_path: Path
) -> None:
    private, public = write_key(tmp_path, "release")
    with pytest.raises(SignatureMissing, match=r"bears no model\.sig"):
        check_signature(artifact, store, Trust(public_key=public))

    sign(artifact, store, SigningKey(private))

    check_signature(artifact, store, Trust(public_key=public))


def test_signature_by_another_key_is_refused(
    artifact: Artifact, store: Path, tmp_path: Path
) -> None:
    sign(artifact, store, SigningKey(write_key(tmp_path, "stranger")[0]))

    with pytest.raises(SignatureRefused, match="not by the configured key"):
        check_signature(artifact, store, Trust(public_key=write_key(tmp_path, "release")[1]))


def test_signature_of_another_version_is_refused(store: Path, tmp_path: Path) -> None:
    private, public = write_key(tmp_path, "release")
    first = load_current(store)
    sign(first, store, SigningKey(private))
    build_tiny_artifact(store, TinyChoices(version="0.0.2", seed=1))
    second = load_current(store)
    (store / second.reference / SIGNATURE).write_bytes(
        (store / first.reference / SIGNATURE).read_bytes()
    )

    with pytest.raises(SignatureRefused):
        check_signature(second, store, Trust(public_key=public))


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json"])
def test_damaged_signature_is_refused(
    artifact: Artifact, store: Path, tmp_path: Path, damage: bytes
) -> None:
    public = write_key(tmp_path, "release")[1]
    (store / artifact.reference / SIGNATURE).write_bytes(damage)

    with pytest.raises(SignatureRefused):
        check_signature(artifact, store, Trust(public_key=public))


def test_files_exchanged_after_they_were_loaded_do_not_lend_their_signature(
    artifact: Artifact, store: Path, tmp_path: Path
) -> None:
    private, public = write_key(tmp_path, "release")
    sign(artifact, store, SigningKey(private))
    (store / artifact.reference / MANIFEST).write_bytes(b"{}")

    with pytest.raises(DigestMismatch, match="changed since it was loaded"):
        check_signature(artifact, store, Trust(public_key=public))


def test_certificate_of_the_trusted_authority_passes_and_of_another_does_not(
    artifact: Artifact, store: Path, tmp_path: Path
) -> None:
    key, root = write_authority(tmp_path, "vendor")
    _, stranger = write_authority(tmp_path, "stranger")

    sign(artifact, store, key)

    check_signature(artifact, store, Trust(certificate_chain=root))
    with pytest.raises(SignatureRefused):
        check_signature(artifact, store, Trust(certificate_chain=stranger))


def test_key_that_cannot_be_read_is_no_reason_to_serve(
    artifact: Artifact, store: Path, tmp_path: Path
) -> None:
    sign(artifact, store, SigningKey(write_key(tmp_path, "release")[0]))

    for key in (tmp_path / "missing.pem", store / artifact.reference / MANIFEST):
        with pytest.raises(SignatureUncheckable):
            check_signature(artifact, store, Trust(public_key=key))


def test_missing_package_is_no_reason_to_serve(
    artifact: Artifact, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = write_key(tmp_path, "release")
    sign(artifact, store, SigningKey(private))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(SignatureUncheckable, match=r"cxr-triage\[signing\]"):
        check_signature(artifact, store, Trust(public_key=public))


def test_commands_sign_verify_and_refuse(store: Path, tmp_path: Path) -> None:
    private, public = write_key(tmp_path, "release", PASSWORD)
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    runner = CliRunner(env={"CXR_MODEL__STORE": str(store), "CXR_MODEL__PUBLIC_KEY": str(public)})

    unsigned = runner.invoke(app, ["model", "verify"])
    signed = runner.invoke(
        app, ["model", "sign", "tiny/0.0.1", "--key", str(private),
              "--password-file", str(tmp_path / "password")],
    )  # fmt: skip
    verified = runner.invoke(app, ["model", "verify"])

    assert isinstance(unsigned.exception, SignatureMissing)
    assert signed.exit_code == 0, signed.output
    assert "model.sig is by the configured key" in verified.output


def test_the_signers_own_program_verifies_it_too(
    artifact: Artifact, store: Path, tmp_path: Path
) -> None:
    private, public = write_key(tmp_path, "release")
    written = sign(artifact, store, SigningKey(private))

    done = subprocess.run(
        [sys.executable, "-m", "model_signing", "verify", "key", written.parent,
         "--signature", written, "--public_key", public],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


async def test_service_refuses_an_unsigned_version_and_serves_a_signed_one(
    artifact: Artifact, store: Path, tmp_path: Path
) -> None:
    private, public = write_key(tmp_path, "release")
    settings = tiny_settings(store, tmp_path, model=ModelSettings(store=store, public_key=public))

    with pytest.raises(SignatureMissing):
        async with open_app(settings):
            pass
    sign(artifact, store, SigningKey(private))

    async with open_app(settings) as opened:
        assert (await opened.client.get("/readyz")).status_code == 200


async def test_unsigned_promotion_does_not_take_over(
    artifact: Artifact, store: Path, tmp_path: Path
) -> None:
    private, public = write_key(tmp_path, "release")
    sign(artifact, store, SigningKey(private))
    settings = tiny_settings(store, tmp_path, model=ModelSettings(store=store, public_key=public))

    async with open_app(settings) as opened:
        build_tiny_artifact(store, TinyChoices(version="0.0.2", seed=1))
        assert not await opened.runtime.watch.look()
        assert opened.runtime.manifest.version == "0.0.1"


def test_a_site_trusts_a_key_or_an_authority() -> None:
    with pytest.raises(ValidationError, match="name one of them"):
        Settings.model_validate({"model": {"public_key": "a", "certificate_chain": "b"}})
