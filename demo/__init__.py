"""`make demo`: the whole path, from nothing to vectors, on a cluster of its own."""
