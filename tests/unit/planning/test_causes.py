"""Each row of the tables is told by words that somebody really met, and by no row before it."""

import re
from itertools import chain

import pytest

from embedding_operator.planning.causes import Cause, all_of, first_of
from embedding_operator.planning.crashes import CRASHES
from embedding_operator.planning.obstacles import PULLS, REFUSALS, REJECTIONS, SCHEDULING, STARTS

TABLES = {
    "crashes": CRASHES,
    "refusals": REFUSALS,
    "scheduling": SCHEDULING,
    "pulls": PULLS,
    "starts": STARTS,
    "rejections": REJECTIONS,
}
ENGINE = "(EngineCore pid=118) ERROR 08-05 07:51:00 [core.py:1099] "
NODES = "0/4 nodes are available: "
# table, name of the row, the words, and what of them comes back in the cure
SAMPLES: list[tuple[str, str, str, str]] = [
    ("crashes", "StartupProbeFailed", "embedding-operator probe: gave up after 1800 s: HTTP 500: x", ""),
    ("crashes", "Hung", "embedding-operator live: hung: 7 requests in flight, none completed for 312 s", ""),
    ("crashes", "OutOfMemory", "OOMKilled (exit code 137)\nINFO loading", "resources.limits.memory"),
    ("crashes", "NotAServingImage", "embedding-operator launch: vllm: not found on PATH '/bin'; is this", ""),
    ("crashes", "WrongArchitecture", "exec /usr/bin/python3: exec format error", ""),
    ("crashes", "FlagUnknown", "vllm: error: unrecognized arguments: --task embed", ""),
    (
        "crashes",
        "DriverNotMounted",
        "ImportError: libascend_hal.so: cannot open shared object file: No such file or directory",
        "pod.hostMounts",
    ),
    ("crashes", "CannNotSetUp", "ImportError: libatb.so: cannot open shared object file: No such file", ""),
    ("crashes", "DevicePermission", "PermissionError: [Errno 13] Permission denied: '/dev/davinci_manager'", ""),
    ("crashes", "DevicePermission", "UserWarning: Can't get ascend_hal device count", ""),
    ("crashes", "UserUnknown", "HcclGetRootInfo(&hcclID), error code is 19\nra init failed", ""),
    ("crashes", "UserUnknown", "KeyError: 'getpwuid(): uid not found: 1000760000'", ""),
    (
        "crashes",
        "DriverMismatch",
        "NPU function error: at_npu::native::AclSetCompileopt(aclCompileOpt::ACL_PRECISION_MODE, precision_mode), "
        "error code is 500001",
        "runtime.version",
    ),
    ("crashes", "DriverMismatch", "[Init][Version]init soc version failed, ret = 507008[FUNC:Report]", ""),
    ("crashes", "DriverMismatch", "NPU function error: call aclnnInplaceZero failed, error code is 561103", ""),
    (
        "crashes",
        "DriverMismatch",
        "OSError: /usr/local/Ascend/nnal/atb/latest/atb/cxx_abi_1/lib/libtbe_adapter.so: undefined symbol: _ZN3Mki",
        "",
    ),
    (
        "crashes",
        "DeviceMemoryTaken",
        "ValueError: Free memory on device (3.25/60.97 GiB) on startup is less than desired GPU memory utilization "
        "(0.9, 54.87 GiB). Decrease GPU memory utilization",
        "npu-smi",
    ),
    (
        "crashes",
        "ContextDoesNotFit",
        f"{ENGINE}ValueError: To serve at least one request with the models's max seq len (262144), (36 GiB KV cache "
        "is needed, which is larger than the available KV cache memory (4.50 GiB). Based on the available memory, the "
        "estimated maximum model length is 32768. Try increasing `gpu_memory_utilization`",
        "maxModelLen: 32768 or less",
    ),
    (
        "crashes",
        "ContextTooLong",
        "ValueError: User-specified max_model_len (8192) is greater than the derived max_model_len "
        "(max_position_embeddings=512.0 or model_max_length=None in model's config.json).",
        "maxModelLen: 512 or less",
    ),
    (
        "crashes",
        "OutOfDeviceMemory",
        f"{ENGINE}RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB (NPU 0; 60.97 GiB total capacity",
        "maxBatchedTokens",
    ),
    ("crashes", "OutOfDeviceMemory", "ValueError: No available memory for the cache blocks. Try increasing", ""),
    (
        "crashes",
        "WrongDType",
        "RuntimeError: call aclnnCast failed, detail:EZ1001: [PID: 7] self not implemented for DT_BFLOAT16, should be",
        "Float16 on 310P",
    ),
    (
        "crashes",
        "WrongDType",
        "aclNN_Parameter_Error(EZ1001): Io input dtype or format is not supported, get io input info is x(DT_BFLOAT16",
        "",
    ),
    ("crashes", "PortTaken", "OSError: [Errno 98] Address already in use", ""),
    (
        "crashes",
        "PortTaken",
        "[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
        "",
    ),
    ("crashes", "SharedMemoryTooSmall", "RuntimeError: Insufficient space in /dev/shm: 64 MiB", "sharedMemory"),
    ("crashes", "SharedMemoryTooSmall", "Error (exit code 135)\nINFO 11-25", ""),
    ("crashes", "WeightsUnreadable", "PermissionError: [Errno 13] Permission denied: '/models/a/x.safetensors'", ""),
    ("crashes", "WeightsDamaged", "SafetensorError: Error while deserializing header: HeaderTooLarge", "my-cache"),
    ("crashes", "WeightsMissing", "RuntimeError: Cannot find any model weights with `/models/a`", "my-cache"),
    ("crashes", "WeightsMissing", "OSError: /models/a does not appear to have a file named config.json", ""),
    (
        "crashes",
        "WeightsDoNotFit",
        "ValueError: There is no module or parameter named 'nothing' in BertModel. The available parameters are: {'x'}",
        "runtime.version",
    ),
    ("crashes", "ModelUnknown", "ValueError: Model architectures ['NewModel'] are not supported for now", ""),
    (
        "crashes",
        "DeviceUnavailable",
        "RuntimeError: Initialize:npu_sys_ctrl.cpp:146 NPU function error: c10_npu::SetDevice(device_id_), error code "
        "is 507033",
        "",
    ),
    (
        "crashes",
        "EngineFailed",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
        "",
    ),
    (
        "refusals",
        "QuotaReached",
        'pods "qwen-5d59-x" is forbidden: exceeded quota: npus, requested: requests.huawei.com/Ascend910=1, used: '
        "requests.huawei.com/Ascend910=8, limited: requests.huawei.com/Ascend910=8",
        "ResourceQuota npus raised",
    ),
    ("refusals", "QuotaWantsMore", "failed quota: all: must specify limits.cpu for: vllm", "limits.cpu for: vllm"),
    ("refusals", "LimitRange", "is forbidden: maximum memory usage per Container is 64Gi, but limit is 100Gi", ""),
    ("refusals", "PriorityClassMissing", "is forbidden: no PriorityClass with name urgent was found", "create urgent"),
    ("refusals", "RuntimeClassMissing", 'pod rejected: RuntimeClass "ascend" not found', "create ascend"),
    ("refusals", "WebhookDown", 'Internal error occurred: failed calling webhook "m.example.com": timeout', "have m."),
    ("refusals", "AdmissionRefused", 'admission webhook "v.example.com" denied the request', "as v.example.com says"),
    (
        "scheduling",
        "NoDeviceFree",
        f"{NODES}4 Insufficient huawei.com/Ascend910. preemption: 0/4 nodes are available",
        "some of huawei.com/Ascend910, add",
    ),
    ("scheduling", "NodesTooSmall", f"{NODES}4 Insufficient memory. preemption: no", "resourcesPerDevice"),
    ("scheduling", "NoNodeSelected", f"{NODES}4 node(s) didn't match Pod's node affinity/selector.", "label them"),
    ("scheduling", "NodesTainted", f"{NODES}1 node(s) had untolerated taint {{npu: }}, 3 Insufficient cpu.", ""),
    ("scheduling", "NodesTainted", f"{NODES}4 node(s) had untolerated taint(s).", "tolerations"),
    ("scheduling", "NodesCordoned", f"{NODES}1 node(s) were unschedulable.", "uncordon"),
    ("scheduling", "ClaimNotBound", f"{NODES}pod has unbound immediate PersistentVolumeClaims.", "describe pvc"),
    (
        "pulls",
        "PullDenied",
        'failed to pull and unpack image "x/y:1": failed to resolve reference: pull access denied, repository does not '
        "exist or may require authorization: server message: insufficient_scope: authorization failed",
        "imagePullSecrets",
    ),
    ("pulls", "PullLimited", "toomanyrequests: You have reached your pull rate limit", "mirror"),
    ("pulls", "RegistryNotTrusted", "tls: failed to verify certificate: x509: certificate signed by unknown", ""),
    ("pulls", "WrongPlatform", "no match for platform in manifest: not found", "kubernetes.io/arch"),
    ("pulls", "NodeDiskFull", "write /var/lib/containerd/x: no space left on device", "20 GB"),
    ("pulls", "RegistryUnreachable", "dial tcp: lookup registry.example.com: no such host", "proxy"),
    ("pulls", "ImageNotFound", 'failed to resolve reference "x/y:1": x/y:1: not found', "spec.runtime.image"),
    ("pulls", "ImageNameInvalid", 'couldn\'t parse image name "X/y:1": invalid reference format', ""),
    ("pulls", "ImageNotLoaded", 'Container image "x" is not present with pull policy of Never', ""),
    ("starts", "WeightsGone", 'failed to prepare subPath for volumeMount "weights" of container "vllm"', "my-cache"),
    ("starts", "ReferenceMissing", 'secret "keys" not found', "create it"),
    ("starts", "ReferenceMissing", "couldn't find key token in ConfigMap search/settings", "create it"),
    ("starts", "RootRefused", "container has runAsNonRoot and image will run as root (pod: x)", ""),
    (
        "starts",
        "ProgramMissing",
        'runc create failed: unable to start container process: exec: "python3": executable file not found in $PATH',
        "has python3",
    ),
    ("starts", "HostPathMissing", 'failed to generate spec: failed to stat "/usr/local/dcmi": no such file', "driver"),
    ("starts", "RuntimeHookFailed", "runc create failed: error running createRuntime hook #0: exit status 1", ""),
    ("rejections", "DeviceNotGiven", "UnexpectedAdmissionError: Pod was rejected: Allocate failed due to x", ""),
    ("rejections", "Evicted", "Evicted: The node was low on resource: ephemeral-storage. Threshold", ""),
    ("rejections", "OutOfDevices", "OutOfhuawei.com/Ascend910: Pod was rejected: Node didn't have enough resource", ""),
]


