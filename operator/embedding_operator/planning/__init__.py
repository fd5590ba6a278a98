"""Pure functions from what is wanted and observed to what must be applied. No I/O, no clock, no randomness."""
