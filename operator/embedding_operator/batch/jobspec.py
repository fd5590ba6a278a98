"""The input of all phases of a job: one JSON document, parsed strictly.

Unknown fields are refused, so that a newer operator never gets something else than was asked for. Holds no credential:
those travel in the environment only.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Strict(BaseModel):
    """No field but those that are named, in camelCase."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, frozen=True)


class Place(Strict):
    """Where files are: an absolute directory, or an address."""

    root: str
    """`/input`, `s3://bucket/prefix`, `https://host/path`."""
    endpoint: str | None = None
    region: str | None = None


class Input(Place):
    """What is read."""

    files: list[str]
    """Globs below the root."""
    format: Literal["JsonLines", "Parquet", "Text"]
    id_field: str | None = None
    text_field: str | None = None
    image_field: str | None = None
    query_field: str | None = None
    document_field: str | None = None


class Output(Place):
    """What is written."""

    format: Literal["Parquet", "Npy", "JsonLines"]
    dtype: Literal["Float32", "Float16"] = "Float32"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    """What is asked of the server; its own when left out."""


class Model(Strict):
    """Which model the vectors are of; goes into the manifest."""

    served_name: str
    source: str | None = None
    revision: str | None = None
    digest: str | None = None
    space: str | None = None
    """The id of the embedding space, where it is known."""


class MaxErrors(Strict):
    """What decides whether the job has failed: exactly one of both."""

    count: Annotated[int, Field(ge=0)] | None = None
    percent: Annotated[float, Field(ge=0, le=100)] | None = None


class JobSpec(Strict):
    """What a job has to do."""

    name: str
    namespace: str
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{16,64}$")]
    """A hash over all that decides what becomes of a row."""
    task: Literal["Embed", "Rerank"] = "Embed"
    input: Input
    output: Output
    model: Model
    runtime: dict[str, str] = Field(default_factory=dict)
    """Image and version of the server; goes into the manifest."""
    instruction: str | None = None
    prompt_format: Literal["Raw", "Model"] = "Raw"
    truncate: bool = False
    shard_bytes: Annotated[int, Field(ge=1)] = 256 * 1024 * 1024
    max_errors: MaxErrors = MaxErrors(count=0)
    progress_port: Annotated[int, Field(ge=0, le=65535)] | None = 8081
