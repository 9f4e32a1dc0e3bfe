"""What the service says of itself over HTTP: metrics and health. Nothing here changes anything."""

from batcher.serve.http import Health, exposition, serving

__all__ = ["Health", "exposition", "serving"]
