"""Files without a server: what an engine cannot score is told, and never called routine."""

from pathlib import Path

import pytest

from service.core.artifact import load_current
from service.offline import OfflineReader
from tests.support.engines import NamelessEngine
from tests.support.radiographs import png_bytes


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_scores_that_are_not_numbers_are_a_failure_with_a_code(
    tiny_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes())
    reader = OfflineReader(
        artifact=load_current(tiny_store), engine=NamelessEngine(), decode_threads=1
    )

    (result,) = reader.read([tmp_path / "a.png"])

    assert (result.status, result.code) == ("failed", "ENGINE_FAILED")
    assert (result.priority, result.has_answer) == (None, False)
