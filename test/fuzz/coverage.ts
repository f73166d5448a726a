/**
 * Which parts of the agent a batch of inputs reached: V8's own block coverage, by the inspector of
 * this process. No package and no instrumented build is needed; a reading costs milliseconds, so
 * inputs are judged in batches, and a batch with news is halved until its input is found.
 *
 * V8 tells of each function that ran the parts that did not run. What never ran in any batch is the
 * intersection of those parts; a batch is news when it makes that smaller.
 */
import { type Profiler, Session } from 'node:inspector';

type Interval = readonly [start: number, end: number];

export class Coverage {
  private readonly session = new Session();
  /** Parts that never ran, of each function that did. */
  private readonly missed = new Map<string, readonly Interval[]>();
  private reached = 0;

  constructor() {
    this.session.connect();
    this.session.post('Profiler.enable');
    this.session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Characters of the agent's source that ran so far. */
  get characters(): number {
    return this.reached;
  }

  /** Runs `act`; true when it reached something for the first time. */
  isNews(act: () => void): boolean {
    return this.judge(act, true);
  }

  /** The same, but what was reached stays unknown. */
  wouldBeNews(act: () => void): boolean {
    return this.judge(act, false);
  }

  private judge(act: () => void, remember: boolean): boolean {
    this.take();
    act();
    let gained = 0;
    for (const [name, whole, zero] of this.take()) {
      const before = this.missed.get(name) ?? [whole];
      const after = intersection(before, zero);
      gained += lengthOf(before) - lengthOf(after);
      if (remember) this.missed.set(name, after);
    }
    if (remember) this.reached += gained;
    return gained > 0;
  }

  /** The agent's functions that ran since the last call: name, extent, parts that did not run. */
  private take(): (readonly [string, Interval, readonly Interval[]])[] {
    const found: (readonly [string, Interval, readonly Interval[]])[] = [];
    this.session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw error;
      for (const { url, functions } of (taken as Profiler.TakePreciseCoverageReturnType).result) {
        // The modules of the agent, or the bundle of a test that holds them
        if (!/\/agent\/|\/fuzz\/[^/]*\.mjs$/.test(url)) continue;
        for (const { ranges } of functions) {
          const [whole, ...parts] = ranges;
          if (whole === undefined || whole.count === 0) continue;
          const { startOffset, endOffset } = whole;
          const zero = parts
            .filter(({ count }) => count === 0)
            .map((part): Interval => [part.startOffset, part.endOffset]);
          found.push([`${url}:${startOffset}:${endOffset}`, [startOffset, endOffset], zero]);
        }
      }
    });
    return found;
  }

  close(): void {
    this.session.disconnect();
  }
}

function intersection(a: readonly Interval[], b: readonly Interval[]): readonly Interval[] {
  const shared: Interval[] = [];
  for (const [from, to] of a) {
    for (const [start, end] of b) {
      if (Math.max(from, start) < Math.min(to, end)) {
        shared.push([Math.max(from, start), Math.min(to, end)]);
      }
    }
  }
  return shared;
}

function lengthOf(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, [start, end]) => sum + end - start, 0);
}
