"""One controller per kind: observe, plan, apply."""
