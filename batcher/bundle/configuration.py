"""The configuration as a bundle has it: all that differs from the defaults, but for free texts."""

from typing import Any

import yaml

from batcher.bundle.secrets import MASK
from batcher.errors import ConfigError
from batcher.settings import Settings

FREE = frozenset({"pattern", "replace", "message", "messagePrefix", "addLabels", "addAnnotations", "storageOptions"})
"""Keys whose values are anybody's text: what is redacted names the secret it is against."""


def shown(settings: Settings) -> str:
    """Return ``settings`` as YAML; a file that is mounted is named, and not opened."""
    document = settings.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return yaml.safe_dump(_without_free_texts(document), sort_keys=False)


def problems(error: ConfigError) -> str:
    """Return where the configuration is wrong; what is wrong quotes it, and is left out."""
    return "".join(f"{problem.partition(': ')[0]}: is wrong\n" for problem in error.problems)


def _without_free_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: MASK if key in FREE else _without_free_texts(inner) for key, inner in value.items()}
    return [_without_free_texts(each) for each in value] if isinstance(value, list) else value
