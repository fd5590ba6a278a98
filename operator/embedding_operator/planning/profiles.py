"""The built-in RuntimeProfiles. The operator applies each one where no profile of that name exists, and never
changes one that does: a site's edits stay.

Sources, of what all chips have: device plugin resource names, node labels and counts of devices of MindCluster; driver
directories that must be mounted where Ascend Docker Runtime is not installed (MindCluster's guide for "device plugin
without Ascend Docker Runtime", and the mounts of vllm-ascend's quick start); image suffixes and size of /dev/shm of the
quick start of vllm-ascend 0.23; vLLM's CPU notes for the `cpu` profile. What is said of one chip alone stands beside
it. What was found nowhere is left out, and docs/ascend.md says so. The images are built for arm64 and amd64, so
no profile asks for an architecture.
"""

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject


def _profile(name: str, spec: JsonObject) -> JsonObject:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.RUNTIME_PROFILE,
        "metadata": {"name": name, "labels": {names.MANAGED_BY_LABEL: names.FIELD_MANAGER}},
        "spec": spec,
    }


def _server(suffix: str = "") -> JsonObject:
    return {
        "name": "vllm-ascend",
        "version": "0.23.0",
        "image": f"quay.io/ascend/vllm-ascend:v0.23.0{suffix}",
        "imagePullPolicy": "IfNotPresent",
    }


_DRIVER = [
    "/usr/local/Ascend/driver",
    "/usr/local/dcmi",
    "/usr/local/bin/npu-smi",
    "/etc/ascend_install.info",
]
_SLOW_START = {"name": "VLLM_ENGINE_READY_TIMEOUT_S", "value": "1800"}  # as long as the startup probe; 600 in vLLM
_SEGMENTS = {"name": "PYTORCH_NPU_ALLOC_CONF", "value": "expandable_segments:True"}  # vllm-ascend's guides, not of 310P

ASCEND_910B = _profile(
    "ascend-910b",
    {
        "accelerator": {
            "type": "Ascend",
            "chip": "910B",
            "resourceName": "huawei.com/Ascend910",
            "allowedCounts": [1, 2, 4, 8],
            "memoryGiB": 64,
        },
        "runtime": _server(),
        "pod": {
            "nodeSelector": {"accelerator": "huawei-Ascend910"},
            "hostMounts": _DRIVER,
            "resourcesPerDevice": {"cpu": "22", "memory": "100Gi"},
            "sharedMemory": "1Gi",
            "env": [_SEGMENTS, _SLOW_START],
        },
        "serving": {"dtype": "BFloat16"},
    },
)

ASCEND_A3 = _profile(
    "ascend-a3",
    {
        "accelerator": {
            "type": "Ascend",
            "chip": "A3",
            "resourceName": "huawei.com/Ascend910",  # one is a die, half a card
            "allowedCounts": [1, 2, 4, 6, 8, 10, 12, 14, 16],
            "memoryGiB": 64,
        },
        "runtime": _server("-a3"),
        "pod": {
            "nodeSelector": {"accelerator": "huawei-Ascend910"},
            "hostMounts": _DRIVER,
            # a sixteenth of what vllm-ascend's own tests on A3 give 16 dies: 125 CPUs and 512Gi
            "resourcesPerDevice": {"cpu": "7", "memory": "32Gi"},
            "sharedMemory": "1Gi",
            "env": [_SEGMENTS, _SLOW_START],
        },
        "serving": {"dtype": "BFloat16"},
    },
)

ASCEND_310P = _profile(
    "ascend-310p",
    {
        "accelerator": {"type": "Ascend", "chip": "310P", "resourceName": "huawei.com/Ascend310P"},
        "runtime": _server("-310p"),
        "pod": {
            "nodeSelector": {"accelerator": "huawei-Ascend310P"},
            "hostMounts": _DRIVER,
            "sharedMemory": "1Gi",
            "env": [_SLOW_START],
        },
        "serving": {"dtype": "Float16"},  # the chip has no other
    },
)

ASCEND_950 = _profile(
    "ascend-950",
    {
        "accelerator": {
            "type": "Ascend",
            "chip": "950",
            "resourceName": "huawei.com/npu",
            "allowedCounts": [1, 2, 4, 8],  # what every server of this generation allows
        },
        "runtime": _server("-a5"),
        "pod": {
            "nodeSelector": {"accelerator": "huawei-npu"},
            "hostMounts": _DRIVER,
            "sharedMemory": "1Gi",
            "env": [_SEGMENTS, _SLOW_START],
        },
    },
)

CPU = _profile(
    "cpu",
    {
        "accelerator": {"type": "None"},
        "runtime": {
            "name": "vllm",
            "version": "0.32.0",
            "image": "docker.io/vllm/vllm-openai-cpu:v0.32.0",
            "imagePullPolicy": "IfNotPresent",
        },
        "pod": {
            "resourcesPerDevice": {"cpu": "4", "memory": "8Gi"},
            "sharedMemory": "512Mi",
            "readOnlyRootFilesystem": True,
            "env": [
                {"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"},
                {"name": "VLLM_CPU_OMP_THREADS_BIND", "value": "nobind"},
            ],
        },
        "serving": {"dtype": "Float32", "args": ["--enforce-eager"]},
    },
)

BUILT_IN = (ASCEND_910B, ASCEND_A3, ASCEND_310P, ASCEND_950, CPU)
