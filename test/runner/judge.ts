/** What the output of one uvu program says: checks passed and failed, and skips with reasons. */
import type { ChildResult } from './child.ts';

export interface Skip {
  readonly count: number;
  readonly reason: string;
}

export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  readonly skips: readonly Skip[];
  /** Why the file failed; empty when it passed. */
  readonly reasons: readonly string[];
}

/** A number of uvu's closing lines: the last of that name, since output may quote others. */
function closing(output: string, label: string): number {
  return Number([...output.matchAll(new RegExp(`^ {2}${label}: +(\\d+)$`, 'gm'))].at(-1)?.[1] ?? 0);
}

/**
 * Judges a finished test file. `skipped: <n> <reason>` says that n checks could not run here; where
 * `everythingInstalled` (CI) holds, a missing package is no reason.
 */
export function judge(result: ChildResult, everythingInstalled: boolean): Verdict {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours begin with ESC
  const output = result.output.replace(/\u001b\[[0-9;]*m/g, '');
  const skips: Skip[] = [];
  for (const match of output.matchAll(/\bskipped: (\d+) (.+)$/gm)) {
    skips.push({ count: Number(match[1]), reason: match[2]!.trim() });
  }
  const total = closing(output, 'Total');
  const passed = closing(output, 'Passed');
  const hidden = closing(output, 'Skipped');
  const reasons: string[] = [];
  if (result.timedOut) reasons.push('ran longer than its time and was killed');
  if (result.leftovers) reasons.push('left processes running; they were killed');
  if (passed < total) reasons.push(`${total - passed} of ${total} checks failed`);
  else if (result.status !== 0 && !result.timedOut) reasons.push(`ended with ${result.status}`);
  if (total === 0 && skips.length === 0 && reasons.length === 0) {
    reasons.push('ran no check: is .run() missing?');
  }
  if (hidden > 0) {
    reasons.push(
      `${hidden} checks hidden by .skip or .only: print 'skipped: <n> <reason>' instead`,
    );
  }
  for (const skip of skips) {
    if (everythingInstalled && /\bpackages?\b/i.test(skip.reason)) {
      reasons.push(`skipped here although everything can be installed: ${skip.reason}`);
    }
  }
  const failed = total - passed;
  return { passed, failed: reasons.length > 0 ? Math.max(failed, 1) : 0, skips, reasons };
}
