"""The prompt format: what the middleware does to requests, and the instruction in it.

Text that is sent as `input` reaches a model as it is, unless `serving.promptFormat: Model` asks for the format that the
model was trained with. A reranker's prompt is a template of the server; of it, the instruction alone is said here.
"""

import json
from dataclasses import dataclass

from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import Serving, Task
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.families import FAMILIES, Family
from embedding_operator.planning.releases import Release, having

SETTING = "EMBEDDING_OPERATOR_PROMPT"


@dataclass(frozen=True, slots=True)
class Prompt:
    """An instruction, and what the middleware is told of it."""

    instruction: str
    instruction_from: str  # who says so, for people
    settings: JsonObject

    @property
    def value(self) -> str:
        """Of the environment variable. Without a dollar sign, which the kubelet would take for a reference."""
        return json.dumps(self.settings).replace("$", "\\u0024")


def prompt_of(serving: Serving, task: Task, family: Family | None, release: Release) -> Prompt | None:
    """What is done to requests, or None. Raises PlanError for a wish that would come to nothing."""
    if serving.prompt_format is not None and task != "Embed":
        raise _invalid("promptFormat is about text that becomes vectors", "remove it, or write spec.task: Embed")
    if task == "Rerank" and serving.instruction is not None:
        return _of_ranking(serving.instruction, family, release)
    if serving.prompt_format == "Model":
        return _of_embedding(serving.instruction, family)
    if serving.instruction is not None:
        raise _invalid(
            "instruction reaches no text that is passed on as it comes",
            "write spec.serving.promptFormat: Model beside it, or remove it"
            if task == "Embed"
            else f"remove it, as task {task} has none",
        )
    return None


def _of_embedding(instruction: str | None, family: Family | None) -> Prompt:
    if family is None or family.prompt is None:
        known = " and ".join(one.name for one in FAMILIES if one.prompt)
        called = f"models of the family {family.name}" if family else "a model of this name"
        raise _invalid(
            f"promptFormat is Model, and no format of {called} is known here, but those of {known}",
            "remove it, or name one of these in spec.model.servedName where the weights are its own",
        )
    form = family.prompt
    said = instruction if instruction is not None else form.instruction
    return Prompt(
        instruction=said,
        instruction_from="spec.serving.instruction" if instruction is not None else f"the model card of {family.name}",
        settings={
            "before": form.before.replace("{instruction}", said),
            "after": form.after,
            "specialTokens": form.special_tokens,
        },
    )


def _of_ranking(instruction: str, family: Family | None, release: Release) -> Prompt:
    if family is None or not family.template:
        known = " and ".join(one.name for one in FAMILIES if one.template)
        raise _invalid(f"instruction has a place in the prompts of {known} alone", "remove it")
    if not release.knows("rerank.instruction"):
        since = having("rerank.instruction")[0]
        raise _invalid(
            f"instruction reaches no reranker before vLLM {since}", f"remove it, or choose version {since} or newer"
        )
    return Prompt(instruction, "spec.serving.instruction", {"instruction": instruction})


def _invalid(what: str, cure: str) -> PlanError:
    return PlanError(Reason.INVALID_SPEC, f"spec.serving.{what}: {cure}")
