"""The built-in RuntimeProfiles. The operator applies each one where no profile of that name exists, and never
changes one that does: a site's edits stay.

Sources: device plugin resource names and node labels of MindCluster (`huawei.com/Ascend910`, `accelerator`);
driver directories that must be mounted where Ascend Docker Runtime is not installed (MindCluster's guide for
"device plugin without Ascend Docker Runtime"); vLLM's CPU notes for the `cpu` profile.
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
        "runtime": {
            "name": "vllm-ascend",
            "version": "0.23.0",
            "image": "quay.io/ascend/vllm-ascend:v0.23.0",
            "imagePullPolicy": "IfNotPresent",
        },
        "pod": {
            "nodeSelector": {"accelerator": "huawei-Ascend910"},
            "hostMounts": [
                "/usr/local/Ascend/driver",
                "/usr/local/dcmi",
                "/usr/local/bin/npu-smi",
                "/etc/ascend_install.info",
            ],
            "resourcesPerDevice": {"cpu": "22", "memory": "100Gi"},
            "sharedMemory": "1Gi",
            "env": [
                {"name": "PYTORCH_NPU_ALLOC_CONF", "value": "expandable_segments:True"},
                {"name": "VLLM_ENGINE_READY_TIMEOUT_S", "value": "1800"},
            ],
        },
        "serving": {"dtype": "BFloat16"},
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
            "env": [
                {"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"},
                {"name": "VLLM_CPU_OMP_THREADS_BIND", "value": "nobind"},
            ],
        },
        "serving": {"dtype": "Float32", "args": ["--enforce-eager"]},
    },
)

BUILT_IN = (ASCEND_910B, CPU)
