"""A command that is called tells what a process of its own would tell, to the byte."""

from pathlib import Path

import pytest

from tests.called import called
from tests.history import history
from tests.sections import event, watched
from tests.service.world import batcher


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("events", "-A", "-o", "json"), 0),
        (("sql", "SELECT message FROM occurrences", "-o", "csv"), 0),
        (("failed", "retry", "17"), 2),
        (("why", "pod/"), 2),
        (("archive", "status", "--no-such-option"), 2),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
async def test_what_a_call_tells_is_what_the_process_tells(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("web", 10, message="\x1b[31mé\u202e\r\nnext")), minute=1)
    asked = (*arguments, "--data-dir", str(tmp_path / "data"))
    async with batcher(*asked) as process:
        out, err = await process.communicate()
    assert await called(*asked) == (code, out.decode(), err.decode())
    assert process.returncode == code
    assert out or err
