#!/usr/bin/env bash
# A Kubernetes cluster of two nodes on this machine, from what ops/kubernetes/programs.sh builds: eval "$(ops/kubernetes/cluster.sh)"
#
#   ops/kubernetes/cluster.sh                 says how to reach it, as variables for a shell; fails where it does not run
#   ops/kubernetes/cluster.sh --start         starts an empty one (as root, with the packages that programs.sh names, and a Docker engine with the
#                                             image debian:bookworm-slim)
#   ops/kubernetes/cluster.sh --load IMAGE…   copies images from the Docker engine to both nodes, since they pull none
#   ops/kubernetes/cluster.sh --stop          ends it; nothing stays but the logs
#
# The control plane and the name server (CoreDNS) run on this machine, at 10.213.0.1. Each node has namespaces of its own for network, mounts,
# processes and host name, so that all of it ends with its first process, and no rule of its firewall is this machine's. This machine reaches
# pods (10.214.0.0/16) and services (10.215.0.0/16). kube-network-policies enforces policies. Nothing leads out of the cluster.
# Its API server passes requests on to others, such as those of KEDA and metrics-server.
# A pod's processes count like any others when memory ends: root may not be allowed to protect some.
# Kubelets change three settings of the kernel: vm.overcommit_memory, kernel.panic and kernel.panic_on_oops.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
FOLDER=${XDG_CACHE_HOME:-$HOME/.cache}/audience-triggers/kubernetes
SERVER=https://10.213.0.1:6443
ETCD=http://127.0.0.1:22379
NODES=(1 2)
SWITCH=triggers-switch
PAUSE=audience-triggers/pause
CGROUPS=(/sys/fs/cgroup/*/)

fail() {
  echo "$1" >&2
  exit 1
}

kubectl() {
  "$PROGRAMS/kubectl" --kubeconfig "$FOLDER/admin.conf" "$@"
}

# until_done SECONDS COMMAND…
until_done() {
  for ((waited = 0; waited < $1; waited++)); do
    if "${@:2}" >/dev/null 2>&1; then return; fi
    sleep 1
  done
  fail "not done within $1 s: ${*:2} (logs: $FOLDER/*.log)"
}

# certify NAME SUBJECT [EXTENSIONS]: signed by the cluster's authority.
certify() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$FOLDER/$1.key" -subj "$2" -out "$FOLDER/$1.csr" 2>/dev/null
  openssl x509 -req -in "$FOLDER/$1.csr" -CA "$FOLDER/ca.crt" -CAkey "$FOLDER/ca.key" -CAcreateserial -days 3650 -out "$FOLDER/$1.crt" \
    -extfile <(echo "${3:-extendedKeyUsage=clientAuth}") 2>/dev/null
}

# member NAME SUBJECT: a file by which somebody of that name reaches the API server.
member() {
  certify "$1" "$2"
  local config=("$PROGRAMS/kubectl" --kubeconfig "$FOLDER/$1.conf" config)
  {
    "${config[@]}" set-cluster local --server "$SERVER" --certificate-authority "$FOLDER/ca.crt" --embed-certs
    "${config[@]}" set-credentials "$1" --client-certificate "$FOLDER/$1.crt" --client-key "$FOLDER/$1.key" --embed-certs
    "${config[@]}" set-context local --cluster local --user "$1"
    "${config[@]}" use-context local
  } >/dev/null
}

# begin NAME COMMAND…: in the background, until the cluster stops.
begin() {
  nohup "${@:2}" >"$FOLDER/$1.log" 2>&1 &
  echo $! >>"$FOLDER/pids"
}

start_control_plane() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=local -keyout "$FOLDER/ca.key" -out "$FOLDER/ca.crt" \
    2>/dev/null
  openssl genrsa -out "$FOLDER/accounts.key" 2048 2>/dev/null
  certify server /CN=kube-apiserver 'subjectAltName=IP:10.213.0.1,IP:10.215.0.1,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local'
  certify aggregator /CN=aggregator
  member admin /O=system:masters/CN=admin
  for name in kube-controller-manager kube-scheduler kube-proxy; do member "$name" "/CN=system:$name"; done
  begin etcd "$PROGRAMS/etcd" --data-dir "$FOLDER/etcd" --listen-client-urls $ETCD --advertise-client-urls $ETCD \
    --listen-peer-urls http://127.0.0.1:22380 --unsafe-no-fsync --log-level error
  begin kube-apiserver "$PROGRAMS/kube-apiserver" --etcd-servers $ETCD --bind-address 10.213.0.1 --advertise-address 10.213.0.1 \
    --cert-dir "$FOLDER" --tls-cert-file "$FOLDER/server.crt" --tls-private-key-file "$FOLDER/server.key" --client-ca-file "$FOLDER/ca.crt" \
    --kubelet-client-certificate "$FOLDER/admin.crt" --kubelet-client-key "$FOLDER/admin.key" --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc.cluster.local --service-account-key-file "$FOLDER/accounts.key" \
    --service-account-signing-key-file "$FOLDER/accounts.key" --service-cluster-ip-range 10.215.0.0/16 \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --requestheader-client-ca-file "$FOLDER/ca.crt" --requestheader-allowed-names aggregator --requestheader-username-headers X-Remote-User \
    --requestheader-group-headers X-Remote-Group --requestheader-extra-headers-prefix X-Remote-Extra- \
    --proxy-client-cert-file "$FOLDER/aggregator.crt" --proxy-client-key-file "$FOLDER/aggregator.key"
  until_done 120 kubectl get --raw /readyz
  begin kube-controller-manager "$PROGRAMS/kube-controller-manager" --kubeconfig "$FOLDER/kube-controller-manager.conf" --leader-elect=false \
    --use-service-account-credentials --bind-address 127.0.0.1 --service-account-private-key-file "$FOLDER/accounts.key" --root-ca-file "$FOLDER/ca.crt"
  begin kube-scheduler "$PROGRAMS/kube-scheduler" --kubeconfig "$FOLDER/kube-scheduler.conf" --leader-elect=false --bind-address 127.0.0.1
  cat >"$FOLDER/Corefile" <<END
.:53 {
  bind 10.213.0.1
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $FOLDER/admin.conf
    ttl 5
  }
}
END
  begin coredns "$PROGRAMS/coredns" -conf "$FOLDER/Corefile"
}

# The policies' program knows the API server as a pod does: by a service account's files.
make_account() {
  mkdir "$FOLDER/account"
  kubectl --namespace kube-system create serviceaccount kube-network-policies
  kubectl create clusterrolebinding kube-network-policies --clusterrole view --serviceaccount kube-system:kube-network-policies
  kubectl --namespace kube-system create token kube-network-policies --duration 87600h >"$FOLDER/account/token"
  cp "$FOLDER/ca.crt" "$FOLDER/account/"
}

# A network namespace of its own for the wires between the nodes: on this machine, Docker's firewall would refuse what they carry.
make_switch() {
  ip netns add $SWITCH
  ip -netns $SWITCH link add switch type bridge
  ip -netns $SWITCH link set switch up
  ip link add triggers-kube type veth peer name host netns $SWITCH
  ip -netns $SWITCH link set host master switch up
  ip address add 10.213.0.1/24 dev triggers-kube
  ip link set triggers-kube up
}

connect_node() {
  local node=triggers-node-$1
  ip netns add "$node"
  ip -netns $SWITCH link add "node-$1" type veth peer name eth0 netns "$node"
  ip -netns $SWITCH link set "node-$1" master switch up
  ip -netns "$node" address add "10.213.0.1$1/24" dev eth0
  ip -netns "$node" link set lo up
  ip -netns "$node" link set eth0 up
  for other in "${NODES[@]}"; do
    if [ "$other" != "$1" ]; then ip -netns "$node" route add "10.214.$other.0/24" via "10.213.0.1$other"; fi
  done
  ip route add "10.214.$1.0/24" via "10.213.0.1$1"
}

start_node() {
  local name=node-$1 folder=$FOLDER/node-$1
  connect_node "$1"
  member "$name" "/O=system:nodes/CN=system:node:$name"
  mkdir -p "$folder/cni"
  echo "search local" >"$folder/resolv.conf"
  # The groups of its pods, beside those of the other node's.
  for controller in "${CGROUPS[@]}"; do
    mkdir -p "${controller}triggers/$name"
    for part in triggers "triggers/$name"; do
      for file in cpuset.cpus cpuset.mems; do
        if [ -f "$controller$file" ]; then cat "$controller$file" >"$controller$part/$file"; fi
      done
    done
  done
  cat >"$folder/containerd.toml" <<END
version = 2
root = "$folder/containerd"
state = "$folder/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "$folder/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/$PAUSE:latest"
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$folder/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
END
  cat >"$folder/cni/10-bridge.conflist" <<END
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [{
    "type": "bridge", "bridge": "pods", "isDefaultGateway": true, "hairpinMode": true,
    "ipam": { "type": "host-local", "dataDir": "$folder/addresses", "ranges": [[{ "subnet": "10.214.$1.0/24" }]] }
  }]
}
END
  cat >"$folder/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: { anonymous: { enabled: false }, x509: { clientCAFile: $FOLDER/ca.crt } }
authorization: { mode: Webhook }
containerRuntimeEndpoint: unix://$folder/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /triggers/$name
failCgroupV1: false
failSwapOn: false
clusterDNS: [10.213.0.1]
clusterDomain: cluster.local
resolvConf: $folder/resolv.conf
podLogsDir: $folder/logs
volumePluginDir: $folder/plugins
evictionHard: { memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1% }
imageGCHighThresholdPercent: 100
END
  cat >"$folder/kube-proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: { kubeconfig: $FOLDER/kube-proxy.conf }
hostnameOverride: $name
clusterCIDR: 10.214.0.0/16
mode: iptables
conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }
END
  begin "$name" nsenter --net="/run/netns/triggers-$name" unshare --mount --uts --pid --fork --kill-child --mount-proc "$HERE/cluster.sh" --node "$1"
}

# What runs in the namespaces of a node, as its first process.
be_node() {
  local name=node-$1 folder=$FOLDER/node-$1
  hostname "$name"
  mount --make-rshared /
  # Only here, and in place of what this machine may have there.
  mkdir -p /run/secrets
  mount -t tmpfs tmpfs /run/secrets
  mkdir -p /run/secrets/kubernetes.io
  cp -r "$FOLDER/account" /run/secrets/kubernetes.io/serviceaccount
  echo 1 >/proc/sys/net/ipv4/ip_forward
  if [ -f /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi
  containerd --config "$folder/containerd.toml" >"$FOLDER/$name-containerd.log" 2>&1 &
  until_done 60 test -S "$folder/containerd.sock"
  "$PROGRAMS/kube-proxy" --config "$folder/kube-proxy.yaml" >"$FOLDER/$name-kube-proxy.log" 2>&1 &
  KUBERNETES_SERVICE_HOST=10.213.0.1 KUBERNETES_SERVICE_PORT=6443 "$PROGRAMS/kube-network-policies" --hostname-override "$name" \
    --netfilter-bug-1766-fix=false >"$FOLDER/$name-policies.log" 2>&1 &
  # It is asked about each new connection, but about none that the node itself begins, as for a probe. Its own rules say the same to a
  # kernel whose nftables have queues.
  iptables --wait --table mangle --append POSTROUTING --match conntrack --ctstate ESTABLISHED,RELATED --jump ACCEPT
  iptables --wait --table mangle --append POSTROUTING --match owner --uid-owner 0 --jump ACCEPT
  iptables --wait --table mangle --append POSTROUTING --jump NFQUEUE --queue-num 100
  "$PROGRAMS/kubelet" --kubeconfig "$FOLDER/$name.conf" --config "$folder/kubelet.yaml" --root-dir "$folder/kubelet" --cert-dir "$folder" \
    --hostname-override "$name" --node-ip "10.213.0.1$1" >"$FOLDER/$name-kubelet.log" 2>&1 &
  # Without one of them it is no node.
  wait -n
}

load() {
  local engine
  engine=$("$HERE/../containers/engine.sh")
  for node in "${NODES[@]}"; do
    (eval "$engine" && docker save "$@") | ctr --address "$FOLDER/node-$node/containerd.sock" --namespace k8s.io images import --no-unpack=false - >/dev/null
  done
}

start() {
  [ "$(id -u)" = 0 ] || fail 'only root can start a cluster'
  for name in containerd runc conntrack iptables ip openssl /usr/lib/cni/bridge; do
    command -v "$name" >/dev/null || fail "$name is not installed"
  done
  if runs; then return; fi
  stop
  mkdir -p "$FOLDER"
  echo 'Starting a Kubernetes cluster' >&2
  (eval "$("$HERE/../containers/engine.sh")" && printf 'FROM debian:bookworm-slim\nCMD ["sleep", "infinity"]\n' | docker build --quiet --tag "$PAUSE" -) >&2
  make_switch
  start_control_plane
  make_account >/dev/null
  for node in "${NODES[@]}"; do start_node "$node"; done
  ip route add 10.215.0.0/16 via "10.213.0.1${NODES[0]}"
  for node in "${NODES[@]}"; do until_done 60 test -S "$FOLDER/node-$node/containerd.sock"; done
  load "$PAUSE"
  until_done 120 runs
}

runs() {
  [ -f "$FOLDER/admin.conf" ] && [ "$(kubectl get nodes --no-headers 2>/dev/null | grep --count ' Ready ')" = ${#NODES[@]} ]
}

# Whatever is left of an earlier one goes, too, as after a restart of the machine.
stop() {
  for node in "${NODES[@]}"; do
    # The first process of a node takes all others with it.
    local pids=()
    mapfile -t pids < <(ip netns pids "triggers-node-$node" 2>/dev/null)
    if [ ${#pids[@]} != 0 ]; then kill -KILL "${pids[@]}" 2>/dev/null || true; fi
  done
  if [ -f "$FOLDER/pids" ]; then
    while read -r pid; do
      if tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep --quiet "$FOLDER"; then kill -KILL "$pid" || true; fi
    done <"$FOLDER/pids"
  fi
  for name in $SWITCH "${NODES[@]/#/triggers-node-}"; do ip netns delete "$name" 2>/dev/null || true; done
  ip link delete triggers-kube 2>/dev/null || true
  for ((waited = 0; waited < 20; waited++)); do
    # Bottom up: a group goes when it is empty.
    for controller in "${CGROUPS[@]}"; do
      if [ -d "${controller}triggers" ]; then find "${controller}triggers" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
    done
    if ! compgen -G '/sys/fs/cgroup/*/triggers' >/dev/null; then break; fi
    sleep 1
  done
  find "$FOLDER" -mindepth 1 -maxdepth 1 ! -name '*.log' -exec rm -rf {} + 2>/dev/null || true
}

PROGRAMS=$("$HERE/programs.sh")
case ${1:-} in
  --node) be_node "$2" ;;
  --stop) stop ;;
  --load) runs && load "${@:2}" ;;
  --start | '')
    if [ "${1:-}" = --start ]; then start; fi
    runs || fail 'no Kubernetes cluster runs, and none was started by: ops/kubernetes/cluster.sh --start'
    printf 'export KUBECONFIG=%q\nexport PATH=%q:$PATH\n' "$FOLDER/admin.conf" "$PROGRAMS"
    ;;
  *) fail "unknown: $1" ;;
esac
