"""Who released this model: an OpenSSF model signature over every file, checked without a network.

`model.sig` is a Sigstore bundle, as the package `model-signing` writes it: a DSSE envelope around
an in-toto statement with the digest of each file. Its own command line verifies it as well.
"""

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.core.artifact import MANIFEST, Artifact, digest_of
from service.core.errors import ArtifactError, DigestMismatch

SIGNATURE = "model.sig"


class SignatureMissing(ArtifactError):
    """A key is configured, and the version bears no signature."""

    code = "ARTIFACT_UNSIGNED"


class SignatureRefused(ArtifactError):
    """The signature is not by the configured key, or is over other bytes."""

    code = "ARTIFACT_SIGNATURE_REFUSED"


class SignatureUncheckable(ArtifactError):
    """A key is configured, and what checks signatures is not installed, or the key unreadable."""

    code = "ARTIFACT_SIGNATURE_UNCHECKABLE"


@dataclass(frozen=True, slots=True)
class Trust:
    """What a site trusts; with neither, only digests are checked.

    Attributes
    ----------
    public_key
        PEM of an elliptic curve key (P-256, P-384, P-521).
    certificate_chain
        PEM of the authority that a signing certificate must come from, intermediates included.
    """

    public_key: Path | None = None
    certificate_chain: Path | None = None

    @property
    def is_asked_for(self) -> bool:
        """Whether a version must be signed."""
        return self.public_key is not None or self.certificate_chain is not None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What signs a release; with a certificate, sites trust its authority instead of the key."""

    private_key: Path
    password: str | None = None
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()


def check_signature(artifact: Artifact, store: Path, trust: Trust) -> None:
    """Refuse a version that the configured key did not sign.

    The bytes that were loaded are checked, not the files: they could have been exchanged since.

    Raises
    ------
    SignatureMissing, SignatureRefused, SignatureUncheckable
        Nothing is raised where no key is configured.
    """
    if not trust.is_asked_for:
        return
    folder = store / artifact.reference
    if not (folder / SIGNATURE).is_file():
        raise SignatureMissing(f"{artifact.reference} bears no {SIGNATURE}; a key is configured")
    with _laid_out(artifact, folder) as copy:
        signature = copy.with_name(SIGNATURE)
        shutil.copyfile(folder / SIGNATURE, signature)
        _verify(copy, signature, trust, artifact.reference)


def sign(artifact: Artifact, store: Path, key: SigningKey) -> Path:
    """Write `model.sig` beside the files of a version that was loaded whole.

    Raises
    ------
    SignatureUncheckable
        The key cannot be read, or the package is not installed.
    """
    _require_package()
    from model_signing import signing  # noqa: PLC0415 - optional, thirty megabytes

    folder = store / artifact.reference
    with _laid_out(artifact, folder) as copy:
        signature = copy.with_name(SIGNATURE)
        try:
            signer = signing.Config()  # type: ignore[no-untyped-call]  # it has no types
            if key.certificate is None:
                # 1.1.1 hands the password to `cryptography` as it is, which takes bytes alone.
                secret: Any = None if key.password is None else key.password.encode()
                signer.use_elliptic_key_signer(private_key=key.private_key, password=secret)
            else:
                signer.use_certificate_signer(
                    private_key=key.private_key, signing_certificate=key.certificate,
                    certificate_chain=list(key.chain),
                )  # fmt: skip
            signer.sign(copy, signature)
        except (OSError, ValueError, TypeError) as error:
            raise SignatureUncheckable("the signing key cannot be used") from error
        part = folder / f"{SIGNATURE}.part"
        shutil.copyfile(signature, part)
        return part.replace(folder / SIGNATURE)


@contextmanager
def _laid_out(artifact: Artifact, folder: Path) -> Iterator[Path]:
    """The files of the version and no other, from the bytes whose digests were checked."""
    manifest = (folder / MANIFEST).read_bytes()
    if digest_of(manifest) != artifact.digest:
        raise DigestMismatch(f"{MANIFEST} of {artifact.reference} changed since it was loaded")
    with tempfile.TemporaryDirectory(prefix="model-") as place:
        copy = Path(place) / artifact.manifest.version
        copy.mkdir()
        for name, body in {**artifact.files, MANIFEST: manifest}.items():
            (copy / name).write_bytes(body)
        yield copy


def _verify(copy: Path, signature: Path, trust: Trust, reference: str) -> None:
    _require_package()
    from model_signing import verifying  # noqa: PLC0415 - optional, thirty megabytes

    chain = [] if trust.certificate_chain is None else [trust.certificate_chain]
    verifier = verifying.Config()  # type: ignore[no-untyped-call]  # it has no types
    try:
        if trust.public_key is not None:
            verifier.use_elliptic_key_verifier(public_key=trust.public_key)
        else:
            verifier.use_certificate_verifier(certificate_chain=chain)
    except (OSError, ValueError) as error:
        raise SignatureUncheckable("the key that models are checked with is unreadable") from error
    try:
        verifier.verify(copy, signature)
    except Exception as error:  # each library below raises its own, and all of them mean no
        raise SignatureRefused(
            f"{SIGNATURE} of {reference} is not by the configured key, or is over other files"
        ) from error


def _require_package() -> None:
    if importlib.util.find_spec("model_signing") is None:
        raise SignatureUncheckable("signatures need: pip install 'cxr-triage[signing]'")
