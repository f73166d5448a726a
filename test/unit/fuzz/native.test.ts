/** A short run of `make fuzz-native`: the C code of the QuickJS host under hostile calls and bytes. */
import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fuzzNative, fuzzProgram } from '../../native/fuzz-run.ts';

const test = suite('fuzz of the native code');

if (!existsSync(fuzzProgram)) {
  console.log('skipped: 1 make provider-hosts was not run: it needs packages');
} else {
  test('every entry point survives wrong arguments, hostile bytes and frames, changed records', async () => {
    const { status, output, calls, deceived, unchanged } = await fuzzNative({
      seed: 20_261_124,
      cases: 1_000,
      connections: 30,
    });
    assert.is(status, 0, output);
    assert.is(deceived, 0, 'a changed handshake was taken for unbroken');
    assert.ok(unchanged > 0, 'an unchanged one is not refused');
    assert.ok(calls['frames']! > 0, 'frames of the hostile hub arrived');
    for (const name of ['createTls', 'connect', 'openCan', 'openFlash', 'openKeyValue', 'verify']) {
      assert.ok(calls[name]! > 20, `${name}: ${calls[name]}`);
    }
    assert.ok(Object.keys(calls).length >= 30, Object.keys(calls).join(' '));
  });
}

test.run();
