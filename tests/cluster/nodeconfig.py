"""The configuration files of one node: kubelet, kube-proxy, containerd and CNI. Text only, no action."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.cluster.network import Network
from tests.cluster.pause import PAUSE_IMAGE

REGISTRIES = "/mnt/node/registries"  # containerd looks here at each pull


def kubelet_config(network: Network, cgroup_root: str, ca: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(ca)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [network.dns_ip],
        "clusterDomain": "cluster.local",
        "resolvConf": "/mnt/node/resolv.conf",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup_root,
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # All nodes share one disk and memory: full ones are the machine's affair, not a reason to evict.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "50Mi"},
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "3s",  # how soon a device's health shows; only changes are sent
    }


def kube_proxy_config(network: Network, node: str, kubeconfig: str) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": node,
        "clusterCIDR": network.pod_cidr,
        "clientConnection": {"kubeconfig": kubeconfig},
        # Zero means "leave alone": connection tracking limits belong to the whole machine.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
        "iptables": {"minSyncPeriod": "100ms"},
    }


def cni_config(pod_cidr: str) -> dict[str, object]:
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isDefaultGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": pod_cidr}]]},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def plain_registry(registry: str) -> str:
    """The hosts.toml that makes containerd ask a registry (host:port) over plain HTTP."""
    url = f"http://{registry}"
    return f'server = "{url}"\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'


def containerd_config(binaries: Mapping[str, Path]) -> str:
    runtime = "plugins.'io.containerd.cri.v1.runtime'"
    handlers = "\n".join(
        f"""
[{runtime}.containerd.runtimes.{handler}]
  runtime_type = "io.containerd.runc.v2"
[{runtime}.containerd.runtimes.{handler}.options]
  BinaryName = "{binaries["runc"]}"
  SystemdCgroup = false"""
        for handler in ("runc", "ascend")
    )
    return f"""version = 3
root = "/mnt/node/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE_IMAGE}"

[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{REGISTRIES}"

[{runtime}]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[{runtime}.cni]
  bin_dirs = ["{binaries["bridge"].parent}"]
  conf_dir = "/mnt/node/cni"

[{runtime}.containerd]
  default_runtime_name = "runc"
{handlers}
"""
