"""Ways in which a server does not start, in the words of those that people met: VLLM_DOUBLE_FAILS names one.

Like vLLM's, an engine's error is logged by a process that nobody waits for; what the container says last is the
server's own traceback, of more than the 2 KiB that a kubelet keeps.
"""

import logging
import sys

ENGINE = {
    "OutOfDeviceMemory": "NPU out of memory. Tried to allocate 3.47 GiB (NPU 0; 60.97 GiB total capacity; 58.92 GiB "
    "already allocated; 58.92 GiB current active; 1.66 GiB free)",
    "DriverMismatch": "SetPrecisionMode:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:156 NPU function error: "
    "at_npu::native::AclSetCompileopt(aclCompileOpt::ACL_PRECISION_MODE, precision_mode), error code is 500001\n"
    "[ERROR] 2025-08-06-08:32:47 (PID:554, Device:0, RankID:-1) ERR00100 PTA call acl api failed",
    "WrongDType": "call aclnnCast failed, detail:EZ1001: [PID: 775588] self not implemented for DT_BFLOAT16, should be "
    "in dtype support list [DT_FLOAT16,DT_FLOAT]",
    "ContextDoesNotFit": "To serve at least one request with the models's max seq len (262144), (36.00 GiB KV cache is "
    "needed, which is larger than the available KV cache memory (4.50 GiB). Based on the available memory, the "
    "estimated maximum model length is 32768. Try increasing `gpu_memory_utilization` or decreasing `max_model_len`",
    "DevicePermission": "[Errno 13] Permission denied: '/dev/davinci_manager'",
    "SharedMemoryTooSmall": "Insufficient space in /dev/shm: 64 MiB, need 240 MiB",
    "DeviceUnavailable": "Initialize:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:146 NPU function error: "
    "c10_npu::SetDevice(device_id_), error code is 507033\n[Error]: Failed to start the device.",
    "DeviceMemoryTaken": "Free memory on device (3.25/60.97 GiB) on startup is less than desired GPU memory "
    "utilization (0.9, 54.87 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
    "WeightsDamaged": "Error while deserializing header: HeaderTooLarge",
}
"""What an engine raises."""

SERVER = {
    "DriverNotMounted": "ImportError: libascend_hal.so: cannot open shared object file: No such file or directory",
    "PortTaken": "OSError: [Errno 98] Address already in use",
    "WeightsMissing": "OSError: /models/x does not appear to have a file named config.json.",
    "ContextTooLong": "ValueError: User-specified max_model_len (8192) is greater than the derived max_model_len "
    "(max_position_embeddings=512.0 or model_max_length=None in model's config.json). This may lead to errors.",
}
"""What a server's own process ends with."""

_TRACE = '  File "/usr/local/lib/python3.11/site-packages/vllm/v1/engine/core_client.py", line %d, in __init__\n'


def fail(name: str) -> int:
    """Say it, and return the exit code."""
    if name in ENGINE:
        try:
            raise RuntimeError(ENGINE[name])
        except RuntimeError:
            logging.getLogger("vllm.v1.engine.core").exception("EngineCore failed to start.")
        trace = "".join(_TRACE % line for line in range(40))
        end = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
        print(f"Traceback (most recent call last):\n{trace}{end}", file=sys.stderr)
    else:
        print(f"Traceback (most recent call last):\n{SERVER[name]}", file=sys.stderr)
    return 1
