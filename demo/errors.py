"""The error for what a person can mend: one line that says what is wrong, and what to write."""


class DemoError(Exception):
    """The demo cannot go on."""
