/** Runs unit tests of tier 2 as ES5 on an engine of that class, Debian's Duktape. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runCommand } from '../runner/child.ts';
import { judge, type Verdict } from '../runner/judge.ts';
import { bundleForEs5 } from './bundle.ts';

const engine = '/usr/bin/duk';
/** Name under which `make test` lists and chooses (ONLY=es5) this run. */
export const es5Name = 'es5/tier-2';

/**
 * The tests of tier 2's modules, but those that move images through an emulated flash part (minutes on
 * this engine), generate their cases, or need signatures made.
 */
const tests: readonly string[] = [
  'unit/can/iso-tp-format.test.ts',
  'unit/can/iso-tp-frame-lengths.test.ts',
  'unit/can/iso-tp-timing.test.ts',
  'unit/can/iso-tp-unexpected-frames.test.ts',
  'unit/can/iso-tp-waiting.test.ts',
  'unit/can/link-driver.test.ts',
  'unit/can/uds-client.test.ts',
  'unit/can/uds-server-link.test.ts',
  'unit/can/uds-transfer.test.ts',
  'unit/codec/strictness.test.ts',
  'unit/crypto/hkdf.test.ts',
  'unit/image/cobblestone-short.test.ts',
];

/** @param bundles folder for the script */
export async function runEs5(
  bundles: string,
  milliseconds: number,
  everythingInstalled: boolean,
): Promise<Verdict & { readonly output: string }> {
  if (!existsSync(engine)) {
    const output = `skipped: ${tests.length} package duktape is not installed`;
    const result = { status: 0, output, id: undefined, timedOut: false, leftovers: false };
    return { ...judge(result, everythingInstalled), output };
  }
  const script = join(bundles, `${es5Name}.js`);
  mkdirSync(dirname(script), { recursive: true });
  try {
    writeFileSync(script, await bundleForEs5(tests));
  } catch (error) {
    const output = (error as Error).message;
    return { passed: 0, failed: 1, skips: [], reasons: ['cannot be made ES5'], output };
  }
  const result = await runCommand([engine, script], milliseconds, {});
  return { ...judge(result, everythingInstalled), output: result.output };
}
