"""Which fields of a row are read, and as what."""

from __future__ import annotations

from dataclasses import dataclass

from .jobspec import JobSpec


@dataclass(frozen=True)
class Fields:
    """Names of fields (JSON Lines) or columns (Parquet); None for what is not read."""

    id: str | None = None
    text: str | None = None
    image: str | None = None
    query: str | None = None
    document: str | None = None

    @property
    def names(self) -> list[str]:
        """Each once."""
        told = (self.id, self.text, self.image, self.query, self.document)
        return list(dict.fromkeys(name for name in told if name))


def fields_of(job: JobSpec) -> Fields:
    """What the job names; `text`, `query` and `document` where it names none."""
    told = job.input
    if told.format == "Text":
        return Fields(text="text")
    if job.task == "Rerank":
        query, document = told.query_field or "query", told.document_field or "document"
        return Fields(id=told.id_field, query=query, document=document)
    text = told.text_field or (None if told.image_field else "text")
    return Fields(id=told.id_field, text=text, image=told.image_field)
