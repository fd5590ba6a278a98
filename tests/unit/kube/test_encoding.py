"""What is sent reads alike as JSON and as YAML, whatever people write."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.kube.encoding import encode


@given(st.text())
def test_text_is_the_same_as_json(text: str) -> None:
    assert json.loads(encode({"text": text})) == {"text": text}


@pytest.mark.parametrize("code", [0x7F, 0x80, 0x85, 0x9F, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF])
def test_what_yaml_takes_for_something_else_is_escaped(code: int) -> None:
    sent = encode({"text": f"a{chr(code)}b"})
    assert chr(code).encode() not in sent
    assert yaml.safe_load(sent) == {"text": f"a{chr(code)}b"}


def test_other_letters_stay_as_they_are() -> None:
    assert encode({"text": "é日本🤖"}) == '{"text":"é日本🤖"}'.encode()
