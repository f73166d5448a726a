/** What tests say of a verification's outcome. */
import * as assert from 'uvu/assert';
import { type Code, isRefusal, type Refusal } from '../../agent/codes.ts';
import type { Decision } from '../../agent/verify/verification.ts';

/** The outcome is a refusal with this code and this requirement's row. */
export function refused(outcome: unknown, code: Code, row: string): void {
  if (!isRefusal(outcome)) assert.unreachable(`accepted, where ${code} was expected`);
  const found = outcome as Refusal;
  assert.is(`${found.refused} ${found.row}`, `${code} ${row}`, found.detail);
}

/** The outcome is a decision that assigns images to exactly these ECUs. */
export function assigned(outcome: Decision | Refusal, ecuIds: readonly string[]): void {
  if (isRefusal(outcome)) {
    assert.unreachable(`${outcome.refused} ${outcome.row}: ${outcome.detail}`);
  } else {
    const found = outcome.assignments.map(({ assignment }) => assignment?.ecuId);
    assert.equal(found, ecuIds);
  }
}
