"""From the spec's source to the object that lists it: the one place that knows all sources of the network.

To add one: its fields in `sourcespec.py`, its module, and a line here.
"""

from __future__ import annotations

from .httpfiles import HttpFiles
from .huggingface import HuggingFaceHub
from .modelscope import ModelScopeHub
from .settings import Settings
from .source import Source
from .sourcespec import Source as Spec
from .transport import Transport


def open_source(
    spec: Spec,
    transport: Transport,
    *,
    endpoint: str | None,
    token: str | None,
    settings: Settings,
    parallelism: int,
) -> Source:
    """`endpoint` is the site's own; what the spec names comes first."""
    if spec.http is not None:
        return HttpFiles(transport, spec.http, token, settings, parallelism)
    if spec.s3 is not None:
        from .s3 import S3Bucket  # with AWS's runtime, which nobody else needs

        return S3Bucket(transport, spec.s3, endpoint, settings, parallelism)
    hub = spec.hub
    assert hub is not None  # a path is verified where it lies, and there is no other
    opens = HuggingFaceHub if spec.hugging_face else ModelScopeHub
    return opens(transport, hub.endpoint or endpoint or hub.PUBLIC, hub.repo, hub.revision, token, settings)
