"""Leader election by the Leases of a real API server, which kcp is one of."""

import asyncio
from pathlib import Path

import pytest

from batcher import clock
from batcher.connect import Connection, connect
from batcher.lease import Elector, Terms
from tests.kcp.real import KUBECONFIG, Kcp

pytestmark = [
    pytest.mark.kcp,
    pytest.mark.skipif(not KUBECONFIG, reason="BATCHER_KCP_KUBECONFIG names no kubeconfig of a real kcp"),
]


def candidate(path: str, name: str) -> tuple[Connection, Elector]:
    connection = connect(name="lease", kubeconfig=Path(KUBECONFIG))
    connection.server = f"{connection.server.partition('/clusters/')[0]}/clusters/{path}"
    terms = Terms("web", "batcher", name, lease_seconds=4.0, renew_seconds=3.0, retry_seconds=0.3)
    return connection, Elector(connection, terms, now=clock.now)


async def test_a_real_api_server_takes_what_is_written_and_one_leads_after_the_other(kcp: Kcp) -> None:
    path = await kcp.workspace("lease")
    (one, first), (two, second) = candidate(path, "one"), candidate(path, "two")
    where = f"/clusters/{path}/apis/coordination.k8s.io/v1/namespaces/web/leases/batcher"
    try:
        await first.acquire()
        renewing = asyncio.get_running_loop().create_task(first.renew())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.acquire(), 6)
        assert (first.leading, second.leading, second.holder, second.trouble) == (True, False, "one", "")
        renewing.cancel()
        before = (await kcp.call("GET", where))[1]["spec"]
        await first.release()
        async with asyncio.timeout(3):
            await second.acquire()
        after = (await kcp.call("GET", where))[1]["spec"]
        assert (before["holderIdentity"], before["leaseTransitions"]) == ("one", 0)
        assert (after["holderIdentity"], after["leaseTransitions"]) == ("two", 1)
    finally:
        await one.close()
        await two.close()
        await kcp.delete(path)
