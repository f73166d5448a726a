/**
 * Cuts the power at the points of one scenario, and again during each recovery, and checks what the
 * ECU makes of it.
 *
 * A cut leaves nothing but the flash part, so each point begins from the part's content: that of a
 * clean run before the operation, with the operation done as far as the cut lets it. That the
 * program would have left the same is checked for one cut inside each operation by really cutting.
 * A recovery is what the ECU does from power-up to the end of the step that was interrupted;
 * recoveries that do the same operations are one. After a first cut whose recovery is a new one the
 * ECU is updated once more, else it has to accept the next update's metadata, key and beginning.
 *
 * A cut after an operation leaves what one before the next operation leaves, unless something is lost
 * or was told to the world in between: those are two points, and one run shows both.
 */
import { createHash } from 'node:crypto';
import {
  applyCut,
  type Cut,
  FaultyFlash,
  PowerCut,
  seededRandom,
} from '../../hal/emulated/faulty-flash.ts';
import { deviceFaults } from './device-faults.ts';
import { EcuUnderTest } from './ecu.ts';
import { firstCuts, secondCuts } from './plan.ts';
import type { Scenario } from './scenario.ts';
import { record, type TracedOperation, trace } from './trace.ts';
import { Broken, DirectorView } from './world.ts';

export interface Totals {
  points: number;
  planned: number;
  fired: number;
  bricked: number;
  lost: number;
  /** The first failures, for a person. */
  readonly failures: string[];
}

export interface Sampling {
  /** One point in so many is visited; 1: all. */
  readonly every: number;
  readonly seed: number;
}

const maxFailuresKept = 5;
/** A weak unit is let fade before one operation of a recovery in so many. */
const fadeStride = 2;

export class Exploration {
  readonly totals: Totals = { points: 0, planned: 0, fired: 0, bricked: 0, lost: 0, failures: [] };
  private readonly scenario: Scenario;
  private readonly sampling: Sampling;
  /** Content of the part in use: allocated once. */
  private readonly scratch: Uint8Array;
  private readonly recoveries = new Set<string>();
  private candidates = 0;

  constructor(scenario: Scenario, sampling: Sampling) {
    this.scenario = scenario;
    this.sampling = sampling;
    this.scratch = new Uint8Array(scenario.bytes.length);
    this.candidates = sampling.seed % sampling.every;
  }

  async run(): Promise<Totals> {
    const { bytes, setup, cutSteps } = this.scenario;
    const traced = await trace(this.scenario);
    const content = bytes.slice();
    for (const [i, one] of traced.entries()) {
      const isWanted = cutSteps.includes(one.step);
      if (isWanted && this.isChosen()) await this.reallyCut(content, one, i);
      for (const [j, cut] of firstCuts(one, setup.part, i).entries()) {
        if (!isWanted || !this.isChosen()) continue;
        await this.firstCut(content, one, cut, i, j);
      }
      content.set(one.operation.after, one.operation.offset);
    }
    for (const fault of deviceFaults(this.scenario, traced)) {
      if (!this.isChosen()) continue;
      await this.judge(fault.name, async () => {
        this.totals.planned += 1;
        if (await fault.run()) this.totals.fired += 1;
      });
    }
    return this.totals;
  }

  private isChosen(): boolean {
    this.candidates += 1;
    return this.candidates % this.sampling.every === 0;
  }

  /** What `cut` leaves of an operation of a run whose content was `before`. */
  private applyCut(
    content: Uint8Array,
    { operation }: TracedOperation,
    cut: Cut,
    seed: number,
  ): void {
    applyCut(content, operation, cut, this.scenario.setup.part, seededRandom(seed));
  }

  /** The part in use holds what `cut` leaves of an operation of a run whose content was `before`. */
  private cut(before: Uint8Array, traced: TracedOperation, cut: Cut, seed: number): void {
    this.totals.planned += 1;
    this.scratch.set(before);
    this.applyCut(this.scratch, traced, cut, seed);
    this.totals.fired += 1;
  }

  /** Recovers, goes on, and has the power cut again during a recovery not met before. */
  private async firstCut(
    before: Uint8Array,
    first: TracedOperation,
    cut: Cut,
    operation: number,
    number: number,
  ): Promise<void> {
    const name = `#${operation} ${first.step} ${first.partition} ${describe(cut)}`;
    const seed = operation * 1_000_003 + number;
    const { stage, next } = this.scenario;
    let recovery: TracedOperation[] = [];
    let isNew = false;
    this.cut(before, first, cut, seed);
    const passed = await this.judge(name, async () => {
      const { part, ecu, director } = this.powerOn(first);
      recovery = record(this.scenario, part, ecu, director, first.step);
      await ecu.liveUntilDone(stage);
      part.onOperation = undefined;
      isNew = this.isNew(recovery);
      if (isNew) await ecu.liveUntilDone(next);
      else await ecu.acceptsNext(next);
    });
    if (!passed || !isNew) return;
    const content = before.slice();
    this.applyCut(content, first, cut, seed);
    await this.cutAgain(content, first, recovery, name);
  }

  private isNew(recovery: readonly TracedOperation[]): boolean {
    const key = fingerprint(recovery);
    if (this.recoveries.has(key)) return false;
    this.recoveries.add(key);
    return true;
  }

