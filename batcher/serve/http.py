"""``/metrics``, ``/livez`` and ``/readyz?verbose``.

``/livez`` says that the process can answer; it never depends on a cluster, or a cluster's outage would
restart the one who should record it. ``/readyz`` says that every cluster has been listed once and the disk
takes what is received. Beside ours, ``/metrics`` has the process's own (memory, CPU, files), as every exporter's.
Binds to loopback unless told otherwise; no Event's text is ever in an answer. Answers are plain text, and a browser is
told to take them for nothing else and to load nothing.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import accumulate
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from batcher.telemetry import METRICS, PUBLISH_BOUNDS, Sample
from batcher.text import safe


class Health(NamedTuple):
    """Whether it is ready, and each condition by its name: empty when it holds, else why not."""

    conditions: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether every condition holds."""
        return not any(self.conditions.values())


class _Samples(Collector):
    def __init__(self, samples: Callable[[], Iterable[Sample]]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:  # type: ignore[explicit-override]  # typing.override: 3.12
        families = {name: _FAMILIES[m.kind](name, m.meaning, labels=m.labels) for name, m in METRICS.items()}
        for sample in self._samples():
            family = families[sample.name]
            if isinstance(family, HistogramMetricFamily):
                family.add_metric(list(sample.labels), _cumulated(sample.counts), sum_value=sample.value)
            else:
                family.add_metric(list(sample.labels), sample.value)
        yield from families.values()


_FAMILIES: Mapping[str, type[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _cumulated(counts: Sequence[int]) -> list[tuple[str, float]]:
    """``counts`` as Prometheus has them: how many up to each bound, the last of which is everything."""
    bounds = [*map(str, PUBLISH_BOUNDS), "+Inf"]
    return list(zip(bounds, accumulate(counts), strict=True))


def exposition(samples: Iterable[Sample]) -> bytes:
    """Return ``samples`` in the text format of Prometheus, with what each metric means."""
    registry = CollectorRegistry()
    registry.register(_Samples(lambda: samples))
    return generate_latest(registry)


_HEADERS = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


@asynccontextmanager
async def serving(
    address: str, port: int, *, samples: Callable[[], Iterable[Sample]], health: Callable[[], Health]
) -> AsyncIterator[int]:
    """Answer on ``address:port`` (0: a free one, which is yielded) until the block ends."""
    registry = CollectorRegistry()
    registry.register(_Samples(samples))
    ProcessCollector(registry=registry)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        now = health()
        lines = [safe(f"[{'-' if why else '+'}]{name} {why or 'ok'}") for name, why in now.conditions.items()]
        text = "\n".join([*lines, "ready" if now.ready else "not ready"]) if "verbose" in request.query else ""
        return web.Response(text=f"{text or ('ok' if now.ready else 'not ready')}\n", status=200 if now.ready else 503)

    app = web.Application()
    app.on_response_prepare.append(_add_headers)
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", livez), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
