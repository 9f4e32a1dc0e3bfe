"""The service: everything wired together, and the loop that runs it. No rule of counting or of the protocol is here."""

from batcher.service.detached import leave
from batcher.service.loop import Service
from batcher.service.opening import go_on, opened
from batcher.service.reloading import reload, serve

__all__ = ["Service", "go_on", "leave", "opened", "reload", "serve"]
