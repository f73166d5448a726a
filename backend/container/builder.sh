#!/usr/bin/env bash
# builder.sh NAME NODE: makes the local image NAME that the Dockerfile builds in, where no registry of
# images can be reached: Debian's minimal system by debootstrap, the given Node and this machine's npm.
# As root. Kept from one run to the next: `buildah rmi NAME` makes it anew.
set -euo pipefail
name=${1:?usage: builder.sh NAME NODE}
node=$(readlink -f "${2:?usage: builder.sh NAME NODE}")

if buildah images --quiet "$name" >/dev/null 2>&1; then exit 0; fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(.ci/debian-mirror)
debootstrap --variant=minbase --include=ca-certificates,libstdc++6 "$suite" "$folder/root" "$mirror" \
  >"$folder/log" || { tail "$folder/log" >&2; exit 1; }
cp -L "$node" "$folder/root/usr/local/bin/node"
mkdir -p "$folder/root/usr/local/lib/node_modules"
cp -RL "$(npm root --global)/npm" "$folder/root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$folder/root/usr/local/bin/npm"
container=$(buildah from scratch)
buildah copy --quiet "$container" "$folder/root" / >/dev/null
buildah commit --quiet "$container" "$name" >/dev/null
buildah rm "$container" >/dev/null
