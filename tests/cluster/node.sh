#!/bin/bash
# Process 1 of a node: everything below runs in mount, pid and network namespaces of the node's own, so that
# killing this process ends the node and nothing of it stays on the host.
# Environment: NODE_DIR VOLUMES_DIR NODE_NAME CONTAINERD CTR KUBELET KUBE_PROXY DEVICE_PLUGIN PAUSE NODE_IP
#              NODE_LABELS NPUS NPU_RESOURCE BOOT_ID
set -eu

hostname "$NODE_NAME"

# The node's own directories come first, by a path that no overlay below covers.
mount -t tmpfs tmpfs /mnt
mkdir /mnt/node /mnt/volumes
mount --bind "$NODE_DIR" /mnt/node
mount --bind "$VOLUMES_DIR" /mnt/volumes

# Copy-on-write views of the host's directories that kubelet, containerd and drivers have fixed paths in.
for path in /etc /usr/local /var/lib /var/log; do
  layers=/mnt/node/overlay${path}
  mkdir -p "$layers/upper" "$layers/work"
  mount -t overlay overlay -o "lowerdir=$path,upperdir=$layers/upper,workdir=$layers/work" "$path"
done
mount -t tmpfs tmpfs /run
rm -rf /var/lib/cni  # addresses of pods that died with the node
mkdir -p /var/lib/kubelet /var/lib/volumes
mount --bind /mnt/node/kubelet /var/lib/kubelet
mount --bind /mnt/volumes /var/lib/volumes

# The kubelet wants these kernel settings, which belong to the whole machine: it finds them satisfied.
while read -r name value; do
  echo "$value" > "/run/sysctl-${name//\//-}"
  mount --bind "/run/sysctl-${name//\//-}" "/proc/sys/$name"
done << 'SETTINGS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS

# A boot of the node's own, so that the API server tells a node started again from one that never went away.
echo "$BOOT_ID" > /run/boot-id
mount --bind /run/boot-id /proc/sys/kernel/random/boot_id

mount --make-rshared /  # for pods that ask for mount propagation; the peer group is this node's own

forever() {  # as an init system would: a part that ends is started again
  local name=$1
  shift
  while true; do
    "$@" >> "/mnt/node/$name.log" 2>&1 || true
    echo "$name ended; starting it again" >> "/mnt/node/$name.log"
    sleep 1
  done
}

forever containerd "$CONTAINERD" --config /mnt/node/containerd.toml &
until "$CTR" --connect-timeout 1s version > /dev/null 2>&1; do sleep 0.1; done
"$CTR" -n k8s.io images import "$PAUSE" > /dev/null
forever kubelet "$KUBELET" --config=/mnt/node/kubelet.yaml --kubeconfig=/mnt/node/kubelet.kubeconfig \
  --node-ip="$NODE_IP" --hostname-override="$NODE_NAME" --node-labels="$NODE_LABELS" &
forever kube-proxy "$KUBE_PROXY" --config=/mnt/node/kube-proxy.yaml &
if [ "$NPUS" -gt 0 ]; then  # else the resource's name stays free for a plugin that runs as a pod
  forever device-plugin "$DEVICE_PLUGIN" -resource "$NPU_RESOURCE" -devices "$NPUS" \
    -health-file /mnt/node/unhealthy-devices &
fi
wait