@pytest.mark.parametrize(("table", "name", "words", "cure"), SAMPLES)
def test_the_row_that_knows_these_words_tells_what_to_do(table: str, name: str, words: str, cure: str) -> None:
    if table == "scheduling":  # where all rows that fit are told
        found = {one.name: one for one in all_of(SCHEDULING, words, "my-cache")}[name]
    else:
        first = first_of(TABLES[table], words, "my-cache")
        assert first is not None
        found = first
    assert found.name == name
    assert cure in found.cure
    assert found.words in " ".join(words.split()) or found.words.endswith("…")


def test_every_row_has_words_that_it_was_made_for() -> None:
    rows = {(name, one.name) for name, table in TABLES.items() for one in table}
    assert rows == {(table, name) for table, name, _, _ in SAMPLES}


@pytest.mark.parametrize("one", list(chain.from_iterable(TABLES.values())), ids=lambda one: one.name)
def test_a_row_is_one_line_for_people(one: Cause) -> None:
    assert re.fullmatch(r"[A-Z]\w+", one.name)
    assert one.what
    assert one.cure
    assert not one.cure.endswith(".")  # more may follow
    assert "\n" not in one.what + one.cure


@pytest.mark.parametrize(
    "words",
    [
        "Error (exit code 1)\nthe server has ended",
        "Error (exit code 143)\nINFO 11-25 22:36:13 [model.py:733] Resolved architecture: BertModel",
        "Error (exit code 1)\nERROR: could not fetch https://example.com: connection reset",
        "Completed (exit code 0)",
    ],
)
def test_words_that_nobody_knows_are_of_no_row(words: str) -> None:
    assert first_of(CRASHES, words, "my-cache") is None
