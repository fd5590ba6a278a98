"""What the RuntimeProfile's CRD says of a spec, as JSON Schema for the chart's values.

So Helm refuses a misspelt profile before anything is installed. What only CEL can say, the API server says, and the
operator tells it.
"""

import json
import re
from typing import Any

import yaml

_KEPT = {"type", "description", "enum", "pattern", "required"}
_BOUNDS = {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
_PLACE = re.compile(r'^(    "profile": )\{.*\}$', re.M)


def put_into(values_schema: str, crd: str) -> str:
    """The values' schema with its definition of a profile, one line, made anew."""
    spec = yaml.safe_load(crd)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    line = json.dumps(json_schema(spec), ensure_ascii=False)
    made, places = _PLACE.subn(lambda found: found[1] + line, values_schema)
    if places != 1:
        raise ValueError('values.schema.json: expected one line `    "profile": {...}` among its definitions')
    return made


def json_schema(node: dict[str, Any]) -> dict[str, Any]:
    """A structural schema as JSON Schema of draft 7; nothing is let through that it does not name."""
    made = {key: value for key, value in node.items() if key in _KEPT | _BOUNDS}
    if "description" in made:
        made["description"] = " ".join(made["description"].split())
    if node.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if "items" in node:
        made["items"] = json_schema(node["items"])
    if "properties" in node:
        made["properties"] = {name: json_schema(below) for name, below in node["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    elif isinstance(node.get("additionalProperties"), dict):
        made["additionalProperties"] = json_schema(node["additionalProperties"])
    return made
