"""Pods that Pod Security keeps out of a namespace: which level it must admit, and how to do without.

Who makes pods (a ReplicaSet) tells it in the admission plugin's words, which name the level of the namespace and what
it has against the pod. The operator reads no namespaces; these words are all that it knows of them.
"""

import re

from embedding_operator.api.conditions import Reason
from embedding_operator.planning.causes import shortened
from embedding_operator.planning.verdict import Verdict

_WORDS = re.compile(r'violates PodSecurity "(?P<level>\w+):[^"]*": (?P<why>.+)', re.S)
_HOST_PATH = "hostPath"
_LIMIT = 300  # characters of the plugin's words; a pod breaks few rules, but each is told with every container


def forbidden(refused: str, namespace: str) -> Verdict | None:
    """The verdict on a service whose pods are `refused` in these words, if it is Pod Security that refuses them.

    A namespace that is `baseline` refuses what only `privileged` admits. One that is `restricted` refuses every server
    that runs as its image's root, which `baseline` admits, unless there are directories of the host.
    """
    found = _WORDS.search(refused)
    if found is None:
        return None
    level, why = found["level"], found["why"]
    has_host_paths = _HOST_PATH in why
    needed = "privileged" if level == "baseline" or has_host_paths else "baseline"
    instead = (
        ", or use a RuntimeProfile without hostMounts where Ascend Docker Runtime mounts the driver"
        if has_host_paths
        else ", or serve in a namespace that is"
    )
    return Verdict(
        Reason.POD_SECURITY,
        f"namespace {namespace} is {level} by Pod Security and these pods need {needed}: {shortened(why, _LIMIT)}; "
        f"write `kubectl label namespace {namespace} pod-security.kubernetes.io/enforce={needed} "
        f"--overwrite`{instead}",
        stalled=True,
    )
