"""Offline inference: what the pods of an EmbeddingJob run."""
