#!/usr/bin/env bash
# Brings the sources that the runtime is built of from Debian, unpacked into OUT:
#   OUT/quickjs   QuickJS-ng       (package qjs-src, or the folder QUICKJS_SRC)
#   OUT/aws-lc    mldsa-native and mlkem-native (package librust-aws-lc-sys-dev)
#   OUT/<arch>    musl and BearSSL of each architecture in ARCHITECTURES
#   OUT/.complete when all is there: the folder that QUICKJS_SRC named, or an empty line
# Newer suites than the machine's are read through private apt lists in OUT/apt: nothing is added to
# the system's sources. The mirror is the machine's own, or DEBIAN_MIRROR.
set -euo pipefail

out=${1:?usage: sources.sh OUT}
architectures=${ARCHITECTURES:-amd64 arm64 armhf}
written_for=0.17.0
if [[ -n ${QUICKJS_SRC:-} && ! -f $QUICKJS_SRC/quickjs.c ]]; then
  echo "sources.sh: QUICKJS_SRC=$QUICKJS_SRC: there is no quickjs.c in it" >&2
  exit 1
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
# What lies there is no longer whole from here on.
rm -f "$out/.complete"

mirror=$("$(dirname "${BASH_SOURCE[0]}")/../../../.ci/debian-mirror")

# private SUITE ARCHITECTURE PACKAGE…: downloads and unpacks packages into OUT/unpacked/ARCHITECTURE
private() {
  local suite=$1 architecture=$2 root=$out/apt/$1-$2
  shift 2
  mkdir -p "$root"/{lists/partial,cache/archives/partial,parts,packages}
  : >"$root/status"
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$mirror" "$suite" \
    /usr/share/keyrings/debian-archive-keyring.gpg >"$root/debian.sources"
  local options=(-qq -o "Dir::Etc::sourcelist=$root/debian.sources" -o "Dir::Etc::sourceparts=$root/parts"
    -o "Dir::State=$root" -o "Dir::State::lists=$root/lists" -o "Dir::State::status=$root/status"
    -o "Dir::Cache=$root/cache" -o "APT::Architecture=$architecture"
    -o "APT::Architectures=$architecture" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  (cd "$root/packages" && rm -f ./*.deb && apt-get "${options[@]}" download "$@")
  mkdir -p "$out/unpacked/$architecture"
  local package
  for package in "$root"/packages/*.deb; do dpkg -x "$package" "$out/unpacked/$architecture"; done
}

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")

if [[ -n ${QUICKJS_SRC:-} ]]; then
  private sid amd64 librust-aws-lc-sys-dev
  ln -sfn "$(cd "$QUICKJS_SRC" && pwd)" "$out/quickjs"
else
  private sid amd64 qjs-src librust-aws-lc-sys-dev
  ln -sfn "$out/unpacked/amd64/usr/src/quickjs-ng" "$out/quickjs"
fi
ln -sfn "$(echo "$out"/unpacked/amd64/usr/share/cargo/registry/aws-lc-sys-*/aws-lc)" "$out/aws-lc"
for architecture in $architectures; do
  private "$suite" "$architecture" musl musl-dev libbearssl-dev
  ln -sfn "$out/unpacked/$architecture" "$out/$architecture"
done

version=$(sed -n 's/^#define QJS_VERSION_\(MAJOR\|MINOR\|PATCH\) *//p' "$out/quickjs/quickjs.h" | paste -sd.)
if [[ $version != "$written_for" ]]; then
  echo "sources.sh: QuickJS-ng is $version, the host was written for $written_for:" \
    'the tests tell whether it fits' >&2
fi
echo "${QUICKJS_SRC:-}" >"$out/.complete"
