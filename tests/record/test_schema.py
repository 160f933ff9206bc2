"""The schema that this release names is the one that its revisions end with."""

import subprocess
import sys
from pathlib import Path

from alembic.script import ScriptDirectory

from service.record.database import open_engine
from service.record.schema import NEWEST, migrate
from service.record.upgrade import alembic_config


def test_newest_is_the_last_revision() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == NEWEST


def test_a_log_that_is_up_to_date_opens_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shadow.db'}"
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    program = (
        "import sys; from service.record.database import open_engine; "
        "from service.record.schema import migrate; "
        f"migrate(open_engine({url!r})); print('alembic' in sys.modules)"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert told.stdout.split() == [b"False"]
