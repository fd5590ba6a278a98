"""The Job that removes the files of a ModelCache that is being deleted: the stager's pod with another command.

It has no owner: its ModelCache is being deleted, and a foreground deletion would take the Job before its work is done.
It ends by itself after half an hour, so that nothing waits for a pod that cannot start.
"""

import json

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.cachestate import is_staged
from embedding_operator.planning.stagejob import (
    CACHE_MOUNT,
    PERMANENT_EXIT_CODE,
    StagingSite,
    pod_labels,
    pod_spec,
    volume_container,
)


def cleanup_job_name(cache: ModelCache) -> str:
    """One clean-up in the life of a ModelCache."""
    return names.cleanup_job_name(cache.metadata.name, cache.metadata.uid or "")


def cleanup_job(cache: ModelCache, site: StagingSite, cluster: str) -> JsonObject:
    """Remove what this ModelCache has published, or begun to, unless somebody else signed for it."""
    # Argo CD, where it tracks by the instance label, would prune what has it and no owner
    labels = names.cache_labels(cache.metadata.name, names.CLEANUP_TASK)
    del labels[names.INSTANCE_LABEL]
    published = {"path": cache.status.path, "digest": cache.status.digest} if is_staged(cache) else {}
    spec = published | {
        "root": CACHE_MOUNT,
        "user": names.signature(cluster, cache.metadata.namespace or "", cache.metadata.uid or ""),
    }
    container = volume_container(cache, "clean", site.image, ["clean", "--spec", json.dumps(spec, sort_keys=True)])
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": cleanup_job_name(cache), "namespace": cache.metadata.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 3,
            "activeDeadlineSeconds": 1800,
            "ttlSecondsAfterFinished": 600,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [PERMANENT_EXIT_CODE]}},
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                ]
            },
            "template": {
                "metadata": {"labels": pod_labels(cache, names.CLEANUP_TASK)},
                "spec": pod_spec(cache, site, container),
            },
        },
    }
