"""The layer that talks to the API server, as far as no API server is needed."""
