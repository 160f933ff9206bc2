"""The vocabulary of findings and their order in a score vector."""

from enum import StrEnum


class Finding(StrEnum):
    """One thing the model looks for."""

    NORMAL = "normal"
    PNEUMONIA = "pneumonia"
    TUBERCULOSIS = "tuberculosis"


FINDINGS: tuple[Finding, ...] = (Finding.NORMAL, Finding.PNEUMONIA, Finding.TUBERCULOSIS)
"""Order of the last axis of every score array; manifests must state the same."""

ABNORMAL: tuple[Finding, ...] = (Finding.PNEUMONIA, Finding.TUBERCULOSIS)
"""Findings that can raise a flag."""
