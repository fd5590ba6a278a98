"""The project's container images, and the cache they are kept in."""
