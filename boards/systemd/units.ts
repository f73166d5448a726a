/**
 * The systemd units of an ECU on a Linux board: the kernel's CAN interface with the rates of the
 * board's description, and the ECU's program, confined to what it needs (systemd.exec(5)).
 */
import type { Board } from '../load.ts';

/** Where an ECU's parts lie on the board. */
export interface EcuPaths {
  readonly program: string;
  readonly description: string;
  /** Flash part and key-values; below /var/lib, made and owned for the unit's user. */
  readonly state: string;
  readonly user: string;
  readonly ecuUnit: string;
  readonly canUnit: string;
}

export function ecuPaths(ecu: string, canInterface: string): EcuPaths {
  return {
    program: `/usr/local/lib/ota/ecu-${ecu}`,
    description: `/etc/ota/${ecu}.json`,
    state: `/var/lib/ota/${ecu}`,
    user: `ota-${ecu}`,
    ecuUnit: `ota-${ecu}.service`,
    canUnit: `ota-can-${canInterface}.service`,
  };
}

/** A user of the ECU's own, for systemd-sysusers: other ECUs of the board cannot read its keys. */
export function userDeclaration({ user, state }: EcuPaths): string {
  return `u ${user} - "Over-the-air update agent" ${state}\n`;
}

/**
 * @param capability those that the unit has; without one it makes no privileged system call either
 * @param ambient true: its user has them, too
 */
const confinement = (capability = '', ambient = false) => `NoNewPrivileges=yes
CapabilityBoundingSet=${capability}
AmbientCapabilities=${ambient ? capability : ''}
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
MemoryDenyWriteExecute=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
${capability === '' ? 'SystemCallFilter=~@privileged @resources\n' : ''}SystemCallErrorNumber=EPERM
UMask=0077`;

/** Room beside the JavaScript heap: program, stack, network buffers, page cache of the flash part. */
const besideHeapBytes = 16_777_216;

/**
 * The ECU's unit. Flash and key-values are files of its own user, and a raw CAN socket asks for no
 * privilege: it has no capability at all, unless the machine's loader starts its programs.
 * @param network the ECU talks to the repositories; a Secondary only to its bus
 */
export function ecuUnit(ecu: string, board: Board, paths: EcuPaths, network: boolean): string {
  const { program, description, user, canUnit } = paths;
  const heapBytes = board.memory.heapBytes[network ? 'primary' : 'secondary'];
  const restartFile = `/run/${user}/restart`;
  const online = network
    ? `Wants=network-online.target\nAfter=network-online.target ${canUnit}`
    : `After=${canUnit}`;
  const addresses = network
    ? 'RestrictAddressFamilies=AF_CAN AF_UNIX AF_INET AF_INET6'
    : 'RestrictAddressFamilies=AF_CAN AF_UNIX\nIPAddressDeny=any';
  return `[Unit]
Description=Over-the-air update agent of the ECU ${ecu}
Requires=${canUnit}
${online}
# An ECU that restarts for an update is no failing service.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User=${user}
ExecStart=${program} --heap ${heapBytes} ${description} $OTA_RESTART_CAUSE
# A trial boot opens the watchdog of the service manager: an image that hangs is killed, and the
# next start is told so.
Environment=OTA_WATCHDOG=notify
EnvironmentFile=-${restartFile}
ExecStopPost=/bin/sh -c 'if test "$$SERVICE_RESULT" = watchdog; then echo OTA_RESTART_CAUSE=--watchdog >${restartFile}; else rm -f ${restartFile}; fi'
RuntimeDirectory=${user}
RuntimeDirectoryPreserve=restart
StateDirectory=ota/${ecu}
StateDirectoryMode=0700
# 75: the ECU restarts itself. 2 and 70: wrong description, no image that may run: no use to retry.
Restart=always
RestartSec=1
SuccessExitStatus=75
RestartPreventExitStatus=2 70
MemoryMax=${heapBytes + besideHeapBytes}
TasksMax=16
${board.boot.control === 'file' ? confinement() : loaderRights(board.boot)}
${addresses}

[Install]
WantedBy=multi-user.target
`;
}

/** What it takes to restart the machine into the slot that its loader has been told. */
function loaderRights(boot: Exclude<Board['boot'], { readonly control: 'file' }>): string {
  const folderOf = (path: string) => path.slice(0, path.lastIndexOf('/')) || '/';
  const told =
    boot.control === 'tryboot'
      ? [folderOf(boot.autoboot)]
      : boot.environment.map(({ path }) => path);
  const writable = [...new Set([...boot.files.map(folderOf), ...told])].join(' ');
  // Boot partitions are the superuser's, and devices are hidden unless they are named.
  const devices = [...new Set(told)]
    .filter((path) => path.startsWith('/dev/'))
    .map((path) => `${path} rw`);
  return `${confinement('CAP_SYS_BOOT CAP_DAC_OVERRIDE', true).replace('PrivateDevices=yes\n', '')}
SystemCallFilter=@reboot
Environment=OTA_REBOOT_MACHINE=1
ReadWritePaths=${writable}
DevicePolicy=closed
${devices.map((device) => `DeviceAllow=${device}`).join('\n')}`.trimEnd();
}

const ip = '/sbin/ip';

/** Sets the kernel's interface to the board's rates; an interface `vcan…` is made instead. */
export function canUnit(canInterface: string, { can }: Board): string {
  const virtual = canInterface.startsWith('vcan');
  const device = `sys-subsystem-net-devices-${canInterface}.device`;
  const data = can.dataBitRate === undefined ? 'fd off' : `dbitrate ${can.dataBitRate} fd on`;
  const link = `${ip} link set ${canInterface}`;
  const frameBytes = can.flexibleData ? 72 : 16;
  const start = virtual
    ? [
        `ExecStartPre=-${ip} link add dev ${canInterface} type vcan`,
        `ExecStart=${link} mtu ${frameBytes} up`,
      ]
    : [
        // Rates cannot be changed while it is up.
        `ExecStartPre=-${link} down`,
        // After bus-off the controller tries again.
        `ExecStart=${link} type can bitrate ${can.bitRate} ${data} restart-ms 100`,
        `ExecStart=${link} txqueuelen 128 up`,
      ];
  return `[Unit]
Description=CAN interface ${canInterface}
${virtual ? '' : `BindsTo=${device}\nAfter=${device}\n`}
[Service]
Type=oneshot
RemainAfterExit=yes
${start.join('\n')}
ExecStop=${link} down
${confinement('CAP_NET_ADMIN')}
RestrictAddressFamilies=AF_NETLINK AF_UNIX
IPAddressDeny=any
`;
}
