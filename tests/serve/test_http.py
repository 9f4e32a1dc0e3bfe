from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from batcher.serve import Health, serving
from batcher.telemetry import Sample
from tests.settings.files import valid

Ask = Callable[[str], Awaitable[tuple[int, str]]]
CONDITIONS = {"spool": "", "clusters": ""}


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    async def get(path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
            return response.status, await response.text()

    samples = [
        Sample("batcher_spool_lines", 7, ("revisions",)),
        Sample("batcher_cluster_connected", 1, ("us-west1",)),
        Sample("batcher_publish_latency_seconds", 302.5, ("root:shop",), (2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1)),
    ]
    CONDITIONS.update(spool="", clusters="")
    async with serving("127.0.0.1", 0, samples=lambda: samples, health=lambda: Health(CONDITIONS)) as port:
        yield get


async def test_metrics_are_shown_in_the_text_format_with_their_meaning(ask: Ask) -> None:
    status, text = await ask("/metrics")
    assert status == 200
    assert 'batcher_spool_lines_total{fate="revisions"} 7.0' in text
    assert 'batcher_cluster_connected{cluster="us-west1"} 1.0' in text
    assert "# HELP batcher_contact_gaps_total Times that a cluster was out of reach for longer than its" in text


async def test_a_histogram_says_how_many_took_no_longer_than_each_bound(ask: Ask) -> None:
    _, text = await ask("/metrics")
    assert 'batcher_publish_latency_seconds_bucket{le="0.1",workspace="root:shop"} 2.0' in text
    assert 'batcher_publish_latency_seconds_bucket{le="1.0",workspace="root:shop"} 3.0' in text
    assert 'batcher_publish_latency_seconds_bucket{le="+Inf",workspace="root:shop"} 4.0' in text
    assert 'batcher_publish_latency_seconds_count{workspace="root:shop"} 4.0' in text
    assert 'batcher_publish_latency_seconds_sum{workspace="root:shop"} 302.5' in text


async def test_metrics_tell_of_the_process_itself_as_every_exporter_does(ask: Ask) -> None:
    _, text = await ask("/metrics")
    assert "process_resident_memory_bytes " in text
    assert "process_cpu_seconds_total " in text


async def test_it_is_alive_whatever_the_clusters_do(ask: Ask) -> None:
    CONDITIONS["clusters"] = "not heard of yet: us-west1"
    assert await ask("/livez") == (200, "ok\n")
    assert await ask("/livez?verbose") == (200, "[+]ping ok\nlivez check passed\n")


async def test_what_fails_is_told_in_one_line_whatever_it_says(ask: Ask) -> None:
    CONDITIONS["spool"] = "no space\n[+]clusters ok\x1b[2J"
    assert (await ask("/readyz"))[1] == (
        "[-]spool failed: no space [+]clusters ok [2J\n[+]clusters ok\nreadyz check failed\n"
    )


async def test_it_is_ready_when_every_condition_holds_and_says_which_does_not(ask: Ask) -> None:
    assert await ask("/readyz") == (200, "ok\n")
    assert await ask("/readyz?verbose") == (200, "[+]spool ok\n[+]clusters ok\nreadyz check passed\n")
    CONDITIONS["clusters"] = "not heard of yet: us-west1"
    failed = "[+]spool ok\n[-]clusters failed: not heard of yet: us-west1\nreadyz check failed\n"
    assert await ask("/readyz") == (503, failed)
    assert await ask("/readyz?verbose") == (503, failed)


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz?verbose", "/<script>alert(1)</script>"])
async def test_a_browser_takes_an_answer_for_text_and_loads_nothing(path: str) -> None:
    async with (
        serving("127.0.0.1", 0, samples=lambda: (), health=lambda: Health({})) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as response,
    ):
        headers, text = response.headers, await response.text()
    assert headers["Content-Type"].startswith("text/plain")
    assert (headers["Content-Security-Policy"], headers["X-Content-Type-Options"]) == ("default-src 'none'", "nosniff")
    assert "<" not in text


def test_it_listens_on_the_loopback_unless_told_otherwise_and_not_at_all_without_a_port() -> None:
    assert (valid().serve.address, valid().serve.port) == ("127.0.0.1", None)
