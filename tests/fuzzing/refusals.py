"""Whether a refusal is of use: it names the field, and says in words of a CRD or of Kubernetes what is wrong there."""

from __future__ import annotations

import re

from tests.fuzzing.server import Answer
from tests.unit.test_crds import FIELDS

OURS = {rule["message"] for _, _, schema in FIELDS for rule in schema.get("x-kubernetes-validations", ())}
KUBERNETES = re.compile(
    r"unknown field|must be of type \w+|must be an object for an array of list-type map|Required value|Duplicate value"
    r"|Too long: may not be more than \d+|Too many: \d+: must have at most \d+|Unsupported value: .*supported values: "
    r"|should be (greater|less) than or equal to -?\d+|should be at least \d+ chars long"
    r"|should have at (least|most) \d+ (items|properties)",
    re.S,
)
# what the API server adds without a field: that it looked no further, and that a number is none
_ASIDE = (
    "some validation rules were not checked because the object was invalid",
    "Checked value must be of type",
)
_SCALE = ".spec.replicas"  # read once more, for kubectl scale
_UNKNOWN = re.compile(r'unknown field "(spec\.[^"]+)"')


def faults(answer: Answer) -> list[str]:
    """What is wrong with a refusal."""
    causes = _causes(answer)
    found = [] if causes else [f"no field is named: {answer}"]
    found += [f"{field}: nothing of use in: {message}" for field, message in causes if not _is_useful(message)]
    return found + [f"no field is named: {message}" for field, message in causes if not field.startswith("spec")]


def names(answer: Answer, place: tuple[str | int, ...]) -> bool:
    """Whether a refusal names what is at a place, what it is in, what is in it, or what does not go with it; a rule
    over two fields is told of one of them and names the other in its words."""
    wrong = [str(step) for step in place if isinstance(step, str)]
    for field, message in _causes(answer):
        if wrong and all(re.search(rf"\b{re.escape(step)}\b", message) for step in wrong):
            return True
        named = re.sub(r"\[[^]]*\]", "", field).split(".")[1:]
        shorter = min(len(named), len(wrong))
        if named[:shorter] == wrong[:shorter] or named[:1] == wrong[:1]:
            return True
    return False


def _causes(answer: Answer) -> list[tuple[str, str]]:
    """Fields, and what is said of them."""
    if answer.code == 400:  # there are no causes where the API server could not even read it
        return [(field, f"unknown field {field}") for field in _UNKNOWN.findall(str(answer))]
    said = [(field, message) for field, message in answer.causes if not field.startswith(_SCALE)]
    return [(field, message) for field, message in said if not any(words in message for words in _ASIDE)]


def _is_useful(message: str) -> bool:
    return any(message.endswith(ours) for ours in OURS) or bool(KUBERNETES.search(message))
