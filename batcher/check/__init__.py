"""What a service would meet if it ran now: access, mapping, clock and credentials of every cluster and workspace.

For who sets it up, before the first start and when something is refused. Nothing here changes anything: what is sent
are reads, and reviews of what is allowed, which no API server stores (:mod:`.asking` can send nothing else). No text
of an Event is read, and no token is ever part of what is found.

    every      all of it at once            clusters   one source cluster
    findings   what is found                workspaces one workspace of kcp, by an identity or an APIExport
    asking     the requests, and the clock  mapped     which namespaces have a workspace
    lease      of who elects a leader       shown      as the command shows it
"""

from batcher.check.every import LIMIT_SECONDS, Report, check_all
from batcher.check.findings import Finding, Level
from batcher.check.mapped import Place
from batcher.check.shown import HEADERS, WIDE_HEADERS, rows

__all__ = ["HEADERS", "LIMIT_SECONDS", "WIDE_HEADERS", "Finding", "Level", "Place", "Report", "check_all", "rows"]
