"""Images that rows hold or name, as data URLs: what a server is sent never makes it read a file or an address."""

from __future__ import annotations

import base64
import binascii
import re

from .places import InputPlace

MAX_BYTES = 32 << 20
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
_DATA = re.compile(r"data:image/[A-Za-z0-9.+-]+;base64,", re.ASCII | re.IGNORECASE)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def data_url(value: str, place: InputPlace) -> str:
    """The image of a row, told by its first bytes and not by its name. Raises ValueError in words for people."""
    if told := _DATA.match(value):
        try:
            data = base64.b64decode(value[told.end() :], validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("its data URL is no base64") from None
        if len(data) > MAX_BYTES:
            raise ValueError(f"it is bigger than {MAX_BYTES >> 20} MiB")
        _kind(data, "its data URL")
        return value
    if _ADDRESS.match(value):
        raise ValueError("it is neither a data URL (data:image/…;base64,…) nor a path below the input")
    if "\0" in value:
        raise ValueError("its path holds a NUL")
    data = place.image(value, MAX_BYTES)
    return url_of(data, value)


def url_of(data: bytes, what: str) -> str:
    """The bytes of an image as a data URL. Raises ValueError."""
    return f"data:{_kind(data, what)};base64,{base64.b64encode(data).decode()}"


def _kind(data: bytes, what: str) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    for magic, kind in _KINDS:
        if data.startswith(magic):
            return kind
    raise ValueError(f"{what} is no image that is known (PNG, JPEG, WebP, GIF, BMP, TIFF)")
