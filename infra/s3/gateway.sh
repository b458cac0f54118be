#!/usr/bin/env bash
# A real S3 server for tests: Ceph's object gateway on loopback, its objects in memory.
#
#   gateway.sh start [FOLDER]     bring it up (under 30 seconds) and print what `env` prints
#   gateway.sh env [FOLDER]       the exports that S3 clients read: eval "$(infra/s3/gateway.sh env)"
#   gateway.sh status [FOLDER]    running or stopped
#   gateway.sh stop [FOLDER]      end exactly the processes that start began, and remove the folder
#   gateway.sh rgw [FOLDER]       start the gateway process alone again, after it was killed
#   gateway.sh install            the Debian packages, by apt (this alone needs root)
#
# One monitor, one manager, one OSD with a memory store, one gateway. Nothing listens beyond 127.0.0.1, nobody
# authenticates inside, and every key is a test key: this is no way to store data.
set -euo pipefail

PACKAGES="ceph-mon ceph-mgr ceph-osd radosgw ceph-common"
ACCESS_KEY=imagegen-test-access
SECRET_KEY=imagegen-test-secret
MEMORY=$((4 * 1024 * 1024 * 1024)) # bytes that the memory store offers; taken only as objects come

command=${1:-}
folder=${2:-${TMPDIR:-/tmp}/imagegen-s3-$(id -u)}

fail() { echo "gateway.sh: $*" >&2; exit 1; }

alive() { # NAME: whether the process recorded under this name is there and still ours
    [ -f "$folder/$1.pid" ] && grep -qsF "$folder/ceph.conf" "/proc/$(cat "$folder/$1.pid")/cmdline" \
        && ! grep -qs '^State:[[:space:]]*Z' "/proc/$(cat "$folder/$1.pid")/status"
}

daemon() { # NAME COMMAND...: in the background, in a session of its own, its process recorded
    local name=$1
    shift
    setsid "$@" -c "$folder/ceph.conf" -f >"$folder/$name.out" 2>&1 </dev/null &
    echo $! >"$folder/$name.pid"
}

ceph() { command ceph -c "$folder/ceph.conf" --connect-timeout 20 "$@"; }

wait_for() { # WHAT SECONDS COMMAND...: poll until it succeeds
    local what=$1 end=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "$what did not come up; see $folder/*.log and *.out"
        sleep 0.2
    done
}

osd_is_up() { ceph osd stat | grep -q ' 1 up'; }

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$(cat "$folder/port")") 2>/dev/null; }

free_ports() {
    python3 -c '
import socket
held = [socket.socket() for _ in range(3)]
for one in held: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in held))'
}

configure() {
    read -r v2 v1 port < <(free_ports)
    echo "$port" >"$folder/port"
    fsid=$(cat /proc/sys/kernel/random/uuid)
    addresses="[v2:127.0.0.1:$v2,v1:127.0.0.1:$v1]"
    monmaptool --create --fsid "$fsid" --addv a "$addresses" "$folder/monmap" >"$folder/mon.out" 2>&1
    cat >"$folder/ceph.conf" <<CONF
[global]
fsid = $fsid
mon_host = $addresses
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_cluster_mode = crc
ms_service_mode = crc
ms_client_mode = crc
ms_mon_cluster_mode = crc
ms_mon_service_mode = crc
ms_mon_client_mode = crc
run_dir = $folder
admin_socket =
log_file = $folder/\$name.log
crash_dir = $folder
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_crush_update_on_start = true
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
[mon]
mon_data = $folder/mon
mon_cluster_log_file = $folder/cluster.log
[mgr]
mgr_data = $folder/mgr
[osd]
osd_data = $folder/osd
osd_objectstore = memstore
memstore_device_bytes = $MEMORY
[client.rgw]
debug_rgw = 0/0
rgw_frontends = beast endpoint=127.0.0.1:$port
rgw_rados_pool_pg_num_min = 4
rgw_gc_obj_min_wait = 5
rgw_gc_processor_period = 10
rgw_run_sync_thread = false
rgw_dynamic_resharding = false
CONF
    mkdir -p "$folder/mon" "$folder/mgr" "$folder/osd" "$folder/rgw"
}

start() {
    for tool in ceph-mon ceph-mgr ceph-osd radosgw radosgw-admin monmaptool ceph python3 setsid; do
        command -v $tool >/dev/null || fail "$tool is not installed; as root: infra/s3/gateway.sh install"
    done
    if status >/dev/null; then print_env; return; fi
    stop
    mkdir -p "$folder"
    trap 'if [ $? -ne 0 ]; then end_processes; fi' EXIT # what does not come up whole leaves only its logs
    chmod 700 "$folder"
    folder=$(cd "$folder" && pwd)
    configure
    ceph-mon -c "$folder/ceph.conf" --mkfs -i a --monmap "$folder/monmap" >>"$folder/mon.out" 2>&1 || fail "$(tail -3 "$folder/mon.out")"
    daemon mon ceph-mon -i a
    wait_for "the monitor" 20 ceph mon stat
    daemon mgr ceph-mgr -i a
    uuid=$(cat /proc/sys/kernel/random/uuid)
    ceph osd new "$uuid" >"$folder/osd.out" 2>&1
    ceph-osd -c "$folder/ceph.conf" -i 0 --mkfs --osd-uuid "$uuid" >>"$folder/osd.out" 2>&1 \
        || fail "$(tail -3 "$folder/osd.out")"
    daemon osd ceph-osd -i 0
    wait_for "the OSD" 20 osd_is_up
    rgw
    radosgw-admin -c "$folder/ceph.conf" -n client.rgw user create --uid=imagegen --display-name=imagegen \
        --access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY" >"$folder/user.out" 2>&1 || fail "$(tail -3 "$folder/user.out")"
    print_env
}

rgw() {
    daemon rgw radosgw -n client.rgw
    wait_for "the gateway" 30 answers
}

install_packages() {
    [ "$(id -u)" = 0 ] || fail "installing $PACKAGES takes root"
    command -v apt-get >/dev/null || fail "there is no apt here to install $PACKAGES"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $PACKAGES >/dev/null
}

end_processes() {
    for name in rgw mgr osd mon; do
        if alive $name; then kill -9 "$(cat "$folder/$name.pid")"; fi # nothing to save: it was all in memory
    done
    for name in rgw mgr osd mon; do
        while alive $name; do sleep 0.05; done
    done
}

stop() {
    end_processes
    if [ -f "$folder/ceph.conf" ]; then rm -rf "$folder"; fi
}

status() {
    for name in mon mgr osd rgw; do
        alive $name || { echo "stopped ($name is not running)"; return 1; }
    done
    echo "running at http://127.0.0.1:$(cat "$folder/port")"
}

print_env() {
    cat <<ENV
export AWS_ENDPOINT_URL=http://127.0.0.1:$(cat "$folder/port")
export AWS_ACCESS_KEY_ID=$ACCESS_KEY
export AWS_SECRET_ACCESS_KEY=$SECRET_KEY
export AWS_DEFAULT_REGION=us-east-1
ENV
}

case $command in
    start) start ;;
    stop) stop ;;
    rgw) rgw ;;
    status) status ;;
    env) [ -f "$folder/port" ] || fail "no gateway in $folder; start one first"; print_env ;;
    install) install_packages ;;
    *) fail "give one of: start, stop, status, env, rgw, install" ;;
esac
