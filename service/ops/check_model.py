"""The model that serves: every byte, the signature, and the golden scores on the real engine."""

from collections.abc import Callable
from pathlib import Path

from service.core.artifact import Artifact, load_current
from service.ops.check import Told, not_checked, passed
from service.signature import Trust, check_signature


def check_digests(store: Path) -> Told:
    """`CURRENT` pins the manifest, and the manifest every other file."""
    artifact = load_current(store)
    return passed(f"{artifact.reference} {artifact.digest[:19]}, {len(artifact.files)} files")


def check_signed(store: Path, trust: Trust) -> Told:
    """Digests say that nothing changed since; a signature says who released it."""
    if not trust.is_asked_for:
        return not_checked("no key is configured (CXR_MODEL__PUBLIC_KEY)")
    check_signature(load_current(store), store, trust)
    return passed("by the configured key")


def check_golden(store: Path, prove: Callable[[Artifact], str]) -> Told:
    """The engine of this machine reproduces the scores of the release."""
    return passed(f"reproduced on {prove(load_current(store))}")