  /** Every second cut in a recovery; `content` is what the first cut left. */
  private async cutAgain(
    content: Uint8Array,
    first: TracedOperation,
    recovery: readonly TracedOperation[],
    name: string,
  ): Promise<void> {
    const { part } = this.scenario.setup;
    let fades = first.operation.kind === 'program';
    for (const [i, one] of recovery.entries()) {
      const next = recovery[i + 1];
      for (const [j, cut] of secondCuts(one, part).entries()) {
        if (this.sampling.every > 1 && !this.isChosen()) continue;
        this.cut(content, one, cut, i * 7_919 + j);
        const isShown = this.sampling.every === 1 && isBefore(one, cut, next);
        const where = `${name}; #${i} ${one.step} ${one.partition} ${describe(cut)}`;
        if (isShown) this.totals.points += 1;
        else await this.secondCut(one, where);
      }
      if (fades && i % fadeStride === 0 && (this.sampling.every === 1 || this.isChosen())) {
        this.cut(content, one, { stage: 'before' }, i);
        fade(this.scratch, first, part.writeAlign, seededRandom(i));
        await this.secondCut(one, `${name}; #${i} ${one.step} before, the first one's unit fades`);
      }
      fades &&= !touchesEnd(one, first);
      content.set(one.operation.after, one.operation.offset);
    }
  }

  private secondCut(traced: TracedOperation, name: string): Promise<boolean> {
    const { stage, next } = this.scenario;
    return this.judge(name, async () => {
      const { ecu } = this.powerOn(traced);
      await ecu.liveUntilDone(stage);
      await ecu.acceptsNext(next);
    });
  }

  /** An ECU whose part is as a cut left it, and who has to trust what was trusted then. */
  private powerOn({ told, floors, resumable }: TracedOperation) {
    const { setup } = this.scenario;
    const part = new FaultyFlash(this.scratch, setup.part);
    const director = new DirectorView(told);
    const ecu = new EcuUnderTest(setup, part, director);
    ecu.minimum = floors;
    ecu.resumable = resumable;
    return { part, ecu, director };
  }

  private async judge(name: string, run: () => Promise<void>): Promise<boolean> {
    this.totals.points += 1;
    try {
      await run();
      return true;
    } catch (error) {
      const what = error instanceof Broken ? error.what : 'lost';
      this.totals[what] += 1;
      const { setup } = this.scenario;
      const text = error instanceof Broken ? error.message : (error as Error).stack;
      if (this.totals.failures.length < maxFailuresKept) {
        this.totals.failures.push(`${setup.role}, ${setup.part.name}: ${name}: ${text}`);
      }
      return false;
    }
  }

  /** The program itself, cut inside the operation, leaves the very bytes that are computed here. */
  private async reallyCut(
    content: Uint8Array,
    traced: TracedOperation,
    operation: number,
  ): Promise<void> {
    const { setup, stage, bytes, director } = this.scenario;
    const cut: Cut = { stage: 'inside', done: 0 };
    const expected = content.slice();
    applyCut(expected, traced.operation, cut, setup.part, seededRandom(operation));
    await this.judge(`#${operation} cut for real`, async () => {
      const part = new FaultyFlash(bytes.slice(), setup.part, operation);
      part.powerOn([{ kind: 'cut', operation, cut }]);
      this.totals.planned += 1;
      try {
        await new EcuUnderTest(setup, part, director.copy()).liveUntilDone(stage);
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
      }
      this.totals.fired += part.fired;
      if (Buffer.compare(part.bytes, expected) !== 0) throw new Error('left other bytes');
    });
  }
}

/**
 * True when a cut after `one` leaves the flash, and asks no more of the ECU, than the cut before `next`
 * does, whose run is going to show it.
 */
function isBefore(
  { told, resumable }: TracedOperation,
  { stage, loseUnsynced }: Cut,
  next: TracedOperation | undefined,
): boolean {
  if (stage !== 'after' || loseUnsynced === true || next === undefined) return false;
  if (next.resumable < resumable) return false;
  const ecus = Object.keys(next.told);
  return ecus.length === Object.keys(told).length && ecus.every((id) => next.told[id] === told[id]);
}

/** True when an operation changes the last unit of the one that was cut. */
function touchesEnd({ operation }: TracedOperation, first: TracedOperation): boolean {
  const end = first.operation.offset + first.operation.after.length;
  return operation.offset < end && operation.offset + operation.after.length >= end;
}

/**
 * The unit that was programmed last before the first cut holds weak bits, which may read as
 * something else at each power-up until they are erased.
 */
function fade(
  content: Uint8Array,
  { operation }: TracedOperation,
  unit: number,
  random: (limit: number) => number,
): void {
  const { offset, before, after } = operation;
  for (let i = after.length - unit; i < after.length; i++) {
    const some = random(256);
    content[offset + i] = (before[i]! & ~some) | (after[i]! & some);
  }
}

function describe({ stage, done, loseUnsynced }: Cut): string {
  const where = stage === 'inside' ? `inside at ${done}` : stage;
  return loseUnsynced === true ? `${where}, losing` : where;
}

function fingerprint(recovery: readonly TracedOperation[]): string {
  const hash = createHash('sha256');
  for (const { operation } of recovery) {
    hash.update(`${operation.kind} ${operation.offset} ${operation.after.length} `);
    if (operation.kind === 'program') hash.update(operation.after);
  }
  return hash.digest('base64');
}
