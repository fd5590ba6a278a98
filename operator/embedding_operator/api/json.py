"""The one place where untyped JSON is named: what YAML and the API server give before a view parses it.

Nothing else in the package writes `dict[str, Any]`; planning builds its manifests as `JsonObject` too.
"""

from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
