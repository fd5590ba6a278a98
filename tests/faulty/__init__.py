"""A way to the API server that goes wrong at random, and what users do meanwhile."""
