/** U-Boot's environment in two copies, beside Debian's own tools for it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  crc32,
  type Environment,
  nextEnvironment,
  readEnvironment,
  type StoredEnvironment,
} from '../../../hal/boot/u-boot-environment.ts';

const test = suite('Environment of U-Boot');
const size = 1_024;
const none = new Uint8Array(size);
const blank: StoredEnvironment = { variables: {}, copy: 1, flags: 0 };

/** Both copies after one more write, as the machine does it. */
function write(
  copies: readonly [Uint8Array, Uint8Array],
  changes: Environment,
): readonly [Uint8Array, Uint8Array] {
  const before = readEnvironment(copies) ?? blank;
  const bytes = nextEnvironment(before, changes, size);
  return before.copy === 0 ? [copies[0], bytes] : [bytes, copies[1]];
}

test('the checksum is that of zlib', () => {
  for (const length of [0, 1, 255, 4_096]) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 7) & 0xff);
    assert.is(crc32(bytes), zlibCrc32(bytes));
  }
});

test('each write goes to the copy that is not in force, which is in force then', () => {
  let copies: readonly [Uint8Array, Uint8Array] = [none, none];
  assert.is(readEnvironment(copies), undefined);
  // Past the serial number's end, in both directions of its turn.
  for (let i = 0; i < 600; i++) {
    const before = readEnvironment(copies);
    copies = write(copies, { round: String(i), bootcmd: 'run ota' });
    const after = readEnvironment(copies)!;
    assert.equal(after.variables, { bootcmd: 'run ota', round: String(i) });
    if (before !== undefined) assert.is(after.copy, 1 - before.copy);
  }
});

test('a copy that a cut has torn gives way to the other, whichever byte it was cut at', () => {
  const first = write([none, none], { ota_slot: 'a' });
  const whole = write(first, { ota_slot: 'b' });
  const { copy } = readEnvironment(whole)!;
  const old = first[copy]!;
  for (let length = 0; length < 40; length++) {
    const torn = new Uint8Array(old);
    torn.set(whole[copy]!.subarray(0, length));
    const copies = copy === 0 ? ([torn, whole[1]] as const) : ([whole[0], torn] as const);
    const found = readEnvironment(copies);
    const isWhole = Buffer.compare(torn, whole[copy]!) === 0;
    assert.is(found?.variables['ota_slot'], isWhole ? 'b' : 'a', `cut at ${length}`);
  }
});

test('variables that do not fit are not written', () => {
  assert.throws(() => nextEnvironment(blank, { long: 'x'.repeat(size) }, size), /over 1024 bytes/);
});

const hasTools = spawnSync('fw_printenv', ['--version']).error === undefined;
if (!hasTools) console.log('skipped: 1 package libubootenv-tool is not installed');
else {
  test('fw_printenv reads what is written here, and what fw_setenv writes is read here', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ota-u-boot-'));
    try {
      const files = [join(folder, 'first'), join(folder, 'second')] as const;
      const config = join(folder, 'fw_env.config');
      writeFileSync(config, files.map((path) => `${path} 0x0 0x${size.toString(16)}\n`).join(''));
      let copies = write([none, none], { bootcmd: 'run ota', bootcount: '0', ota_slot: 'a' });
      const toFiles = () => {
        for (const i of [0, 1] as const) writeFileSync(files[i], copies[i]);
      };
      const print = () => execFileSync('fw_printenv', ['-c', config], { encoding: 'utf8' });
      toFiles();
      assert.equal(print().trim().split('\n').sort(), [
        'bootcmd=run ota',
        'bootcount=0',
        'ota_slot=a',
      ]);
      for (let round = 0; round < 4; round++) {
        const theirs = { ota_slot: round % 2 === 0 ? 'b' : 'a', upgrade_available: '1' };
        for (const [name, value] of Object.entries(theirs)) {
          execFileSync('fw_setenv', ['-c', config, name, value]);
        }
        copies = [readFileSync(files[0]), readFileSync(files[1])];
        const found = readEnvironment(copies)!.variables;
        assert.is(found['ota_slot'], theirs.ota_slot);
        assert.is(found['upgrade_available'], '1');
        assert.is(found['bootcmd'], 'run ota');
        copies = write(copies, { upgrade_available: '0', bootcount: String(round) });
        toFiles();
        assert.match(print(), new RegExp(`^bootcount=${round}$`, 'm'));
        assert.match(print(), /^upgrade_available=0$/m);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

test.run();
