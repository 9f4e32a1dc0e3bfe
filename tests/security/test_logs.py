"""Whatever is logged, by whomever: one line each, of the form that was asked for, that moves no cursor."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from datetime import datetime

import pytest

from tests.security.corpus import TEXTS, hostile

LOGS = """
import logging, sys, warnings
import structlog
from batcher import logs
from batcher.errors import Unavailable

said = {texts!r}
logs.configure({style!r}, "debug")
log = structlog.get_logger("batcher")
for text in said:
    log.warning("archive is away", error=text, **{{"why": [text], "cluster": "us-west1"}})
    try:
        raise Unavailable(text)
    except Unavailable:
        log.exception("no answer")
    logging.getLogger("aiohttp.server").error("Error handling %s", text, exc_info=ValueError(text))
    logging.getLogger("another").log(35, text)
    logging.getLogger("another").info("below what is passed on: %s", text)
    warnings.warn(text, stacklevel=1)
raise RuntimeError(said[-1])
"""
LINES = 5
"""Of each text."""


async def logged(style: str) -> list[str]:
    texts = list(TEXTS.values())
    code = LOGS.format(texts=texts, style=style)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "utf8", "-W", "always", "-", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate(code.encode("utf-8", "backslashreplace"))
    assert (process.returncode, out) == (1, b"")
    lines = err.decode().split("\n")
    assert (len(lines), lines[-1]) == (len(texts) * LINES + 2, "")
    return lines[:-1]


async def test_every_line_of_json_is_one_object_that_says_when_how_bad_and_what() -> None:
    lines = await logged("json")
    decoded = [json.loads(line) for line in lines]
    events = {"archive is away", "no answer", "a library says", "ended by an error nobody thought of"}
    assert {each["event"] for each in decoded} == events
    assert {each["level"] for each in decoded} == {"warning", "error", "critical"}
    assert all(datetime.fromisoformat(each["timestamp"]) for each in decoded)
    assert [each["error"] for each in decoded if "error" in each] == list(TEXTS.values())
    assert [line for line in lines if hostile(line) or not line.isascii()] == []


async def test_every_line_of_text_begins_with_a_time_and_a_level_and_has_no_control_character() -> None:
    begin = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (warning|error|critical) +\w")
    lines = await logged("text")
    assert [line for line in lines if not begin.match(line) or hostile(line)] == []
    assert lines[-1].split("  ")[0].endswith("critical ended by an error nobody thought of")


@pytest.mark.parametrize("style", ["json", "text"])
async def test_a_request_that_is_none_forges_no_line(style: str) -> None:
    code = f"""
import asyncio
from batcher import logs
from batcher.serve import Health, serving

async def main():
    logs.configure({style!r}, "info")
    async with serving("127.0.0.1", 0, samples=lambda: (), health=lambda: Health({{}})) as port:
        for header in (b"Bad\\x1b[2J: x", b"Content-Length: \\x1b[31mzz", b"x\\n\\n{{}}"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /metrics HTTP/1.1\\r\\n" + header + b"\\r\\n\\r\\n")
            assert b" 400 " in await reader.readline()
            writer.close()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate(code.encode())
    assert (process.returncode, out) == (0, b""), err
    lines = err.decode().splitlines()
    assert len(lines) >= 2
    assert [line for line in lines if "a library says" not in line or hostile(line)] == []
