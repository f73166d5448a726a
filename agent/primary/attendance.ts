/**
 * Which Secondaries take part in a cycle. One that does not answer, or not as itself, is left out
 * for the rest of the cycle and named in the manifest (DIR-08), so that it silences nobody else
 * (VER-01); the next cycle asks it again.
 */
import { type Code, codes, type Refusal } from '../codes.ts';
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
  // It has restarted in between, and knows nothing of what was handed over before.
  'install-out-of-order',
];

/** True when a refusal speaks of the link to an ECU and not of what was asked of it. */
export function isLinkFailure(refusal: Refusal): boolean {
  return linkCodes.indexOf(refusal.refused) >= 0 || codes[refusal.refused].transient === true;
}

export class Attendance {
  private readonly secondaries: readonly Secondary[];
  private readonly onAbsent: (secondary: Secondary, refusal: Refusal) => void;
  private readonly missing = new Map<Secondary, Refusal>();

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
