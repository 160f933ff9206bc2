"""Free text of a chest X-ray report -> positive, negative or unclear for each finding.

Small rules in the manner of NegEx (Chapman et al., J Biomed Inform 2001;34:301-310) and CheXpert
(Irvin et al., AAAI 2019): a mention is found sentence by sentence; what stands around it says
whether it is denied, hedged or of the past. What the rules cannot decide stays unclear: a human
reads it, no rate counts it.
"""

import re
from collections.abc import Mapping
from typing import Final

from service.core.findings import Finding
from service.record.evidence import Label

MENTIONS: Final[Mapping[Finding, re.Pattern[str]]] = {
    Finding.PNEUMONIA: re.compile(
        r"\b(?:(?:broncho)?pneumoni(?:a|as|c|tis)|air ?space (?:disease|process|opacit(?:y|ies))"
        r"|consolidations?|consolidative|infiltrates?|infiltration|infectious process)\b"
    ),
    Finding.TUBERCULOSIS: re.compile(
        r"\b(?:tuberculo(?:sis|us)|tb|mycobacteri(?:al|um|a)|miliary)\b"
    ),
}
"""Words that speak of a finding, and the signs that radiologists name in its place."""

DENIED_BEFORE: Final = re.compile(
    r"\b(?:no(?! change| interval change| significant change)|not|without|free of|negative for"
    r"|denies|absence of|absent|rule[sd]? out|resolved|resolution of|clear(?:ed|ing)? of"
    r"|lungs? (?:is|are|remains?|appears?) clear|nor|neither|never)\b"
)
DENIED_AFTER: Final = re.compile(
    r"^[^.;]{0,40}?\b(?:(?:is|are|was|were|has|have) (?:not|been excluded|been ruled out|resolved"
    r"|cleared|absent)|(?:not|none) (?:seen|identified|present|evident|appreciated|demonstrated)"
    r"|(?:has|have) (?:resolved|cleared)|unlikely|is excluded)\b"
)
HEDGED_BEFORE: Final = re.compile(
    r"\b(?:possibl[ye]|probabl[ye]|may|might|could|suspicio(?:n|us)|suspect(?:ed)?|suggest\w*"
    r"|concern(?:ing|ed)?|question(?:able)?|likely|cannot|can ?not|can't|versus|vs|consider"
    r"|differential|equivocal|consistent with|compatible with|or|if|evaluate for|assess for)\b"
)
HEDGED_AFTER: Final = re.compile(
    r"^[^.;]{0,50}?\b(?:cannot|can ?not|can't|not (?:entirely |completely )?excluded"
    r"|versus|vs|possible|is considered|may be|should be considered|or)\b|^\s*\?"
)
PAST: Final = re.compile(
    r"\b(?:history of|hx of|h/o|prior|previous(?:ly)?|remote|old|healed|past|chronic|treated"
    r"|exposure|sequela\w* of|calcified|granulomatous|latent)\b"
)
PAST_CHARACTERS: Final = 30
"""Farther away, `prior` mostly speaks of the earlier film and not of the finding."""

PSEUDO: Final = re.compile(
    r"\b(?:no (?:significant |interval |definite )?change|not only|without change|tb (?:test|skin))"
    r"\b|\bpositive ppd\b"
)
SENTENCE: Final = re.compile(r"(?<=[.;:!?])\s+|\n+")
SCOPE_BREAK: Final = re.compile(
    r"\b(?:but|however|although|except|though|yet|with the exception)\b"
)
INDICATION: Final = re.compile(
    r"(?is)\b(?:indication|comparison|clinical (?:history|information)|history|reason for exam\w*"
    r"|technique)\s*:.*?(?=\b(?:findings?|impression|conclusion|opinion)\s*:|\Z)"
)
"""What was asked is no answer."""


def label_report(text: str) -> dict[Finding, Label]:
    """Label each finding; one that nothing speaks of is negative, as reports name what they see.

    A sure mention makes it positive, and stands above a denial elsewhere in the text. A hedge
    leaves it unclear.
    """
    told = INDICATION.sub(" ", text).lower()
    return {finding: _label_of(finding, told) for finding in MENTIONS}


def _label_of(finding: Finding, text: str) -> Label:
    found = [
        _judge(clause, mention)
        for sentence in SENTENCE.split(text)
        for clause in SCOPE_BREAK.split(PSEUDO.sub(" ", sentence))
        for mention in MENTIONS[finding].finditer(clause)
    ]
    for label in (Label.POSITIVE, Label.UNCLEAR):
        if label in found:
            return label
    return Label.NEGATIVE


def _judge(clause: str, mention: re.Match[str]) -> Label:
    before, after = clause[: mention.start()], clause[mention.end() :]
    if DENIED_AFTER.search(after) or DENIED_BEFORE.search(before):
        return Label.NEGATIVE
    if PAST.search(before[-PAST_CHARACTERS:]):
        return Label.NEGATIVE
    if "opacit" in mention[0]:
        return Label.UNCLEAR  # as often atelectasis or oedema
    if HEDGED_BEFORE.search(before) or HEDGED_AFTER.search(after):
        return Label.UNCLEAR
    return Label.POSITIVE
