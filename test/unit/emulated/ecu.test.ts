/** The description of an ECU: a wrong one is refused with every mistake, before it starts. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { type EcuDescription, parseDescription } from '../../../hal/ecu-description.ts';

const test = suite('Description of an ECU');

const right: EcuDescription = {
  flashFile: '/tmp/flash.bin',
  flashMap: { state: { offset: 0, size: 8_192 } },
  keyValueFolder: '/tmp/key-value',
  buses: { can0: 'unix:/tmp/can0.sock' },
  slots: ['slot-a', 'slot-b'],
  state: 'state',
  journal: 'journal',
};

function read(text: string): unknown {
  return parseDescription(text, 'ecu.json');
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

test('the pair of the program itself names partitions that there are, and an absolute folder', () => {
  const flashMap = Object.fromEntries(
    ['state', 'p-a', 'p-b', 'p-state', 'p-journal'].map((name, i) => [
      name,
      { offset: i * 8_192, size: 8_192 },
    ]),
  );
  const runtime = {
    slots: ['p-a', 'p-b'],
    state: 'p-state',
    journal: 'p-journal',
    files: ['/var/lib/ota/program/a', '/var/lib/ota/program/b'],
  };
  const readPair = (change: object) =>
    read(JSON.stringify({ ...right, flashMap, runtime: { ...runtime, ...change } }));
  assert.not.ok(isRefusal(readPair({})));
  for (const wrong of [
    { slots: ['p-a'] },
    { slots: ['p-a', 'absent'] },
    { state: 'absent' },
    { journal: 7 },
    { files: ['a', 'b'] },
    { files: ['/a'] },
    { loader: { control: 'grub', startedFrom: '/proc/cmdline' } },
    { loader: { control: 'tryboot', startedFrom: '/cell', autoboot: '/a', partitions: [0, 1] } },
    { loader: { control: 'u-boot', startedFrom: '/proc/cmdline', size: 8_192 } },
  ]) {
    const refusal = readPair(wrong);
    assert.ok(isRefusal(refusal), JSON.stringify(wrong));
    assert.match((refusal as { detail: string }).detail, 'runtime: expected');
  }
});

test('no JSON, another type, and an empty file are refused', () => {
  for (const text of ['', '{', '[]', 'null', '7', '"ecu"']) {
    assert.ok(isRefusal(read(text)), text);
  }
});

test.run();
