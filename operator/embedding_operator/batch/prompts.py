"""What stands around the text of a row when it reaches the model. Pure.

`Raw` with an instruction is the form that embedding models of the Instruct kind are trained with; `Model` is the
model's own prompt format, which the server would make of `messages`, from the table that EmbeddingService uses.
"""

from __future__ import annotations

from dataclasses import dataclass

from embedding_operator.planning.families import FAMILIES, family_named

from .errors import BatchError
from .jobspec import JobSpec


@dataclass(frozen=True, slots=True)
class Form:
    """Around each text."""

    before: str = ""
    after: str = ""
    special_tokens: bool = True
    """Whether the tokenizer adds its own, as it does to plain text."""
    instruction: str | None = None
    """Where a conversation is asked for (an image), its system message."""
    by_server: bool = False
    """The server puts all this around text by itself."""

    def around(self, text: str) -> str:
        return text if self.by_server else f"{self.before}{text}{self.after}"


PLAIN = Form()


def form_of(job: JobSpec) -> Form:
    """How this job's texts are written. Raises BatchError where no format of the model is known."""
    if job.task == "Rerank":
        return PLAIN  # the server's own template is around query and document
    if job.prompt_format == "Raw":
        before = f"Instruct: {job.instruction}\nQuery:" if job.instruction else ""
        return Form(before=before, instruction=job.instruction)
    family = family_named(job.model.source or "", job.model.served_name)
    if family is None or family.prompt is None:
        known = " and ".join(one.name for one in FAMILIES if one.prompt)
        raise BatchError(
            "InvalidSpec",
            f"spec.serving.promptFormat is Model, and no format of {job.model.served_name} is known here, but those of "
            f"{known}: remove it",
        )
    form = family.prompt
    instruction = form.instruction if job.instruction is None else job.instruction
    return Form(
        before=form.before.replace("{instruction}", instruction),
        after=form.after,
        special_tokens=form.special_tokens,
        instruction=instruction,
    )
