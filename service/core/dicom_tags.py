"""Header bytes -> values of tags; one that cannot be read is None, and its keyword is kept."""

import io
import logging
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import pydicom.config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from service.core.dicom_layout import Layout
from service.core.errors import DamagedFile
from service.core.radiograph import Caution

MAX_VALUE_BYTES = 512 * 1024
"""Largest value that is parsed; the largest legitimate one is a LUT of 65536 x 16 bit."""

LARGEST_INTEGER = 2**32
"""More than any integer of DICOM but SV and UV, which a radiograph has none of."""

MAX_ITEMS = 64
"""Items of a sequence that is read, all levels together; a radiograph has a few in each."""

SEQUENCES_READ = (
    "ModalityLUTSequence",
    "VOILUTSequence",
    "ViewCodeSequence",
    "AnatomicRegionSequence",
)
"""pydicom makes objects of every item of a sequence without length, each of which takes longer
than a pixel row: no other such sequence is shown to it."""

# pydicom quotes values of tags, names included, in its warnings and log lines; they must not
# leave. A filter, because a logging configuration may reset level, handlers and `disabled`.
# All of this is set once, at import, and never again, so threads cannot see them change.
logging.getLogger("pydicom").addFilter(lambda _record: False)
warnings.filterwarnings("ignore", module="pydicom")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

T = TypeVar("T")


class Tags:
    """Guarded reading of one data set.

    Every method answers an absent, empty or unreadable value with its empty answer; keywords of the
    unreadable ones are remembered, for a caution.
    """

    def __init__(
        self, dataset: Dataset, *, little_endian: bool, unreadable: set[str] | None = None
    ) -> None:
        self._dataset = dataset
        self._unreadable: set[str] = set() if unreadable is None else unreadable
        self.little_endian = little_endian

    def __contains__(self, keyword: str) -> bool:
        return Tag(keyword) in self._dataset

    def text(self, keyword: str) -> str:
        """First value as text, or ""."""
        return next(iter(self.texts(keyword)), "")

    def texts(self, keyword: str) -> tuple[str, ...]:
        """All values as stripped text."""
        return self._guard(keyword, _to_texts) or ()

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """All values as finite numbers."""
        return self._guard(keyword, _to_numbers) or ()

    def number(self, keyword: str) -> float | None:
        """First value as a finite number."""
        return next(iter(self.numbers(keyword)), None)

    def integer(self, keyword: str) -> int | None:
        """First value as a whole number; one beyond all that DICOM can write is unreadable."""
        value = self.number(keyword)
        if value is not None and abs(value) > LARGEST_INTEGER:
            self._unreadable.add(keyword)
            return None
        return None if value is None else int(value)

    def octets(self, keyword: str) -> bytes | None:
        """Value as bytes; None where pydicom has made numbers of it."""
        return self._guard(keyword, lambda value: value if isinstance(value, bytes) else None)

    def items(self, keyword: str) -> tuple["Tags", ...]:
        """Items of one of `SEQUENCES_READ`; one with too many counts as unreadable."""
        raw: object = self._dataset.get_item(Tag(keyword))
        octets = raw.value if isinstance(raw, RawDataElement) else None
        if octets and octets.count(_item_tag(self.little_endian)) > MAX_ITEMS:
            self._unreadable.add(keyword)
            return ()
        datasets = self._guard(keyword, _to_datasets) or ()
        return tuple(
            Tags(dataset, little_endian=self.little_endian, unreadable=self._unreadable)
            for dataset in datasets
        )

    def first_item(self, keyword: str) -> "Tags | None":
        """First item of such a sequence; the others are not parsed where they are long."""
        raw: object = self._dataset.get_item(Tag(keyword))
        if isinstance(raw, RawDataElement) and len(raw.value or b"") > MAX_VALUE_BYTES:
            octets = _cut_behind_first_item(raw.value or b"", little_endian=self.little_endian)
            self._dataset[raw.tag] = raw._replace(value=octets, length=len(octets))
        return next(iter(self.items(keyword)), None)

    def is_unreadable(self, keyword: str) -> bool:
        """Tell an unreadable value from an absent one, where the difference moves a score."""
        return keyword in self._unreadable

    def cautions(self) -> tuple[Caution, ...]:
        """One caution that names the keywords whose values could not be read."""
        if not self._unreadable:
            return ()
        return (Caution("TAG_UNREADABLE", "cannot read " + ", ".join(sorted(self._unreadable))),)

    def _guard(self, keyword: str, convert: Callable[[object], T]) -> T | None:
        tag = Tag(keyword)
        # pydicom parses lazily and raises nearly anything on hostile values (ValueError, KeyError,
        # RecursionError, struct.error, NotImplementedError ...), so this boundary catches them all.
        try:
            raw: object = self._dataset.get_item(tag)
            if isinstance(raw, RawDataElement) and len(raw.value or b"") > MAX_VALUE_BYTES:
                self._unreadable.add(keyword)
                return None
            value = None if raw is None else self._dataset[tag].value
            return None if value is None else convert(value)
        except Exception:  # noqa: BLE001 - see above
            self._unreadable.add(keyword)
            return None


