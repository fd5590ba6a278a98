"""The one error that the cluster tool raises for what a person can mend.

Its message is one line: what is wrong and what to do. The command line prints it without a traceback.
"""


class ClusterError(Exception):
    """Something outside the tool is missing or broken."""
