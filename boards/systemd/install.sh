#!/bin/sh
# Run on the board by `make flash`, from the folder that it sent: install.sh ROOT ECU CAN_UNIT
#   files/   what replaces its namesake below ROOT, each file at once by renaming
#   state/   a new flash part and key-values; absent: the ECU keeps those that it has
# ROOT is / on a running board; below any other folder everything is put in place and nothing started.
set -eu
root=${1%/} ecu=$2 can_unit=$3
user=ota-$ecu unit=ota-$ecu.service
state=$root/var/lib/ota/$ecu
cd "$(dirname "$0")"
umask 022
live() { [ -z "$root" ]; }

changed=
for file in $(cd files && find . -type f | sed 's|^\./||'); do
  target=$root/$file
  if cmp -s "files/$file" "$target"; then continue; fi
  mkdir -p "${target%/*}"
  cp "files/$file" "$target.new"
  case $file in usr/local/lib/ota/*) chmod 0755 "$target.new" ;; *) chmod 0644 "$target.new" ;; esac
  sync "$target.new"
  mv -f "$target.new" "$target"
  echo "replaced /$file"
  changed="$changed ${file##*/}"
done

systemd-sysusers --root="${root:-/}" - <"$root/etc/sysusers.d/$user.conf"
owner=$(awk -F: -v user="$user" '$1 == user { print $3 ":" $4 }' "$root/etc/passwd")

if [ -d state ]; then
  rm -rf "$state.new"
  mkdir -p "$state.new"
  cp -R state/. "$state.new/"
  find "$state.new" -type f -exec chmod 0600 {} +
  find "$state.new" -type d -exec chmod 0700 {} +
  chown -R "$owner" "$state.new"
  sync
  if live; then systemctl stop "$unit" 2>/dev/null || true; fi
  if [ -d "$state" ]; then
    rm -rf "$state.previous"
    mv "$state" "$state.previous"
    echo "kept the state before as /var/lib/ota/$ecu.previous"
  fi
  mv "$state.new" "$state"
  sync
  echo "provisioned /var/lib/ota/$ecu"
else
  echo "kept /var/lib/ota/$ecu"
fi

if live; then
  systemctl daemon-reload
  systemctl --quiet enable "$unit"
  case $changed in *"$can_unit"*) systemctl restart "$can_unit" ;; esac
  if ! systemctl restart "$unit"; then
    systemctl stop "$unit"
    journalctl --unit "$unit" --lines 10 --no-pager --output cat >&2 || true
    exit 1
  fi
  echo "started $unit"
else
  systemctl --quiet --root="$root" enable "$unit"
  echo "enabled $unit below $root; nothing was started"
fi
