"""The name of this cluster where several write on one volume: the uid of the operator's own Lease, cut short.

It asks for no right that the operator does not have anyway (that of the kube-system namespace would need one on all
namespaces), and lasts as long as the installation. Should it ever change, files that were signed before are still
known as ours by the uid of their ModelCache, which is part of every signature.
"""

from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.resources import ObjectKey


class Identity:
    """Asked for once in the life of a process."""

    def __init__(self) -> None:
        self._known: str | None = None

    async def name(self, client: KubeClient, namespace: str, lease: str) -> str:
        """At most 8 characters; none where there is no Lease."""
        if self._known is None:
            found = await client.get(ObjectKey("Lease", namespace, lease))
            if found is None:
                return ""
            self._known = str(found["metadata"]["uid"])[:8]
        return self._known
