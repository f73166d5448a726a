/**
 * A program of the QuickJS host that tries TLS connections one after the other, for
 * test/scenario/native-tls.test.ts: `native.description` lists them, and each prints a line.
 */
import type { Native } from '../../hal/quickjs/native.ts';
import { createNativeNet } from '../../hal/quickjs/net.ts';
import { type Attempt, attempt, type Outcome } from '../simulator/tls-attempt.ts';

declare const native: Native;

function run(attempts: readonly Attempt[], outcomes: readonly Outcome[]): void {
  const next = attempts[outcomes.length];
  if (next === undefined) return;
  attempt(createNativeNet(native), next, outcomes, (outcome) => {
    native.log(`outcome ${JSON.stringify(outcome)}`);
    run(attempts, [...outcomes, outcome]);
  });
}

run(JSON.parse(native.description), []);