def read_tags(body: bytes, layout: Layout) -> Tags:
    """Parse the header, which ends before Pixel Data.

    Raises
    ------
    DamagedFile
        pydicom cannot parse it. Its own message may quote a value, so it is not passed on.
    """
    header, unreadable = _select(body, layout)
    try:
        dataset = read_dataset(io.BytesIO(header), layout.implicit_vr, layout.little_endian)
    except Exception:  # noqa: BLE001 - pydicom raises nearly anything on hostile bytes
        raise DamagedFile("the header of the DICOM file cannot be parsed") from None
    return Tags(dataset, little_endian=layout.little_endian, unreadable=unreadable)


def _select(body: bytes, layout: Layout) -> tuple[bytes, set[str]]:
    """The header without sequences that are not read, and keywords of those that go on and on."""
    wanted = {int(Tag(keyword)): keyword for keyword in SEQUENCES_READ}
    item_tag, seen = _item_tag(layout.little_endian), set[int]()
    parts, unreadable, start = list[bytes](), set[str](), layout.header_start
    for container in layout.containers:
        count = body.count(item_tag, container.start, container.end)
        if container.tag in wanted and container.tag not in seen and count <= MAX_ITEMS:
            seen.add(container.tag)
            continue
        if container.tag in wanted:
            unreadable.add(wanted[container.tag])
        parts.append(body[start : container.start])
        start = container.end
    return b"".join((*parts, body[start : layout.header_end])), unreadable


def _cut_behind_first_item(octets: bytes, *, little_endian: bool) -> bytes:
    """A sequence without its other items, if the first one says how long it is."""
    end = 8 + int.from_bytes(octets[4:8], "little" if little_endian else "big")
    is_cut = octets.startswith(_item_tag(little_endian)) and end <= len(octets)
    return octets[:end] if is_cut else octets


def _item_tag(little_endian: bool) -> bytes:
    return b"\xfe\xff\x00\xe0" if little_endian else b"\xff\xfe\xe0\x00"


def _to_texts(value: object) -> tuple[str, ...]:
    values: Sequence[object] = value if isinstance(value, MultiValue | list) else [value]
    texts = (str(item).strip(" \0\t\r\n") for item in values)
    return tuple(texts) if len(values) > 1 else tuple(text for text in texts if text)


def _to_numbers(value: object) -> tuple[float, ...]:
    values: Sequence[object] = value if isinstance(value, MultiValue | list) else [value]
    numbers = tuple(float(str(item)) for item in values if str(item).strip(" \0"))
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("not a finite number")
    return numbers


def _to_datasets(value: object) -> tuple[Dataset, ...]:
    if not isinstance(value, Sequence) or not all(isinstance(item, Dataset) for item in value):
        raise TypeError("not a sequence of data sets")
    return tuple(value)
