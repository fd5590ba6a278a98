"""Typed views of the kinds: what the other layers may say about them."""
