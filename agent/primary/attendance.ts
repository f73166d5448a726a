/**
 * Which Secondaries take part in a cycle. One that does not answer, or not as itself, is left out
 * for the rest of the cycle and named in the manifest (DIR-08), so that it silences nobody else
 * (VER-01); the next cycle asks it again.
 */
import { type Code, isTransient, type Refusal } from '../codes.ts';
import { maxRestartsPerCycle } from '../limits.ts';
import type { AbsentEcu } from '../metadata/report.ts';
import type { Secondary } from './secondary-client.ts';

/** What a broken link, or somebody else at its end, looks like; any other code is a judgement. */
const linkCodes: readonly Code[] = [
  'secondary-silent',
  'secondary-slow',
  'secondary-replaced',
  'iso-tp-timeout',
  'iso-tp-sequence',
  'iso-tp-overflow',
  'iso-tp-unexpected-frame',
  'uds-negative-response',
  'uds-malformed',
];

/** It has restarted in between, and knows nothing of what was handed over before. */
const restartCodes: readonly Code[] = ['install-out-of-order', 'time-unasked'];

/** True when an ECU does not know what it was told before: it has lost power, or was reset. */
export function tellsOfRestart({ refused }: Refusal): boolean {
  return restartCodes.indexOf(refused) >= 0;
}

/** True when a refusal speaks of the link to an ECU and not of what was asked of it. */
export function isLinkFailure(refusal: Refusal): boolean {
  const { refused } = refusal;
  if (tellsOfRestart(refusal) || isTransient(refused)) return true;
  return linkCodes.indexOf(refused) >= 0;
}

export class Attendance {
  private readonly secondaries: readonly Secondary[];
  private readonly onAbsent: (secondary: Secondary, refusal: Refusal) => void;
  private readonly missing = new Map<Secondary, Refusal>();
  private readonly restarts = new Map<Secondary, number>();

  /** @param onAbsent called once a cycle for each Secondary that is left out */
  constructor(
    secondaries: readonly Secondary[],
    onAbsent: (secondary: Secondary, refusal: Refusal) => void,
  ) {
    this.secondaries = secondaries;
    this.onAbsent = onAbsent;
  }

  present(): readonly Secondary[] {
    return this.secondaries.filter((one) => !this.missing.has(one));
  }

  /**
   * What a failing link means for a Secondary: one that has merely restarted may be told everything
   * again, in this cycle, a few times; any other is left out.
   * @param restarted where more is known than the refusal tells
   * @returns true when the cycle shall begin again
   */
  beginsAgain(
    secondary: Secondary,
    refusal: Refusal,
    restarted: boolean = tellsOfRestart(refusal),
  ): boolean {
    const restarts = this.restarts.get(secondary) ?? 0;
    if (restarted && restarts < maxRestartsPerCycle) {
      this.restarts.set(secondary, restarts + 1);
      return true;
    }
    this.miss(secondary, refusal);
    return false;
  }

  /** Leaves a Secondary out from now on; the first reason stays. */
  miss(secondary: Secondary, refusal: Refusal): void {
    if (this.missing.has(secondary)) return;
    this.missing.set(secondary, refusal);
    this.onAbsent(secondary, refusal);
  }

  /** True for an ECU behind a Secondary that was left out. */
  isAbsent(ecuId: string): boolean {
    return [...this.missing.keys()].some((one) => one.ecuIds.indexOf(ecuId) >= 0);
  }

  /** The statements for the manifest: one for each ECU without a report. */
  statements(): readonly AbsentEcu[] {
    return [...this.missing].flatMap(([secondary, { refused }]) =>
      secondary.ecuIds.map((ecuId) => ({ ecuId, code: refused })),
    );
  }
}
