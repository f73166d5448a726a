/**
 * `make bench-peers`: the same bytes through our installer and through Debian's SWUpdate, in one
 * sitting: AES-256 (GCM in chunks here, CBC there), SHA-256, onto a file that stands for the flash.
 * Beside ours its floor: the same work on each byte in bare C. Ours comes from the download partition,
 * as the Primary installs; `as from the bus` has each chunk durable and recorded before the next, as a
 * Secondary takes it, which SWUpdate has no counterpart of (it never synchronises). Medians of several
 * runs; results, never a pass or a fail. Written to out/bench-peers.json.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from '../measure.ts';
import { makePeerUpdate, makeSigner, type PeerUpdate } from './archive.ts';
import { makeOurUpdate, type OurUpdate } from './ours.ts';

const mebibyte = 1_048_576;
/** SIZES="1 16" leaves the largest out. */
const sizes = (process.env['SIZES'] || '1 16 64').split(' ').map(Number);
const programs = { bearssl: 'out/bin/x86_64', openssl: 'out/bin/x86_64-openssl' } as const;
const measure = 'out/native/bench-measure';
/** Bytes of heap that an ECU's program has here: those of the board `quickjs`. */
const heap = ['--heap', '786432'];
/** Where each chunk is synchronised, a disk is waited for: minutes for more. */
const maxDurableMebibytes = 16;

interface Measured {
  readonly wall: number;
  readonly cpu: number;
  /** Of `cpu`, what the kernel needed: reads, writes and synchronising. */
  readonly system: number;
  readonly rss: number;
}

interface Row extends Measured {
  readonly name: string;
  readonly mebibytes: number;
}

/** One run of a program, which has to succeed. */
function run(words: readonly string[]): Measured {
  const { status, stderr, stdout } = spawnSync(measure, words, { encoding: 'utf8' });
  const found = /measured wall=(\S+) user=(\S+) system=(\S+) rss=(\d+)/.exec(stderr ?? '');
  if (status !== 0 || found === null) throw new Error(`${words.join(' ')}:\n${stdout}${stderr}`);
  const [wall, user, system, rss] = found.slice(1).map(Number);
  return { wall: wall!, cpu: user! + system!, system: system!, rss: rss! };
}

/** Medians of `runs` runs, each after `before`. */
function several(runs: number, before: () => void, words: readonly string[]): Measured {
  const all: Measured[] = [];
  for (let i = 0; i < runs; i++) {
    before();
    all.push(run(words));
  }
  const of = (name: keyof Measured) => median(all.map((one) => one[name]));
  return { wall: of('wall'), cpu: of('cpu'), system: of('system'), rss: of('rss') };
}

function print({ name, mebibytes, wall, cpu, system, rss }: Row): void {
  const perGibibyte = (cpu * 1_024) / mebibytes;
  const cells = [
    name.padEnd(28),
    `${mebibytes} MiB`.padStart(7),
    `${wall.toFixed(3)} s`.padStart(10),
    `${perGibibyte.toFixed(2)} CPU s/GiB`.padStart(18),
    `kernel ${Math.round((100 * system) / cpu)} %`.padStart(11),
    `${(rss / 1_000_000).toFixed(1)} MB`.padStart(9),
  ];
  process.stdout.write(`${cells.join('  ')}\n`);
}

const hasPeer = spawnSync('swupdate', ['--version']).error === undefined;
if (!hasPeer) console.log('skipped: SWUpdate, package swupdate is not installed');
const folder = mkdtempSync(join(tmpdir(), 'ota-bench-peers-'));
const rows: Row[] = [];
try {
  if (hasPeer) makeSigner(folder);
  for (const mebibytes of sizes) {
    const runs = mebibytes > 16 ? 3 : 5;
    const image = randomBytes(mebibytes * mebibyte);
    const ours: OurUpdate = makeOurUpdate(folder, image);
    const target = join(folder, 'target');
    const peer: PeerUpdate | undefined = hasPeer
      ? makePeerUpdate(folder, image, target)
      : undefined;
    const add = (name: string, before: () => void, words: readonly string[]) => {
      const row = { name, mebibytes, ...several(runs, before, words) };
      rows.push(row);
      print(row);
    };
    for (const [crypto, path] of Object.entries(programs)) {
      if (!existsSync(join(path, 'bench-install'))) continue;
      const install = [join(path, 'bench-install'), ...heap];
      const floor = join(path, 'bench-floor');
      add(`ours, ${crypto}`, ours.factory, [...install, ours.primary]);
      add(`its floor, ${crypto}`, ours.factory, [floor, ...ours.floor]);
      if (mebibytes > maxDurableMebibytes) continue;
      add(`as from the bus, ${crypto}`, ours.factory, [...install, ours.secondary]);
      add(`floor of that, ${crypto}`, ours.factory, [floor, ...ours.durableFloor]);
    }
    if (peer === undefined) continue;
    const { archive, certificate, keyFile } = peer;
    const blank = () => writeFileSync(target, Buffer.alloc(image.length, 0xff), { flush: true });
    const words = [
      'swupdate',
      '-i',
      archive,
      '-k',
      certificate,
      '-K',
      keyFile,
      '-l',
      '1',
      '-H',
      'bench:1.0',
    ];
    add('SWUpdate', blank, words);
    if (!readFileSync(target).equals(image)) throw new Error('SWUpdate wrote something else');
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const cpuOf = (name: string, mebibytes: number) =>
  rows.find((row) => row.name === name && row.mebibytes === mebibytes)?.cpu;
const largest = sizes.at(-1)!;
for (const [name, other, budget] of [
  ['ours, openssl', 'SWUpdate', 1],
  ['ours, bearssl', 'its floor, bearssl', 1.15],
] as const) {
  const [own, against] = [cpuOf(name, largest), cpuOf(other, largest)];
  if (own === undefined || against === undefined) continue;
  const ratio = (own / against).toFixed(2);
  process.stdout.write(`${name}: ${ratio} × ${other} at ${largest} MiB (budget ${budget})\n`);
}
mkdirSync('out', { recursive: true });
writeFileSync('out/bench-peers.json', `${JSON.stringify({ rows }, undefined, 2)}\n`);
process.stdout.write('\nwritten to out/bench-peers.json\n');
