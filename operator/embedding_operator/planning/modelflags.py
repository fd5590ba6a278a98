"""Flags that the model and its task need: what `config.json` must say, the prompt of a reranker, how vectors are
pooled, and what else than text a request may hold.

Safe where nobody says otherwise: no URL is fetched, one image, no video.
"""

import json
from collections.abc import Iterator

from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import Multimodal, Task
from embedding_operator.planning import scripts
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.families import Family
from embedding_operator.planning.flag import Flag
from embedding_operator.planning.resolve import Resolution

NO_DOMAIN = "/"  # an empty list would allow every one; this can equal no host
MAX_PIXELS = 1843200  # 1800 tokens an image, as Qwen3-VL-Embedding and -Reranker were trained with


def model_flags(resolved: Resolution) -> Iterator[Flag]:
    """The flags, in order. Raises PlanError for what the release cannot be told."""
    if resolved.family is not None:
        yield from _of_family(resolved.family)
    yield from _pooler(resolved)
    yield from _media(resolved.serving.multimodal, resolved.family, resolved.task)


def _of_family(family: Family) -> Iterator[Flag]:
    if family.overrides:
        why = f"{family.name} is saved as a language model; its score is how much likelier yes is than no"
        yield _json("--hf-overrides", family.overrides, why)
    if family.template:
        yield Flag(
            "--chat-template",
            (scripts.script_path(family.template),),
            "query and document in the prompt that the model was trained with, which is not in its repository",
            needs="score-template",
        )


def _pooler(resolved: Resolution) -> Iterator[Flag]:
    """Of vectors only: the schema refuses these fields with another task."""
    serving = resolved.serving
    if resolved.task != "Embed":
        return
    if serving.dimensions is not None:
        why = "spec.serving.dimensions: vectors are cut to it, for which vLLM must hear that the model allows it"
        yield _json("--hf-overrides", {"is_matryoshka": True}, why)
        yield _json("--pooler-config", {"dimensions": serving.dimensions}, "spec.serving.dimensions")
    if serving.pooling.type is not None:
        yield _json("--pooler-config", {"pooling_type": serving.pooling.type.upper()}, "spec.serving.pooling.type")
    if serving.pooling.normalize is not None:
        key = _normalize_key(resolved)
        yield _json("--pooler-config", {key: serving.pooling.normalize}, "spec.serving.pooling.normalize")


def _normalize_key(resolved: Resolution) -> str:
    """vLLM 0.18 renamed it, as the field of requests."""
    release = resolved.release
    if release.knows("pooler.normalize"):
        return "normalize"
    if release.knows("embed.use_activation"):
        return "use_activation"
    raise PlanError(
        Reason.INVALID_SPEC,
        f"spec.serving.pooling.normalize: how vLLM {resolved.version} is told is not known here, since it was renamed "
        "between 0.13.0 and 0.18.0: leave it out, or choose one of these versions",
    )


def _media(wanted: Multimodal, family: Family | None, task: Task) -> Iterator[Flag]:
    yield Flag(
        "--allowed-media-domains",
        wanted.allowed_media_domains or (NO_DOMAIN,),
        "spec.serving.multimodal.allowedMediaDomains; where none is named, no URL is fetched (/ equals no host, and an "
        "empty list would allow all)",
    )
    sees = family is not None and family.vision
    limits = _said({"image": wanted.images_per_prompt, "video": wanted.videos_per_prompt})
    if sees:  # a rerank prompt holds query and document
        limits = {"image": 2 if task == "Rerank" else 1, "video": 0} | limits
    if limits:
        yield _json("--limit-mm-per-prompt", limits, "spec.serving.multimodal; else one image a text, no video")
    pixels = wanted.max_pixels or (MAX_PIXELS if sees else None)
    if pixels is not None:
        why = (
            "spec.serving.multimodal.maxPixels; else what the model was trained with, as its checkpoint allows far more"
        )
        yield _json("--mm-processor-kwargs", {"max_pixels": pixels}, why)


def _said(values: dict[str, int | None]) -> dict[str, int]:
    return {name: value for name, value in values.items() if value is not None}


def _json(name: str, value: JsonObject, why: str) -> Flag:
    return Flag(name, (json.dumps(value),), why)
