"""A model's directory, as far as the double looks: sizes from config.json, vectors from the text itself.

Vectors come from hashed words and character trigrams, so equal texts are equal and similar ones similar, on
every machine. It must never read the weights, only see that they are there.
"""

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPECIAL = ("[start]", "[end]")
WORDS = re.compile(r"\w+|[^\w\s]")


class ModelError(Exception):
    """The server cannot start with this directory."""


def read_config(directory: Path) -> dict[str, Any]:
    if not (directory / "config.json").is_file():
        raise ModelError(f"ValueError: Invalid repository ID or local directory specified: {str(directory)!r}")
    if not any(directory.glob("*.safetensors")):
        raise ModelError(f"RuntimeError: Cannot find any model weights with `{directory}`")
    try:
        config: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"OSError: {directory / 'config.json'} is not valid JSON: {error}") from error
    # Vision-language models keep the sizes of their text part one level down.
    return {**config, **config.get("text_config", {})}


def longest_input(directory: Path, config: dict[str, Any]) -> int:
    """What the checkpoint allows; sentence-transformers files may narrow it."""
    limits = [int(config.get("max_position_embeddings", 2048))]
    extra = directory / "sentence_bert_config.json"
    if extra.is_file():
        limits.append(int(json.loads(extra.read_text(encoding="utf-8")).get("max_seq_length") or limits[0]))
    return min(limits)


def classes(config: dict[str, Any]) -> int:
    """How many a sequence classifier tells apart; one where two tokens of a language model stand for it."""
    if not any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or ()):
        return 0
    return (
        1 if "classifier_from_token" in config else int(config.get("num_labels") or len(config.get("id2label") or "01"))
    )


def token_id(word: str, vocabulary: int) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big") % vocabulary


def features(word: str) -> list[tuple[str, float]]:
    """A word and its trigrams; long words say more than short ones."""
    weight = float(min(len(word), 8))
    framed = f"^{word}$"
    trigrams = [framed[at : at + 3] for at in range(len(framed) - 2)]
    return [(word, weight), *((trigram, weight / (2 * len(trigrams))) for trigram in trigrams)]


def vector(words: list[str], length: int, seed: str = "") -> list[float]:
    """A vector of norm 1; never zero, for the specials count a little too. Another seed is another space."""
    numbers = [0.0] * length
    for word in words:
        for feature, weight in [(word, 0.01)] if word in SPECIAL else features(word):
            hashed = int.from_bytes(
                hashlib.blake2b(feature.encode(), digest_size=8, salt=seed.encode()).digest(), "big"
            )
            numbers[(hashed >> 1) % length] += weight if hashed & 1 else -weight
    norm = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / norm for number in numbers]


@dataclass
class Model:
    """What the double knows of the model it claims to serve."""

    path: str
    hidden_size: int
    max_model_len: int
    vocabulary: int
    matryoshka: bool = False
    classes: int = 0  # of a sequence classifier; an embedding model has none
    seed: str = ""  # of the vectors
    _words: dict[int, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str, max_model_len: int | None, overrides: dict[str, Any]) -> "Model":
        directory = Path(path)
        config = {**read_config(directory), **overrides}
        if "hidden_size" not in config:
            raise ModelError(f"ValueError: {directory / 'config.json'} has no hidden_size")
        longest = longest_input(directory, config)
        if max_model_len is not None and max_model_len > longest:
            raise ModelError(
                f"ValueError: User-specified max_model_len ({max_model_len}) is greater than the derived "
                f"max_model_len ({longest})"
            )
        return cls(
            path=path,
            hidden_size=int(config["hidden_size"]),
            max_model_len=max_model_len or longest,
            vocabulary=int(config.get("vocab_size", 32000)),
            matryoshka=bool(config.get("is_matryoshka")),
            classes=classes(config),
        )

    def tokenize(self, text: str, special: bool = True) -> list[int]:
        words = WORDS.findall(text.lower())
        if special:
            words = [SPECIAL[0], *words, SPECIAL[1]]
        tokens = [token_id(word, self.vocabulary) for word in words]
        self._words.update(zip(tokens, words, strict=True))
        return tokens

    def score(self, query: str, document: str) -> float:
        """The cosine of two texts; a classifier's is between 0 and 1."""
        one, other = (self.embed(self.tokenize(text)) for text in (query, document))
        cosine = sum(a * b for a, b in zip(one, other, strict=True))
        return (cosine + 1) / 2 if self.classes else cosine

    def probabilities(self, tokens: list[int]) -> list[float]:
        """Of the classes, in their order."""
        weights = [math.exp(number) for number in self.embed(tokens, max(self.classes, 2))[: self.classes]]
        return [weight / sum(weights) for weight in weights]

    def embed(self, tokens: list[int], dimensions: int | None = None) -> list[float]:
        words = [self._words.get(token, str(token)) for token in tokens]
        return vector(words, dimensions or self.hidden_size, self.seed)
