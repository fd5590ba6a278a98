"""A real vLLM for CPU: an environment to run in place, and the image made of it."""
