"""What the service says of itself over HTTP: metrics and health. Nothing here changes anything."""

from batcher.serve.http import Health, serving

__all__ = ["Health", "serving"]
