"""Licences of an SBOM's components, as SPDX names, and which of them are permissive."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from license_expression import get_spdx_licensing

PERMISSIVE = frozenset({
    "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "HPND", "ISC", "MIT",
    "MIT-0", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib",
})  # fmt: skip

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Zero-Clause BSD (0BSD)": "0BSD",
}
"""The last part of a classifier, where a package says no more."""


BARE_BSD = re.compile(r"(?<![\w-])BSD(?![\w-])")
"""As a classifier says it; SPDX has no such name, and each kind of it is permissive."""


def licence_of(licences: Sequence[Mapping[str, Any]]) -> str:
    """One SPDX expression for a component; empty where it says nothing.

    A classifier beside an identifier often says the same less exactly, and is then left out.
    """
    exact = [_exact(entry) for entry in licences]
    named = [name for name in exact if name]
    if not named:
        named = [_classified(entry) for entry in licences]
    return " AND ".join(dict.fromkeys(filter(None, named)))


def is_permissive(expression: str) -> bool:
    """Whether every licence that must be kept is permissive, or a choice leaves one that is."""
    if not expression:
        return False
    return _judge(get_spdx_licensing().parse(BARE_BSD.sub("BSD-3-Clause", expression)))


def _judge(node: Any) -> bool:
    """The tree has no types."""
    if hasattr(node, "args") and node.args:
        verdicts = [_judge(part) for part in node.args]
        return any(verdicts) if type(node).__name__ == "OR" else all(verdicts)
    return str(node) in PERMISSIVE


def _exact(entry: Mapping[str, Any]) -> str:
    return str(entry.get("expression") or entry.get("license", {}).get("id") or "")


def _classified(entry: Mapping[str, Any]) -> str:
    name = str(entry.get("license", {}).get("name", "")).rpartition(" :: ")[2]
    return CLASSIFIERS.get(name, name)
