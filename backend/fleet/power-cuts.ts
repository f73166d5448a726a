/**
 * Power cuts at random instants of an update (VER-01, VER-02): `kill -9` of one ECU's process after
 * another, each started again at once. A seed chooses the ECUs and the distances, which are counted
 * in lines that the ECUs log: so the cuts reach every part of an update, however fast the machine.
 *
 * What is promised after a cut is a vehicle that ends updated, not that every image is tried for
 * ever. Two bounds are the update's own, and no ECU is cut so often that it would meet them:
 * - power lost during a trial boot fails that trial by design, and an image is given up after
 *   `maxFailedTrials` of them (INS-12). Until an ECU says `ready` it may be on trial;
 * - a failure on an ECU costs one attempt of the bundle (DBP-18), and one cut causes at most one.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { maxBundleAttempts, maxFailedTrials } from '../../agent/limits.ts';
import { seededRandom } from '../../hal/emulated/faulty-flash.ts';
import type { EmulatedVehicle, PoweredAgent } from './emulated-vehicle.ts';
import type { LogLine } from './log-line.ts';

/** The policy that the bundle needs: the default one stops at the first failure. */
export const powerCutPolicy = ['--policy', 'retry', '--attempts', String(maxBundleAttempts)];

const maxCutsOfOne = maxBundleAttempts - 1;
const maxCutsWhileStarting = maxFailedTrials - 1;
/** Distance of two cuts: below so many lines, then below so many milliseconds. */
const linesBetween = 16;
const millisecondsBetween = 120;

export interface PowerCutsOptions {
  readonly vehicle: Pick<EmulatedVehicle, 'cutPower' | 'isStarting'>;
  readonly agents: readonly PoweredAgent[];
  readonly count: number;
  readonly seed: number;
  /** A cut has hit `agent`, which was doing `activity`; it is the `number`th, from 1. */
  readonly onCut: (agent: PoweredAgent, activity: string, number: number) => void;
}

interface Victim {
  readonly agent: PoweredAgent;
  cuts: number;
  cutsWhileStarting: number;
  activity: string;
}

export class PowerCuts {
  private readonly options: PowerCutsOptions;
  private readonly victims: readonly Victim[];
  private readonly random: (limit: number) => number;
  private linesLeft = 0;
  private enoughLines: () => void = () => undefined;
  private stopped = false;
  private hits = 0;

  constructor(options: PowerCutsOptions) {
    this.options = options;
    this.random = seededRandom(options.seed);
    this.victims = options.agents.map((agent) => ({
      agent,
      cuts: 0,
      cutsWhileStarting: 0,
      activity: 'idle',
    }));
  }

  /** How many cuts have ended a running process. */
  get done(): number {
    return this.hits;
  }

  /** One line that an ECU has logged. */
  line(agent: PoweredAgent, { event, fields }: LogLine): void {
    const victim = this.victims.find((one) => one.agent === agent);
    if (victim !== undefined) victim.activity = fields['stage'] ?? event;
    this.linesLeft -= 1;
    if (this.linesLeft <= 0) this.enoughLines();
  }

  /** Cuts until all are done, `stop` is called or no ECU may be cut any more. */
  async run(): Promise<void> {
    while (this.hits < this.options.count) {
      await this.lines(this.random(linesBetween));
      await pause(1 + this.random(millisecondsBetween));
      if (this.stopped || this.victims.every(({ cuts }) => cuts >= maxCutsOfOne)) return;
      const able = this.victims.filter((victim) => this.mayCut(victim));
      if (able.length > 0) await this.cut(able[this.random(able.length)]!);
    }
  }

  /** No cut begins any more. */
  stop(): void {
    this.stopped = true;
    this.enoughLines();
  }

  private mayCut({ agent, cuts, cutsWhileStarting }: Victim): boolean {
    if (cuts >= maxCutsOfOne) return false;
    return !this.options.vehicle.isStarting(agent) || cutsWhileStarting < maxCutsWhileStarting;
  }

  private async cut(victim: Victim): Promise<void> {
    const { vehicle, onCut } = this.options;
    const starting = vehicle.isStarting(victim.agent);
    const activity = starting ? `starting, ${victim.activity}` : victim.activity;
    if (!(await vehicle.cutPower(victim.agent))) return;
    victim.cuts += 1;
    if (starting) victim.cutsWhileStarting += 1;
    this.hits += 1;
    onCut(victim.agent, activity, this.hits);
  }

  private lines(count: number): Promise<void> {
    this.linesLeft = count;
    if (count === 0 || this.stopped) return Promise.resolve();
    return new Promise((resolve) => {
      this.enoughLines = resolve;
    });
  }
}

/** The last line of a run with power cuts. */
export function summariseCuts(cuts: number, updated: number, rounds: number): string {
  return `${cuts} kills, vehicle updated ${updated} of ${rounds} rounds`;
}
