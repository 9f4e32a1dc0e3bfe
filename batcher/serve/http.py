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

from batcher.telemetry import METRICS, Sample
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
                counts = _cumulated(METRICS[sample.name].bounds, sample.counts)
                family.add_metric(list(sample.labels), counts, sum_value=sample.value)
            else:
                family.add_metric(list(sample.labels), sample.value)
        yield from families.values()


_FAMILIES: Mapping[str, type[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _cumulated(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """``counts`` as Prometheus has them: how many up to each bound, the last of which is everything."""
    return list(zip([*map(str, bounds), "+Inf"], accumulate(counts), strict=True))


def exposition(samples: Iterable[Sample]) -> bytes:
    """Return ``samples`` in the text format of Prometheus, with what each metric means."""
    registry = CollectorRegistry()
    registry.register(_Samples(lambda: samples))
    return generate_latest(registry)


_HEADERS = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _checked(name: str, health: Health, request: web.Request) -> web.Response:
    """As kube-apiserver answers: all conditions where one fails, or where they are asked for."""
    if health.ready and "verbose" not in request.query:
        return web.Response(text="ok\n")
    said = (f"[-]{each} failed: {why}" if why else f"[+]{each} ok" for each, why in health.conditions.items())
    lines = [safe(line) for line in said]
    text = "\n".join([*lines, f"{name} check {'passed' if health.ready else 'failed'}"])
    return web.Response(text=f"{text}\n", status=200 if health.ready else 503)


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

    async def livez(request: web.Request) -> web.Response:
        return _checked("livez", Health({"ping": ""}), request)

    async def readyz(request: web.Request) -> web.Response:
        return _checked("readyz", health(), request)

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
