"""What each vLLM release understands, as far as anybody here says it: rendering never emits what a release lacks.

One table. Each release is the one before it with what it gained and what it lost, in words of five kinds:
`--flag` of `vllm serve`, `pooler.KEY` of `--pooler-config`, `load.STRATEGY` of `--safetensors-load-strategy`, fields
of requests (`embed.FIELD`, `rerank.FIELD`), and `score-template` (`--chat-template` puts query and document of a rerank
request into the model's own format). A new release is one new entry.

`tests/releases/` holds what was read of each release's own source; a test holds this table against it.
"""

import re
from dataclasses import dataclass

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_WHOLE = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_MARKED = re.compile(r"(?<![A-Za-z])v(\d+)\.(\d+)\.(\d+)")

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Release:
    """One vLLM release and what may be said to it."""

    version: Version
    words: frozenset[str]
    ascend: bool  # vllm-ascend has a release of the same number

    def knows(self, word: str) -> bool:
        """Whether it understands a word of this module's vocabulary."""
        return word in self.words

    def __str__(self) -> str:
        return said(self.version)


def said(version: Version) -> str:
    """As people write it."""
    return ".".join(map(str, version))


def _after(before: Release, version: Version, *, gained: str = "", lost: str = "", ascend: bool = True) -> Release:
    return Release(version, before.words - _words(lost) | _words(gained), ascend)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_0_11 = Release(
    (0, 11, 0),
    _words(
        """
        --served-model-name --runner --convert --port --dtype --tensor-parallel-size --max-model-len
        --max-num-batched-tokens --max-num-seqs --middleware --safetensors-load-strategy --pooler-config --hf-overrides
        --ssl-certfile --ssl-keyfile --enable-ssl-refresh
        --chat-template --limit-mm-per-prompt --mm-processor-kwargs --allowed-media-domains --enable-prefix-caching
        --enable-chunked-prefill --compilation-config --additional-config --enforce-eager
        --task --override-pooler-config --disable-log-requests --enable-log-requests --swap-space
        --disable-frontend-multiprocessing --disable-mm-preprocessor-cache --rope-scaling --rope-theta
        --max-num-partial-prefills --override-attention-dtype
        pooler.pooling_type pooler.dimensions pooler.normalize pooler.activation pooler.softmax pooler.logit_bias
        load.lazy load.eager
        embed.dimensions embed.encoding_format embed.normalize embed.add_special_tokens embed.truncate_prompt_tokens
        rerank.top_n rerank.truncate_prompt_tokens
        """
    ),
    ascend=True,
)
_0_13 = _after(
    _0_11,
    (0, 13, 0),
    gained="""
        --nnodes --node-rank --master-addr --master-port --data-parallel-external-lb
        pooler.use_activation load.torchao rerank.use_activation embed.embed_dtype embed.endianness
    """,
    lost="--task --override-pooler-config --disable-mm-preprocessor-cache --rope-scaling --rope-theta",
)
_0_18 = _after(
    _0_13,
    (0, 18, 0),
    gained="""
        --shutdown-timeout --disable-access-log-for-endpoints --performance-mode
        pooler.seq_pooling_type pooler.tok_pooling_type load.prefetch score-template
        embed.use_activation embed.truncation_side rerank.truncation_side
    """,
    lost="""
        --disable-log-requests --swap-space
        pooler.normalize pooler.activation pooler.softmax embed.normalize
    """,
)
_0_23 = _after(
    _0_18,
    (0, 23, 0),
    gained="""
        --renderer-num-workers --data-parallel-multi-port-external-lb --safetensors-prefetch-num-threads
        --safetensors-prefetch-block-size
        pooler.task pooler.logit_mean pooler.logit_sigma
        rerank.instruction rerank.max_tokens_per_doc rerank.chat_template_kwargs
    """,
    lost="--disable-frontend-multiprocessing pooler.logit_bias",
)
_0_32 = _after(
    _0_23,
    (0, 32, 0),
    gained="""
        --trust-request-mm-kwargs --max-num-queued-reqs --max-num-queued-tokens --log-level --logging-config
        --device-ids --device-memory-utilization
    """,
    lost="--max-num-partial-prefills --override-attention-dtype",
    ascend=False,
)
_0_33 = _after(_0_32, (0, 33, 0), gained="--watchdog-config", ascend=False)

RELEASES = (_0_11, _0_13, _0_18, _0_23, _0_32, _0_33)
VOCABULARY = frozenset().union(*(release.words for release in RELEASES))
SUGGESTED = next(release for release in reversed(RELEASES) if release.ascend)


def release_for(version: str) -> Release | None:
    """What is certain of `version`, or None (older than all, or no version).

    That is the newest known release that is not newer; of one between two known releases, what both understand.
    """
    wanted = parse_version(version)
    older, newer = _around(wanted)
    if not older:
        return None
    known = older[-1]
    if known.version == wanted or not newer:
        return known
    return Release(known.version, known.words & newer[0].words, known.ascend)


def lacks(version: str, flag: str) -> bool:
    """Whether this version certainly has no such flag: it came later, or is gone. Of others nobody knows."""
    wanted = parse_version(version)
    older, newer = _around(wanted)
    near = [*older[-1:], *(newer[:1] if wanted not in {release.version for release in older[-1:]} else ())]
    return flag in VOCABULARY and not any(release.knows(flag) for release in near)


def _around(wanted: Version) -> tuple[tuple[Release, ...], tuple[Release, ...]]:
    """The releases that are not newer, and those that are."""
    older = tuple(release for release in RELEASES if release.version <= wanted)
    return older, RELEASES[len(older) :]


def having(word: str) -> tuple[Release, ...]:
    """The releases that understand a word, oldest first."""
    return tuple(release for release in RELEASES if release.knows(word))


def parse_version(version: str) -> Version:
    """The numbers of a version; zeros where it is none."""
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def version_of_image(image: str) -> str | None:
    """The version that an image's tag tells, or None (a digest or a tag without one)."""
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    # what is marked as a version goes before other software's, as in `cann8.5.0-py3.11-v0.23.0`
    found = _MARKED.search(tag) or _WHOLE.search(tag)
    return ".".join(found.groups()) if found else None


def retag(image: str, old: str, new: str) -> str:
    """The image with version `old` in its tag replaced by `new`; suffixes such as `-a3` stay.

    `0.23.0` is not in `v0.23.0rc1`: that is another version, whose rest would stay.
    """
    name, separator, tag = image.rpartition(":")
    changed = re.sub(rf"(?<![\d.]){re.escape(old)}(?!\d|\.[\w]|a\d|b\d|rc|post)", new, tag)
    return f"{name}{separator}{changed}"
