/**
 * The native programs on this machine: from their start to `ready`, and whole verification cycles
 * with composite signatures on their crypto. Budgets are in the notes.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machineArchitecture } from '../../boards/programs.ts';
import type { VerificationBench } from '../native/bench-verification.ts';
import { ecu, now, RepositorySimulator, vehicleId } from '../simulator/repository-simulator.ts';
import { median, type Result } from './measure.ts';

const folder = `out/bin/${machineArchitecture}`;
const runs = 21;

export function benchNativePrograms(): Result[] {
  if (!existsSync(join(folder, 'ecu-secondary'))) {
    process.stdout.write('native programs: skipped, make runtime was not run\n');
    return [];
  }
  return [...startToReady(), ...verification()];
}

/** Another process: the board is chosen once in each. */
function startToReady(): Result[] {
  const output = execFileSync(process.execPath, ['test/bench/start-to-ready.ts'], {
    encoding: 'utf8',
    env: { ...process.env, BOARD: 'quickjs' },
  });
  const times = JSON.parse(output) as readonly number[];
  const note = `Secondary, full verifier, on an emulated bus; slowest of ${times.length}: ${Math.max(...times).toFixed(1)} ms; budget 30 ms`;
  return [{ name: 'start to ready, native', value: median(times), unit: 'ms', note }];
}

function verification(): Result[] {
  const words = ['-f', 'hal/quickjs/build/runtime.mk', `ARCH=${machineArchitecture}`];
  execFileSync('make', [...words, 'bench-programs'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const sim = new RepositorySimulator('composite');
  sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 1 });
  const files: Record<string, string> = {};
  for (const repository of ['director', 'images'] as const) {
    const { snapshot, targets } = sim.repository(repository);
    for (const name of [
      '1.root.cbor',
      'timestamp.cbor',
      `${snapshot.version}.snapshot.cbor`,
      `${targets.version}.targets.cbor`,
      'targets.cbor',
    ]) {
      const file = sim.repository(repository).fetch(name);
      if (file !== undefined) files[`${repository}/${name}`] = Buffer.from(file).toString('hex');
    }
  }
  const given: VerificationBench = { files, vehicleId, ecus: [ecu('ecu-1')], now, runs };
  const temporary = mkdtempSync(join(tmpdir(), 'ota-bench-native-'));
  try {
    const path = join(temporary, 'verification.json');
    writeFileSync(path, JSON.stringify(given));
    const program = join(folder, 'bench-verification');
    const { stdout, stderr } = spawnSync(program, ['--heap', '4194304', path], {
      encoding: 'utf8',
    });
    return (['full', 'partial'] as const).map((kind) => {
      const line = new RegExp(`^measured ${kind} (.*)$`, 'm').exec(stdout);
      if (line === null) throw new Error(stdout + stderr);
      const times = line[1]!.split(' ').map(Number);
      const budget = kind === 'full' ? 20 : 5;
      const note = `new Targets, composite signatures; median of ${runs}; budget ${budget} ms`;
      return { name: `${kind} verification, native`, value: median(times), unit: 'ms', note };
    });
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
