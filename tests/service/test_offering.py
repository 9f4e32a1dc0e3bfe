"""Which writes a state gives."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from batcher.service.offering import offers
from tests.history import RULES, START_AT, history
from tests.sections import event, watched

SOON: dict[str, Any] = {"look": RULES.look, "rewrite_after": timedelta(0), "rewrite_most": timedelta(0)}


def test_what_the_publisher_has_is_not_rendered_and_all_else_is_as_it_was(tmp_path: Path) -> None:
    with history(tmp_path / "data") as h:
        h.batch(watched(event("a", 1), event("b", 2), event("c", 3)), minute=0)
        state, asked = h.batches.state, []

        def has(workspace: str, summary: str, version: int) -> bool:
            asked.append((workspace, summary, version))
            return len(asked) == 2

        every = offers(state, now=START_AT, **SOON)
        assert len({write.summary for write in every}) == 3
        assert offers(state, now=START_AT, **SOON, has=has) == [every[0], every[2]]
        assert asked == [(write.workspace, write.summary, write.version) for write in every]
        assert offers(state, now=START_AT, **SOON, has=lambda *_: True) == []
