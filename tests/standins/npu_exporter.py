"""What npu-exporter of MindCluster says of three NPUs, of which a pod has one and somebody else's another: names and
labels as it documents them."""

_METRICS = {
    "utilization": ("the ai core utilization", 42, 0),
    "hbm_used_memory": ("the npu hbm used memory", 50000, 2048),
    "hbm_total_memory": ("the npu hbm total memory", 65536, 65536),
    "temperature": ("the npu temperature", 51, 40),
    "power": ("the npu power", 240.5, 95),
    "health_status": ("the npu health status", 1, 1),
}


def text(pod: str, namespace: str) -> str:
    """Prometheus' text format."""
    lines = []
    for name, (told, used, idle) in _METRICS.items():
        lines += [f"# HELP npu_chip_info_{name} {told}", f"# TYPE npu_chip_info_{name} gauge"]
        owners = ((pod, namespace, used), ("", "", idle), (f"{pod}-of-others", "training", used + 1))
        for number, (owner, place, value) in enumerate(owners):
            container = "vllm" if owner else ""
            labels = f'container_name="{container}",id="{number}",model_name="910B3",namespace="{place}"'
            labels += f',pcie_bus_info="0000:C{number}:00.0",pod_name="{owner}",vdie_id="AB-{number}"'
            lines.append(f"npu_chip_info_{name}{{{labels}}} {value}")
    return "\n".join(lines) + "\n"
