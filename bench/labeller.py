"""F1 of the report labeller on the Indiana reports (Open-i, U.S. National Library of Medicine).

    python -m bench.labeller        # needs `pip install --no-deps torchxrayvision`

The reference is what the library's indexers wrote down (MeSH major terms), not another program.
"""

import importlib.util
import tarfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from service.core.findings import Finding
from service.labeller import MENTIONS, label_report
from service.record import Label

TERMS = {
    Finding.PNEUMONIA: {"pneumonia", "consolidation", "infiltrate", "airspace disease"},
    Finding.TUBERCULOSIS: {"tuberculosis"},
}


def reports_file() -> Path:
    """The archive in the installed package."""
    found = importlib.util.find_spec("torchxrayvision")
    if found is None or found.origin is None:
        raise SystemExit("pip install --no-deps torchxrayvision")
    return Path(found.origin).parent / "data" / "NLMCXR_reports.tgz"


def read_reports(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield each report's findings and impression, and its indexed terms in lower case."""
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".xml") else None
            if file is None:
                continue
            root = ElementTree.parse(file).getroot()
            parts = [
                part.text or ""
                for part in root.iter("AbstractText")
                if part.get("Label") in ("FINDINGS", "IMPRESSION")
            ]
            terms = {(term.text or "").split("/")[0].strip().lower() for term in root.iter("major")}
            yield "\n".join(parts), terms


def main() -> None:
    """Print one line a finding."""
    counts = {finding: {"tp": 0, "fp": 0, "fn": 0, "tn": 0, "unclear": 0} for finding in MENTIONS}
    total = 0
    for text, terms in read_reports(reports_file()):
        total += 1
        for finding, label in label_report(text).items():
            is_positive = bool(terms & TERMS[finding])
            if label is Label.UNCLEAR:
                counts[finding]["unclear"] += 1
            elif label is Label.POSITIVE:
                counts[finding]["tp" if is_positive else "fp"] += 1
            else:
                counts[finding]["fn" if is_positive else "tn"] += 1
    print(f"{total} reports")
    for finding, n in counts.items():
        f1 = 2 * n["tp"] / max(1, 2 * n["tp"] + n["fp"] + n["fn"])
        precision = n["tp"] / max(1, n["tp"] + n["fp"])
        sensitivity = n["tp"] / max(1, n["tp"] + n["fn"])
        print(
            f"{finding:14} F1 {f1:.3f}  precision {precision:.3f}  sensitivity {sensitivity:.3f}  "
            + "  ".join(f"{name} {count}" for name, count in n.items())
        )


if __name__ == "__main__":
    main()
