"""Nothing that identifies a patient leaves, whatever is odd or broken about the file."""

import io
import logging
import warnings
from pathlib import Path

import pytest

from service.core.errors import CxrError
from service.core.intake import read_radiograph
from service.logs import set_up_logs
from tests.support.apps import open_app, tiny_settings
from tests.support.cases import Case
from tests.support.dicom_catalogue import READ
from tests.support.refusal_catalogue import REFUSED
from tests.support.sentinels import sentinel_tags

CASES: dict[str, Case] = {**READ, **REFUSED}
STATUSES = {200, 400, 413, 415, 422}


def written(folder: Path) -> bytes:
    """Every file of a folder."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.filterwarnings("ignore")
async def test_no_identifying_value_of_any_case_gets_out(tiny_store: Path, tmp_path: Path) -> None:
    tags, sentinels = sentinel_tags()
    lines, told, statuses = io.StringIO(), b"", set()
    set_up_logs("debug", lines)

    async with open_app(tiny_settings(tiny_store, tmp_path)) as service:
        for number, case in enumerate(CASES.values()):
            # Each a radiograph of its own, or the second would be a replay or a conflict.
            uid = f"{tags['SOPInstanceUID']}.{number}"
            body = case.body({**tags, "SOPInstanceUID": uid})
            for path in ("/predict", "/explain"):
                answer = await service.client.post(path, content=body)
                statuses.add(answer.status_code)
                told += repr(answer.headers).encode() + answer.content
        told += (await service.client.get("/metrics")).content

    traces = told + lines.getvalue().encode() + written(tmp_path)
    assert [value for value in sentinels if value.encode() in traces] == []
    assert statuses <= STATUSES
    assert lines.getvalue().count("triage.completed") == len(CASES)


@pytest.mark.filterwarnings("ignore")
def test_no_identifying_value_of_any_case_is_in_an_error_or_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tags, sentinels = sentinel_tags()
    said: list[str] = []

    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        for case in CASES.values():
            body = case.body(tags)
            try:
                said.append(repr(read_radiograph(body)))
            except CxrError as error:
                said += [str(error), repr(error), repr(error.__cause__)]

    heard = " ".join((*said, *(str(warning.message) for warning in warned), caplog.text))
    assert [value for value in sentinels if value in heard] == []
