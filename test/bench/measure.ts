/** What the benches share: a result with its unit, and the median of several runs. */

export interface Result {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What it is compared with, or how it was measured. */
  readonly note: string;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Milliseconds that each of `runs` calls took, the first of them left out (warm-up). */
export function timeRuns(runs: number, act: (run: number) => void): number[] {
  const times: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const start = performance.now();
    act(run);
    if (run > 0) times.push(performance.now() - start);
  }
  return times;
}
