#!/bin/sh
# Run on the board by `make flash` before anything is changed: look.sh ROOT ECU CAN_INTERFACE
# Prints NAME=VALUE lines: what the board is, and what an earlier run left.
root=$1 ecu=$2 interface=$3
has() { command -v "$1" >/dev/null 2>&1; }
echo "machine=$(uname -m)"
if [ "$(id -u)" = 0 ]; then echo rights=root
elif has sudo && sudo -n true 2>/dev/null; then echo rights=sudo
else echo rights=none; fi
if has systemctl && has systemd-sysusers; then echo systemd=yes; else echo systemd=no; fi
if [ -e "/sys/class/net/$interface" ]; then echo can=yes; else echo can=no; fi
if has ip || [ -x /sbin/ip ]; then echo ip=yes; else echo ip=no; fi
if [ -d "$root/var/lib/ota/$ecu" ]; then echo state=yes; else echo state=no; fi
echo end=yes
