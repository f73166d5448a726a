/** At which points of an operation the power is cut. */
import { type Cut, seededRandom, unitsOf } from '../../hal/emulated/faulty-flash.ts';
import type { PartKind } from './geometries.ts';
import type { TracedOperation } from './trace.ts';

const seededPrefixes = 16;

function isImage(partition: string): boolean {
  return partition.endsWith('-a') || partition.endsWith('-b') || partition === 'download';
}

function distinct(numbers: readonly number[], below: number): number[] {
  const inside = numbers.filter((n) => n >= 0 && n < below);
  return [...new Set(inside)].sort((a, b) => a - b);
}

/** Prefixes, in whole units or blocks, inside the operation for a first cut. */
function prefixes(traced: TracedOperation, part: PartKind, seed: number): number[] {
  const units = unitsOf(traced.operation, part);
  const ends = [0, 1, Math.floor(units / 2), units - 2, units - 1];
  if (traced.operation.kind === 'erase') return distinct(ends, units);
  if (!isImage(traced.partition)) return Array.from({ length: units }, (_, done) => done);
  const random = seededRandom(seed);
  const some = Array.from({ length: seededPrefixes }, () => random(units));
  return distinct([...ends, ...some], units);
}

/** Each cut, and once more with what was not synchronised lost, where there is something to lose. */
function withLosses(cut: Cut, traced: TracedOperation): Cut[] {
  const { unsynced } = traced.operation;
  // What is cut after its operation is itself not synchronised.
  const mayLose = unsynced.length > 0 || cut.stage === 'after';
  return mayLose ? [cut, { ...cut, loseUnsynced: true }] : [cut];
}

/** First cuts: before, at every prefix of a record and many of an image, and after. */
export function firstCuts(traced: TracedOperation, part: PartKind, seed: number): Cut[] {
  const inside = prefixes(traced, part, seed).map((done, i): Cut => {
    const lose = traced.operation.unsynced.length > 0 && i % 2 === 1;
    return { stage: 'inside', done, loseUnsynced: lose };
  });
  return [
    ...withLosses({ stage: 'before' }, traced),
    ...inside,
    ...withLosses({ stage: 'after' }, traced),
  ];
}

/** Second cuts: before, inside at three prefixes, and after. */
export function secondCuts(traced: TracedOperation, part: PartKind): Cut[] {
  const units = unitsOf(traced.operation, part);
  const inside = distinct([0, Math.floor(units / 2), units - 1], units);
  return [
    { stage: 'before' },
    ...inside.map((done): Cut => ({ stage: 'inside', done, loseUnsynced: done % 2 === 1 })),
    { stage: 'after', loseUnsynced: traced.operation.unsynced.length > 0 },
  ];
}
