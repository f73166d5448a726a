/** Runs unit tests of tier 2 as ES5 on an engine of that class, Debian's Duktape. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runChild, runCommand } from '../runner/child.ts';
import { judge, type Verdict } from '../runner/judge.ts';
import { bundleForEs5, bundleForRecording } from './bundle.ts';
import type { Recorded } from './recorded.ts';

const engine = '/usr/bin/duk';
/** Name under which `make test` lists and chooses (ONLY=es5) this run. */
export const es5Name = 'es5/tier-2';

/**
 * The tests of tier 2's modules, but those that cut the power thousands of times or install long images
 * (minutes on this engine), or generate their cases.
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
  'unit/install/boot-block.test.ts',
  'unit/install/erased.test.ts',
  'unit/install/out-of-memory.test.ts',
  'unit/install/slot-writer.test.ts',
  'unit/verify/partial-verification.test.ts',
  'unit/verify/tiny-profile.test.ts',
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
  const deadline = performance.now() + milliseconds;
  const script = join(bundles, `${es5Name}.js`);
  mkdirSync(dirname(script), { recursive: true });
  try {
    const recorded = await record(join(bundles, `${es5Name}-recording.cjs`), milliseconds);
    writeFileSync(script, await bundleForEs5(tests, recorded));
  } catch (error) {
    const output = (error as Error).message;
    return { passed: 0, failed: 1, skips: [], reasons: ['cannot be made ES5'], output };
  }
  const result = await runCommand([engine, script], deadline - performance.now(), {});
  return { ...judge(result, everythingInstalled), output: result.output };
}

/** Runs the tests on Node and reads the keys and signatures that were made for them. */
async function record(program: string, milliseconds: number): Promise<Recorded[]> {
  writeFileSync(program, await bundleForRecording(tests));
  const result = await runChild(program, milliseconds);
  const { failed, reasons } = judge(result, false);
  if (failed > 0) throw new Error(`on Node: ${reasons.join('; ')}\n${result.output}`);
  const lines = readFileSync(`${program}.lines`, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Recorded);
}
