/**
 * Heap and resident memory of the programs, from a whole update: the vehicle of the demonstration on
 * the QuickJS board, with composite signatures, where the full verifier's hosted ECU gets an image
 * (16 MiB, and others for resident memory) beside the agents of all.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DemoReport } from '../../backend/fleet/demo-report.ts';
import { type DemoRun, runDemo } from '../scenario/demo-run.ts';
import { budgets, type Figure, figure, residentMebibytes } from './figures.ts';
import { ResidentSampler, withRest } from './resident-parts.ts';

export const imageBytes = 16_777_216;

/** Runs that update; `remove` of the run removes its folder. */
export function runWithLargeImage(environment: Readonly<Record<string, string>>): Promise<DemoRun> {
  return runWithImage(imageBytes, environment);
}

async function runWithImage(
  bytes: number,
  environment: Readonly<Record<string, string>>,
): Promise<DemoRun> {
  const folder = mkdtempSync(join(tmpdir(), 'ota-size-'));
  try {
    const image = join(folder, 'image');
    writeFileSync(image, randomBytes(bytes));
    return await runDemo({ BOARD: 'quickjs', FIRMWARE: image, ECU: 'full', ...environment });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Peaks by program: of the Secondaries, the larger. */
export function memoryFigures({ ecus }: DemoReport, architecture: string): Figure[] {
  const figures: Figure[] = [];
  for (const program of ['secondary', 'primary'] as const) {
    const own = ecus.filter(({ role, hostedBy }) => role === program && hostedBy === undefined);
    const heap = Math.max(...own.map(({ peakHeapBytes = 0 }) => peakHeapBytes));
    const rss = Math.max(...own.map(({ peakRssBytes }) => peakRssBytes));
    // What is resident under QEMU is QEMU's.
    for (const [kind, value] of Object.entries({ heap, rss })) {
      const name = `${kind} ${program} ${architecture}`;
      if (value > 0 && budgets[name] !== undefined) figures.push(figure(name, value));
    }
  }
  return figures;
}

/** Heap with an image of 16 MiB, resident memory with each of its images, by an update of each. */
export async function measureMemory(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const bytes of [imageBytes, ...residentMebibytes.map((count) => count * 1_048_576)]) {
    const sampler = new ResidentSampler();
    const run = await runWithImage(bytes, { ARCH: 'x86_64' });
    const parts = sampler.stop();
    try {
      if (run.status !== 0) throw new Error(`the update failed:\n${run.output}`);
      for (const one of memoryFigures(run.report!, 'x86_64')) {
        const [kind, program] = one.name.split(' ');
        if (kind !== 'rss') {
          if (bytes === imageBytes) figures.push(one);
          continue;
        }
        const name = bytes === imageBytes ? one.name : `${one.name} ${bytes / 1_048_576} MiB`;
        figures.push(figure(name, one.value, withRest(parts[`ecu-${program}`] ?? {}, one.value)));
      }
    } finally {
      run.remove();
    }
  }
  const order = Object.keys(budgets);
  return figures.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
}
