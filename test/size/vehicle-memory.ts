/**
 * Heap and resident memory of the programs, from a whole update: the vehicle of the demonstration on
 * the QuickJS board, with composite signatures, where the full verifier's hosted ECU gets an image of
 * 16 MiB beside the agents of all.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DemoReport } from '../../backend/fleet/demo-report.ts';
import { type DemoRun, runDemo } from '../scenario/demo-run.ts';
import { budgets, type Figure, figure } from './figures.ts';

export const imageBytes = 16_777_216;

/** Runs that update; `remove` of the run removes its folder. */
export async function runWithLargeImage(
  environment: Readonly<Record<string, string>>,
): Promise<DemoRun> {
  const folder = mkdtempSync(join(tmpdir(), 'ota-size-'));
  try {
    const image = join(folder, 'image');
    writeFileSync(image, randomBytes(imageBytes));
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
