/** The description of an emulated ECU: a wrong one is refused with every mistake, before it starts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { type EmulatedEcu, readDescription } from '../../../hal/emulated/ecu.ts';

const test = suite('Emulated ECU');
const folder = mkdtempSync(join(tmpdir(), 'ota-ecu-'));
const path = join(folder, 'ecu.json');
test.after(() => rmSync(folder, { recursive: true, force: true }));

const right: EmulatedEcu = {
  flashFile: '/tmp/flash.bin',
  flashMap: { state: { offset: 0, size: 8_192 } },
  keyValueFolder: '/tmp/key-value',
  buses: { can0: 'unix:/tmp/can0.sock' },
  slots: ['slot-a', 'slot-b'],
  state: 'state',
};

function read(text: string): unknown {
  writeFileSync(path, text);
  return readDescription(path);
}

test('a whole description is taken as it is', () => {
  assert.equal(read(JSON.stringify(right)), right);
});

test('every mistake is named at once', () => {
  const wrong = { ...right, slots: ['slot-a'], flashMap: { state: { offset: '0' } }, state: 7 };
  const refusal = read(JSON.stringify(wrong));
  assert.ok(isRefusal(refusal));
  for (const name of ['slots', 'flashMap', 'state']) {
    assert.match((refusal as { detail: string }).detail, `${name}: expected`);
  }
});

test('no JSON, another type, an empty file and no file are refused', () => {
  for (const text of ['', '{', '[]', 'null', '7', '"ecu"']) {
    assert.ok(isRefusal(read(text)), text);
  }
  assert.ok(isRefusal(readDescription(join(folder, 'absent.json'))));
});

test.run();
