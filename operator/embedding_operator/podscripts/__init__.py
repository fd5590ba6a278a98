"""Scripts that run inside serving pods: standard library only, each file alone."""
