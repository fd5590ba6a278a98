"""Everything that talks to the API server: client, cache, work queue, applier, election, events.

Nothing in here knows what an EmbeddingService means; it must never import planning or controllers.
"""
