/** Flashes one ECU onto a board: looks at it, builds for it, provisions, installs, starts. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Architecture } from '../../../boards/load.ts';
import { ecuPaths } from '../../../boards/systemd/units.ts';
import { board } from '../vehicle-layout.ts';
import { bundleTexts, writeBundle } from './bundle.ts';
import type { FlashOptions } from './flash-options.ts';
import { FlashError, type HostFacts, RemoteHost } from './remote-host.ts';
import { handedOver, provisionedEcu } from './vehicle-folder.ts';

/** What `uname -m` says of the processors of `make runtime`. */
const machines: Readonly<Record<string, Architecture>> = {
  x86_64: 'x86_64',
  aarch64: 'aarch64',
  armv7l: 'armhf',
};

/** Throws `FlashError` when the board cannot be flashed; until then nothing on it was changed. */
export async function flashBoard(
  options: FlashOptions,
  say: (line: string) => void,
): Promise<void> {
  const { ecu, canInterface, root } = options;
  const host = new RemoteHost(options.host, options.ssh);
  const facts = await host.look(root, ecu, canInterface);
  const architecture = judge(options, facts);
  const paths = ecuPaths(ecu, canInterface);
  const provisions = !facts.state || options.reprovision;
  const state = provisions ? `new keys and flash of ${options.vehicleId}` : 'kept as it is';
  say(`${options.host}: ${facts.machine}, ${facts.rights}; ${paths.state}: ${state}`);
  if (options.dryRun) {
    say(`would run make runtime ARCHITECTURES=${architecture} CRYPTO=${board.engine.crypto}`);
    say(`would replace, below ${root}:\n  ${paths.program}`);
    for (const [path, text] of Object.entries(bundleTexts(options, paths))) {
      say(`  ${path}\n${text.replace(/^/gm, '    | ').trimEnd()}`);
    }
    say(
      root === '/' ? `would enable and restart ${paths.ecuUnit}` : `would enable ${paths.ecuUnit}`,
    );
    return;
  }
  build(architecture, options.runtimeRelease);
  const source = provisions ? await provisionedEcu(options, architecture) : undefined;
  const folder = mkdtempSync(join(tmpdir(), 'ota-flash-'));
  try {
    writeBundle(folder, options, paths, architecture, source);
    const printed = await host.install(folder, [root, ecu, paths.canUnit], facts.rights === 'sudo');
    say(printed.trimEnd());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  if (source !== undefined) handedOver(source);
}

/** The board's processor. Throws `FlashError` with everything that keeps it from being flashed. */
export function judge(options: FlashOptions, facts: HostFacts): Architecture {
  const { canInterface, root } = options;
  const problems: string[] = [];
  const { architectures } = board.engine;
  const architecture = architectures.find((one) => one === machines[facts.machine]);
  if (architecture === undefined) {
    problems.push(
      `wrong processor: ${facts.machine}, ${board.name} has ${architectures.join(' or ')}`,
    );
  }
  if (facts.rights === 'none') {
    problems.push('no rights: log in as root, or as a user whom sudo asks no password');
  }
  if (!facts.systemd) problems.push('no systemd: systemctl and systemd-sysusers are needed');
  if (!facts.ip) problems.push('no program ip (package iproute2)');
  // Below another folder nothing is started, and the interface is that of another system.
  if (root === '/' && !facts.can && !canInterface.startsWith('vcan')) {
    problems.push(
      `no CAN interface ${canInterface}: is its controller in the device tree (boards/raspberrypi/README.md)? CAN=vcan0 tries without one`,
    );
  }
  if (problems.length > 0) throw new FlashError(`${options.host}:\n  ${problems.join('\n  ')}`);
  return architecture!;
}

function build(architecture: Architecture, release: number): void {
  const words = ['runtime', `ARCHITECTURES=${architecture}`, `CRYPTO=${board.engine.crypto}`];
  if (release !== 1) words.push(`RUNTIME_RELEASE=${release}`);
  const { status } = spawnSync('make', words, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new FlashError(`make ${words.join(' ')} failed`);
}
