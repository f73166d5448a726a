#!/usr/bin/env bash
# smoke.sh IMAGE NODE: starts the backend in the image's root file system as an engine would: read-only
# root, /state and /tmp of its own, user 10001, and sees it serve, stay healthy, keep its state and
# stop. As root, by mount namespace and chroot alone. NODE runs the ceremony outside.
set -euo pipefail
image=${1:?usage: smoke.sh IMAGE NODE}
node=${2:?usage: smoke.sh IMAGE NODE}
user=10001
folder=$(mktemp -d)
container=$(buildah from "$image")
root=$(buildah mount "$container")
backend=''

finish() {
  [[ -z $backend ]] || kill -KILL "$backend" 2>/dev/null || true
  buildah rm "$container" >/dev/null
  rm -rf "$folder"
}
trap finish EXIT

fail() {
  echo "container: $1" >&2
  [[ ! -f $folder/errors ]] || tail -20 "$folder/errors" >&2
  exit 1
}

# inside PROGRAM…: Node in the image, as its user; the environment goes in.
inside() {
  exec unshare --mount --propagation private bash -euc '
    root=$1 folder=$2 user=$3
    shift 3
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount --bind "$folder/keys" "$root/keys"
    mount -o remount,bind,ro "$root/keys"
    mount --bind "$folder/state" "$root/state"
    mount -t tmpfs tmpfs "$root/tmp"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    exec chroot --userspec="$user:$user" "$root" /bin/node "$@"
  ' inside "$root" "$folder" "$user" "$@"
}

mkdir -m 700 "$folder/state"
chown "$user:$user" "$folder/state"
head -c 24 /dev/urandom | base64 >"$folder/passphrase"
head -c 24 /dev/urandom | base64 >"$folder/token"
OTA_PASSPHRASE=$(<"$folder/passphrase") "$node" backend/cli/main.ts ceremony --out "$folder/keys" >/dev/null
# What a server gets of a ceremony: the offline keys stay where they were made.
rm -rf "$folder/keys/offline"
chown -R "$user:$user" "$folder/keys"

# The machine's own additions to Node's trust mean files that the image has not.
unset NODE_EXTRA_CA_CERTS
export OTA_PASSPHRASE OTA_OPERATOR_TOKEN OTA_KEYS=/keys OTA_STATE=/state OTA_LOG_LEVEL=warn
OTA_PASSPHRASE=$(<"$folder/passphrase") OTA_OPERATOR_TOKEN=$(<"$folder/token")
export DIRECTOR_PORT=0 IMAGES_PORT=0 OPERATOR_PORT=0 DOORBELL_PORT=0

start() {
  : >"$folder/output"
  (inside /app/backend/main.ts) >"$folder/output" 2>>"$folder/errors" &
  backend=$!
  for _ in $(seq 600); do
    ports=$(grep -o 'operator=[0-9]*' "$folder/output" || true)
    [[ -z $ports ]] || break
    kill -0 "$backend" 2>/dev/null || fail 'the backend ended before it listened'
    sleep 0.1
  done
  [[ -n $ports ]] || fail 'the backend does not listen'
  operator=${ports#operator=}
}

stop() {
  kill -TERM "$backend"
  local status=0
  wait "$backend" || status=$?
  backend=''
  [[ $status -eq 0 ]] || fail "SIGTERM: status $status, expected 0"
}

ask() {
  OTA_URL=http://127.0.0.1:$operator "$node" backend/cli/main.ts "$@"
}

start
(OPERATOR_PORT=$operator inside /app/backend/container/health.ts) || fail 'the health check fails'
ask vehicle token --vehicle smoke-1 >/dev/null || fail 'no enrolment token'
stop
if (OPERATOR_PORT=$operator inside /app/backend/container/health.ts) 2>/dev/null; then
  fail 'the health check passes without a backend'
fi
start
ask log >"$folder/log" || fail 'the log cannot be read after a restart'
stop

writable=$(find "$root" -xdev -writable -type f -perm /022 | head -5)
[[ -z $writable ]] || fail "others than root may write: $writable"
for absent in bin/sh usr/bin/apt root src app/test app/node_modules/typescript; do
  [[ ! -e $root/$absent ]] || fail "/$absent is in the image"
done
echo "container: $image, $(du -sm "$root" | cut -f1) MB; served, healthy, stopped and started again"
