from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batcher.connect import connect
from tests.kcp.real import KUBECONFIG, Kcp


@pytest.fixture
async def kcp() -> AsyncIterator[Kcp]:
    connection = connect(name="kcp", kubeconfig=Path(KUBECONFIG))
    connection.server = connection.server.partition("/clusters/")[0]
    yield Kcp(connection)
    await connection.close()
