"""Tiny checkpoints of random weights in the form of Qwen3's, made with the packages that vLLM brings along.

Each is a quarter of a million numbers: enough for every part of the real ones to be there and to do its work.
"""

from pathlib import Path
from typing import Literal

from tests.contract.conftest import run_beside_vllm

CONTEXT = 4096
SIZE = 64

_COMMON = """
import json, sys
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

asked = json.load(sys.stdin)
torch.manual_seed(0)
BYTES = pre_tokenizers.ByteLevel
VISION = dict(
    image_token="<|image_pad|>", video_token="<|video_pad|>",
    vision_bos_token="<|vision_start|>", vision_eos_token="<|vision_end|>",
)
CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\\\n' }}"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' or 'image_url' in part %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\\\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\\\n' }}{% endif %}"
)

def tokenizer(**more):
    words = Tokenizer(models.BPE())
    words.pre_tokenizer, words.decoder = BYTES(add_prefix_space=False), decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *VISION.values()]
    learning = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=BYTES.alphabet())
    words.train_from_iterator(["yes no"] * 50, learning)
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHAT, **more
    )
    assert all(len(made.encode(word)) == 1 for word in ("yes", "no"))
    return made

TEXT = dict(
    vocab_size=640, hidden_size=asked["size"], intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, head_dim=32, max_position_embeddings=asked["context"], tie_word_embeddings=True,
)
"""
_TEXT = """
from transformers import Qwen3Config, Qwen3ForCausalLM

Qwen3ForCausalLM(Qwen3Config(**TEXT)).save_pretrained(asked["directory"])
tokenizer().save_pretrained(asked["directory"])
print(json.dumps("made"))
"""
_VISION = """
from transformers import (
    Qwen2VLImageProcessor, Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor, Qwen3VLVideoProcessor,
)

words = tokenizer(extra_special_tokens=VISION)
id_of = words.convert_tokens_to_ids
rope = dict(rope_type="default", rope_theta=5000000.0, mrope_interleaved=True, mrope_section=[6, 5, 5])
patches = dict(patch_size=16, temporal_patch_size=2)
config = Qwen3VLConfig(
    text_config=TEXT | dict(rope_parameters=rope),
    vision_config=dict(
        depth=2, hidden_size=32, num_heads=2, intermediate_size=64, spatial_merge_size=2, in_channels=3,
        out_hidden_size=asked["size"], num_position_embeddings=256, deepstack_visual_indexes=[0],
        hidden_act="gelu_pytorch_tanh", **patches,
    ),
    image_token_id=id_of(VISION["image_token"]), video_token_id=id_of(VISION["video_token"]),
    vision_start_token_id=id_of(VISION["vision_bos_token"]), vision_end_token_id=id_of(VISION["vision_eos_token"]),
    tie_word_embeddings=True,
)
Qwen3VLForConditionalGeneration(config).save_pretrained(asked["directory"])
pictures = dict(merge_size=2, size=dict(shortest_edge=4096, longest_edge=1 << 24), **patches)
half = dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)
Qwen3VLProcessor(
    image_processor=Qwen2VLImageProcessor(**pictures, **half), tokenizer=words,
    video_processor=Qwen3VLVideoProcessor(**pictures, **half), chat_template=CHAT,
).save_pretrained(asked["directory"])
print(json.dumps("made"))
"""


def make(kind: Literal["text", "vision"], directory: Path) -> None:
    """Write one to this directory."""
    asked = {"directory": str(directory), "context": CONTEXT, "size": SIZE}
    assert run_beside_vllm(_COMMON + {"text": _TEXT, "vision": _VISION}[kind], asked) == "made"
