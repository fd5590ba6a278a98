"""Why servers end, told apart by their last words; each row with where these words were seen.

The text is the reason and the exit code of the container, then what it wrote last: 2 KiB of its log, as kubelets keep
it, or what our own scripts left in its termination message. The first row that fits tells, so the particular comes
before the general.
"""

from embedding_operator.planning.causes import Cause, cause

_ASCEND = "https://github.com/vllm-project/vllm-ascend/issues"
_VLLM = "https://github.com/vllm-project/vllm"

CRASHES: tuple[Cause, ...] = (
    cause(
        "StartupProbeFailed",
        "the server gave no usable answer in the time that a start may take",
        r"embedding-operator probe: gave up[^\n]*",
        "mend what it says; where the model only loads for so long, its storage is too slow",
    ),
    cause(
        "Hung",
        "the server had requests in flight and completed none, so it was ended",
        r"embedding-operator live: hung[^\n]*",
        "look at the device with `npu-smi info` on the node; where single requests need longer than that, raise "
        "spec.serving.hangSeconds",
    ),
    cause(
        "OutOfMemory",
        "the container needed more memory than its limit",
        r"\AOOMKilled",
        "raise spec.runtime.resources.limits.memory, or pod.resourcesPerDevice of the RuntimeProfile",
        "https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/",
    ),
    cause(
        "NotAServingImage",
        "the image has no server in it",
        r"embedding-operator launch: [^\n]*not found on PATH",
        "correct spec.runtime.image",
    ),
    cause(
        "WrongArchitecture",
        "the image is for another processor than the node's",
        r"[Ee]xec format error",
        "take an image for this architecture, or select nodes by kubernetes.io/arch in spec.scheduling.nodeSelector",
    ),
    cause(
        "FlagUnknown",
        "the server does not know a flag",
        r"unrecognized arguments: ([^\n]*)",
        "take it out of spec.runtime.args; where the operator wrote it, write the version that is in the image as "
        "spec.runtime.version",
        f"{_ASCEND}/1987",
    ),
    cause(
        "DriverNotMounted",
        "the NPU's driver is not in the container",
        r"lib(?:ascend_hal|dcmi|drvdsmi_host)\.so[^\n]*cannot open shared object file",
        "write /usr/local/Ascend/driver into pod.hostMounts of the RuntimeProfile, or install Ascend Docker Runtime on "
        "the nodes",
        f"{_ASCEND}/1440",
    ),
    cause(
        "CannNotSetUp",
        "CANN's environment is not set up",
        r"lib(?:hccl|ascendcl|atb|ge_\w+|runtime|opapi)\.so[^\n]*cannot open shared object file",
        "the image's own entrypoint does it: write runtime.name: vllm-ascend in the RuntimeProfile, which keeps it",
        f"{_ASCEND}/152",
    ),
    cause(
        "DevicePermission",
        "the server's user may not open the device",
        (r"Permission denied:? *'?/dev/(?:davinci|devmm|hisi)[^\n]*", r"Can't get ascend_hal device count"),
        "run it as root with the runtime's own capabilities, or as user and group 1000, to whom the device nodes "
        "belong; take out what changes the securityContext of pods here",
        "https://github.com/Project-HAMi/ascend-device-plugin/issues/139",
    ),
    cause(
        "UserUnknown",
        "the server's user is not in the image's /etc/passwd, which several devices need",
        (r"ra init failed", r"HcclGetRootInfo[^\n]*error code is 19", r"getpwuid\(\): uid not found[^\n]*"),
        "run it as root, or take an image that has the user",
        f"{_ASCEND}/9490",
    ),
    cause(
        "DriverMismatch",
        "driver and CANN do not fit each other",
        (
            r"init soc version failed",
            r"AclSetCompileopt[^\n]*error code is 500001",
            r"call aclnn\w+ failed, error code is 561103",
            r"Failed to verify the OPP",
            r"(?:/usr/local/Ascend|torch_npu|libascend)\S*[^\n]*undefined symbol[^\n]*",
            r"[Dd]river[^\n]{0,60}version[^\n]{0,60}(?:too low|mismatch|not match|not compatible|inconsisten)[^\n]*",
        ),
        "choose the version whose CANN the nodes' driver supports (spec.runtime.version), or upgrade driver and "
        "firmware of the nodes",
        f"{_ASCEND}/2244",
    ),
    cause(
        "DeviceMemoryTaken",
        "something else holds the device's memory",
        r"Free memory on device[^\n]*less than desired[^\n]*",
        "end what else runs on the device (`npu-smi info` on the node shows it), or write a smaller "
        "--gpu-memory-utilization into spec.runtime.args",
        f"{_VLLM}/blob/v0.18.0/vllm/v1/worker/utils.py",
    ),
    cause(
        "ContextDoesNotFit",
        "the device's memory does not hold an input of spec.serving.maxModelLen",
        (
            r"estimated maximum model length is ([\d,]*\d)",
            r"larger than the maximum number of tokens that can be stored in KV cache \((\d+)\)",
        ),
        "write spec.serving.maxModelLen: {found} or less",
        f"{_VLLM}/issues/2418",
    ),
    cause(
        "ContextTooLong",
        "spec.serving.maxModelLen is longer than the model can take",
        r"greater than the derived max_model_len \((?:[^)]*?=)?(\d+)",
        "write spec.serving.maxModelLen: {found} or less",
        f"{_VLLM}/issues/14102",
    ),
    cause(
        "OutOfDeviceMemory",
        "the device has not enough memory",
        (
            r"(?:NPU|HBM|CUDA) out of memory[^\n]*",
            r"OutOfMemoryError[^\n]*",
            r"No available memory for the cache blocks",
        ),
        "lower spec.serving.maxBatchedTokens, maxModelLen or multimodal limits, give it more devices "
        "(spec.parallelism.tensor), or a chip with more memory",
        f"{_ASCEND}/1987",
    ),
    cause(
        "WrongDType",
        "the chip or the model cannot compute in this number format",
        (
            r"not implemented for DT_B?FLOAT16[^\n]*",
            r"dtype or format is not supported[^\n]*DT_B?FLOAT16",
            r"[Bb]float16 is only supported on[^\n]*",
            r"does not support (?:b?float16|[Bb]float16)[^\n]*",
        ),
        "write another spec.serving.dtype: Float16 on 310P and 910A, BFloat16 on all later chips",
        f"{_ASCEND}/6490",
    ),
    cause(
        "PortTaken",
        "something else in the pod listens on the server's port",
        r"(?:\[Errno 98\]|address already in use|Address already in use)[^\n]*",
        "give a sidecar another port, and leave --port out of spec.runtime.args",
        f"{_VLLM}/issues/7514",
    ),
    cause(
        "SharedMemoryTooSmall",
        "/dev/shm is too small",  # noqa: S108  (the pod's own)
        (
            r"Insufficient space in /dev/shm[^\n]*",
            r"No space left on device:? *'?/(?:dev/shm|psm_)[^\n]*",
            r"insufficient shared memory[^\n]*",
            r"\A[^\n]*exit code 135\)",
            r"\b[Bb]us error",
        ),
        "raise pod.sharedMemory of the RuntimeProfile, and the memory limit with it",
        f"{_VLLM}/pull/48879",
    ),
    cause(
        "WeightsUnreadable",
        "the server's user may not read the weights",
        r"Permission denied:? *'?/models/[^\n]*",
        "give all users the right to read these files; what is staged has it, a path source may not",
        f"{_ASCEND}/955",
    ),
    cause(
        "WeightsDamaged",
        "a file of the weights is no safetensors file, or only a part of one",
        (
            r"Error while deserializing header[^\n]*",
            r"HeaderTooLarge",
            r"InvalidHeader\w*",
            r"incomplete metadata, file not fully covered",
        ),
        "see whether ModelCache {cache} is Damaged; where it is Verified, the repository itself has it so",
        f"{_ASCEND}/955",
    ),
    cause(
        "WeightsMissing",
        "the model's directory lacks files that the server needs",
        (
            r"Cannot find any model weights with[^\n]*",
            r"does not appear to have a file named[^\n]*",
            r"No such file or directory: *'/models/[^\n]*",
            r"Can't load (?:the configuration of|tokenizer for|image processor for) '?/models/[^\n]*",
            r"Following weights were not initialized from checkpoint[^\n]*",
        ),
        "correct include and exclude of spec.model.source, or the source: what is staged is in ModelCache {cache}",
        f"{_VLLM}/issues/3329",
    ),
    cause(
        "WeightsDoNotFit",
        "the weights are not those of the model that this version of vLLM makes of their config.json",
        (r"There is no module or parameter named '[^']*'(?: in \w+)?", r"size mismatch for [^\n]*"),
        "write another spec.runtime.version, or take the weights as they are published",
        f"{_VLLM}/blob/v0.18.0/vllm/model_executor/models/utils.py",
    ),
    cause(
        "ModelUnknown",
        "this version of vLLM does not know the model",
        (
            r"Model architectures \[[^\n]*(?:not supported|failed to be inspected)[^\n]*",
            r"does not recognize this architecture[^\n]*",
        ),
        "write a newer spec.runtime.version",
        f"{_VLLM}/blob/v0.18.0/vllm/model_executor/models/registry.py",
    ),
    cause(
        "DeviceUnavailable",
        "the device cannot be opened",
        (
            r"error code is 507033",
            r"Failed to start the device",
            r"TsdOpen failed[^\n]*",
            r"Failed to open device, retCode=\w+",
            r"Device not found or invalid",
            r"dcmi module initialize failed[^\n]*",
        ),
        "look on the node with `npu-smi info` whether another container has it, or it is ill; a device plugin that "
        "knows it is ill gives it to nobody",
        f"{_ASCEND}/1558",
    ),
    cause(
        "EngineFailed",
        "the engine did not start, for a reason that stands further up in its log",
        r"Engine core initialization failed[^\n]*",
        "look for the first Traceback there",
        f"{_ASCEND}/2015",
    ),
)
