"""JSON as it is sent to the API server, which reads what is applied as YAML: nearly the same, but not quite.

YAML takes some characters for ends of lines and refuses others, where JSON has them in strings like any letter. They
are escaped, which both read alike: text that a person wrote arrives as it is, whatever is in it.
"""

import re
from typing import Any, Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode
# DEL and the C1 controls (NEL, an end of a line, is among them), the line and paragraph separators, the byte order mark
# and what is no character at all
_NOT_IN_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def encode(value: Any) -> bytes:
    """The bytes of a value, in UTF-8."""
    body = _encode(value)
    if body.isascii() and b"\x7f" not in body:
        return body
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", body.decode()).encode()
