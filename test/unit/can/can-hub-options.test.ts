/** The hub's command line: what it means, and that every mistake is named. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { readHubOptions } from '../../../hal/emulated/can-hub-options.ts';

const test = suite('options of the hub');

test('a bus without foreign formats, and one with all', () => {
  assert.equal(readHubOptions(['--listen', 'unix:bus']), {
    listen: { path: 'bus' },
    slcan: [],
    name: 'can0',
  });
  const all =
    '--listen tcp:0 --socketcand tcp:29536 --slcan tcp:0 --slcan unix:s --name vcan1 --log b ' +
    '--faults loss=0.5,seed=9';
  assert.equal(readHubOptions(all.split(' ')), {
    listen: { host: '127.0.0.1', port: 0 },
    socketcand: { host: '127.0.0.1', port: 29_536 },
    slcan: [{ host: '127.0.0.1', port: 0 }, { path: 's' }],
    name: 'vcan1',
    log: 'b',
    faults: {
      ...{ loss: 0.5, duplicate: 0, reorder: 0, delay: 0, corrupt: 0 },
      ...{ delayMilliseconds: 20, seed: 9 },
    },
  });
});

test('every mistake is named at once', () => {
  const wrong =
    '--listen nonsense --socketcand tcp:99999 --slcan x --name can-0 --log= --faults loss=7,x=1';
  const refusal = readHubOptions(wrong.split(' '));
  assert.ok(isRefusal(refusal));
  for (const mistake of [
    '--listen nonsense: expected',
    '--socketcand tcp:99999: expected',
    '--slcan x: expected',
    '--name can-0: expected',
    '--log: expected',
    '--faults loss=7: expected a probability',
    '--faults "x=1": expected one of',
  ]) {
    assert.match(refusal.detail, mistake);
  }
});

test('an unknown option and a missing address are refused', () => {
  for (const argv of [['--port', '1'], [], ['--listen'], ['unix:bus']]) {
    const refusal = readHubOptions(argv);
    assert.ok(isRefusal(refusal));
    assert.is(refusal.refused, 'argument-invalid');
  }
});

test.run();
