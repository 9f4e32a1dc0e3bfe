"""The JSON schema of the configuration file: made of the models, so that neither can say what the other does not.

What a schema cannot say (names that are unique, targets that are allowed) only ``batcher config validate`` finds.
Everything that is shown of the settings (explanations, printed defaults) is read from it.
"""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from batcher.settings.document import Settings
from batcher.settings.gates import GATES
from batcher.settings.values import SIZE_FORMAT, format_duration, format_size

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def file_schema() -> Schema:
    """Return the JSON schema of the file: camelCase, no other keys, durations and sizes as they are written."""
    made = Settings.model_json_schema(schema_generator=_Generator)
    definitions = {name: _plain(part) for name, part in sorted(made.pop("$defs").items())}
    schema = {"$schema": DIALECT, "title": "BatcherConfig", **_plain(made), "$defs": definitions}
    schema["properties"]["featureGates"] |= {
        "properties": {
            name: {"type": "boolean", "default": info.default, "description": f"{info.stage}. {info.meaning}"}
            for name, info in sorted(GATES.items())
        },
        "additionalProperties": False,
    }
    return schema


class _Generator(GenerateJsonSchema):
    """Writes defaults as the file does."""

    def encode_default(self, dft: Any) -> Any:  # type: ignore[explicit-override]  # typing.override came with 3.12
        """Return the default ``dft`` as JSON."""
        return super().encode_default(format_duration(dft) if hasattr(dft, "total_seconds") else dft)


def _plain(part: Any) -> Any:
    """Return ``part`` without what pydantic adds for its own forms: titles, and defaults of what has its own inside."""
    if isinstance(part, list):
        return [_plain(each) for each in part]
    if not isinstance(part, dict):
        return part
    left_out = {"title", "discriminator"} | ({"default"} if "$ref" in part else set())
    kept = {key: _plain(value) for key, value in part.items() if key not in left_out}
    if "properties" in kept:
        kept["properties"] = {name: _plain(value) for name, value in part["properties"].items()}
    for pattern, value in kept.pop("patternProperties", {}).items():
        kept |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
    if kept.get("format") == SIZE_FORMAT and isinstance(kept.get("default"), int):
        kept["default"] = format_size(kept["default"])
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].replace("``", "`").split())
    return kept
