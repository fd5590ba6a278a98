"""Objects as an API server sends them, and what is left of each."""

METADATA = {
    "name": "x",
    "namespace": "a",
    "uid": "u1",
    "generation": 3,
    "resourceVersion": "77",
    "creationTimestamp": "2026-11-01T10:00:00Z",
    "labels": {"embedding-operator.io/service": "x"},
    "annotations": {"kept": "yes", "kubectl.kubernetes.io/last-applied-configuration": "{...}"},
    "managedFields": [{"manager": "embedding-operator", "fieldsV1": {"f:spec": {}}}],
    "ownerReferences": [
        {
            "apiVersion": "embedding-operator.io/v1alpha1",
            "kind": "EmbeddingService",
            "name": "x",
            "uid": "u0",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ],
}
TERMINATED = {
    "exitCode": 3,
    "reason": "Error",
    "message": '{"result": "Failed"}',
    "startedAt": "2026-11-01T10:00:00Z",
    "finishedAt": "2026-11-01T10:00:09Z",
    "containerID": "containerd://abc",
}


def devices(health):
    return [{"name": "huawei.com/Ascend910", "resources": [{"resourceID": "Ascend910-0", "health": health}]}]


CASES = {
    "own kinds are kept whole": (
        {"kind": "EmbeddingService", "spec": {"model": {}}, "status": {"conditions": []}},
        {"spec": {"model": {}}, "status": {"conditions": []}},
    ),
    "own kinds without a status": ({"kind": "ModelCache", "spec": {"a": 1}}, {"spec": {"a": 1}}),
    "a Deployment with its spec": (
        {
            "kind": "Deployment",
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"l": "1"}, "annotations": {"revision": "abc"}},
                    "spec": {"containers": [{"name": "vllm"}]},
                },
            },
            "status": {
                "readyReplicas": 1,
                "conditions": [{"type": "Available", "status": "True", "lastUpdateTime": "2026-11-01T10:00:00Z"}],
            },
        },
        {
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"l": "1"}, "annotations": {"revision": "abc"}},
                    "spec": {"containers": [{"name": "vllm"}]},
                },
            },
            "status": {"readyReplicas": 1, "conditions": [{"type": "Available", "status": "True"}]},
        },
    ),
    "a Service": (
        {
            "kind": "Service",
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "10.96.0.7",
                "ports": [{"port": 80}],
                "sessionAffinity": "None",
            },
            "status": {"loadBalancer": {}},
        },
        {
            "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.7", "ports": [{"port": 80}]},
            "status": {"loadBalancer": {}},
        },
    ),
    "a ControllerRevision with its data": (
        {"kind": "ControllerRevision", "data": {"template": {"a": [1]}}, "revision": 4},
        {"data": {"template": {"a": [1]}}, "revision": 4},
    ),
    "a ConfigMap with its scripts": (
        {"kind": "ConfigMap", "data": {"script.py": "x" * 1000}, "immutable": True},
        {"data": {"script.py": "x" * 1000}, "immutable": True},
    ),
    "a Job without its template": (
        {
            "kind": "Job",
            "spec": {"suspend": False, "template": {}},
            "status": {"succeeded": 1, "uncountedTerminatedPods": {}},
        },
        {"spec": {"suspend": False}, "status": {"succeeded": 1}},
    ),
    "a claim": (
        {
            "kind": "PersistentVolumeClaim",
            "spec": {"storageClassName": "", "accessModes": ["ReadWriteMany"], "resources": {}},
            "status": {"phase": "Bound", "accessModes": ["ReadWriteMany"]},
        },
        {"spec": {"storageClassName": "", "accessModes": ["ReadWriteMany"]}, "status": {"phase": "Bound"}},
    ),
    "a running pod": (
        {
            "kind": "Pod",
            "spec": {"nodeName": "n1", "containers": [{"name": "vllm"}]},
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.7",
                "conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}],
                "containerStatuses": [
                    {
                        "name": "vllm",
                        "ready": True,
                        "started": True,
                        "restartCount": 1,
                        "image": "x",
                        "state": {"running": {"startedAt": "2026-11-01T10:00:00Z"}},
                        "lastState": {"terminated": TERMINATED},
                    }
                ],
            },
        },
        {
            "spec": {"nodeName": "n1"},
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.7",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [
                    {
                        "name": "vllm",
                        "ready": True,
                        "started": True,
                        "restartCount": 1,
                        "state": {"running": {}},
                        "lastState": {
                            "terminated": {
                                "exitCode": 3,
                                "reason": "Error",
                                "message": '{"result": "Failed"}',
                                "finishedAt": "2026-11-01T10:00:09Z",
                            }
                        },
                    }
                ],
            },
        },
    ),
    "a pod that cannot start": (
        {
            "kind": "Pod",
            "spec": {},
            "status": {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/2 nodes are available",
                        "lastProbeTime": None,
                    }
                ],
                "initContainerStatuses": [
                    {"name": "i", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
                ],
            },
        },
        {
            "spec": {},
            "status": {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/2 nodes are available",
                    }
                ],
                "initContainerStatuses": [
                    {"name": "i", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
                ],
            },
        },
    ),
    "a pod with healthy devices": (
        {"kind": "Pod", "status": {"containerStatuses": [{"allocatedResourcesStatus": devices("Healthy")}]}},
        {"status": {"containerStatuses": [{}]}},
    ),
    "a pod with an unhealthy device": (
        {"kind": "Pod", "status": {"containerStatuses": [{"allocatedResourcesStatus": devices("Unhealthy")}]}},
        {"status": {"containerStatuses": [{"allocatedResourcesStatus": devices("Unhealthy")}]}},
    ),
    "a kind that nobody plans with": ({"kind": "Lease", "spec": {"holderIdentity": "me"}}, {}),
}
