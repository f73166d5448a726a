/** Faults of the bus: each one's effect, its count, and that a seed repeats a run. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type FaultCounts,
  FaultLine,
  type FaultPlan,
  FaultSource,
  parseFaultPlan,
} from '../../../hal/emulated/can-faults.ts';
import { VirtualClock } from './virtual-wire.ts';

const test = suite('faults of the bus');
const headerBytes = 5;

function plan(text: string): FaultPlan {
  const parsed = parseFaultPlan(text);
  assert.not.ok(Array.isArray(parsed), String(parsed));
  return parsed as FaultPlan;
}

/** Sends `total` numbered frames, one each millisecond; says what passed, when, and the counts. */
function run(text: string, total: number) {
  const clock = new VirtualClock();
  const source = new FaultSource(plan(text));
  const passed: { number: number; at: number; bytes: Uint8Array }[] = [];
  let holds = 0;
  const line = new FaultLine(source, {
    pass: (bytes) => {
      const number = Buffer.from(bytes).readUInt32BE(headerBytes);
      passed.push({ number, at: clock.now, bytes });
    },
    hold: (held) => {
      holds += held ? 1 : -1;
    },
    after: (milliseconds, callback) => {
      const timer = clock.after(milliseconds, callback);
      return () => timer.cancel();
    },
  });
  for (let number = 0; number < total; number++) {
    const frame = Buffer.alloc(headerBytes + 8);
    frame.writeUInt32BE(number, headerBytes);
    line.push(frame, headerBytes);
    clock.advanceTo(clock.now + 1);
  }
  line.end();
  assert.is(holds, 0);
  assert.is(clock.waiting, 0);
  return { passed, counts: source.counts, numbers: passed.map(({ number }) => number) };
}

const numbers = (total: number) => Array.from({ length: total }, (_, index) => index);

test('without faults everything passes', () => {
  const { numbers: passed, counts } = run('seed=3', 100);
  assert.equal(passed, numbers(100));
  assert.equal(counts, countsOf({ frames: 100 }));
});

test('lost frames are missing, and as many as counted', () => {
  const { numbers: passed, counts } = run('loss=0.05', 10_000);
  assert.is(passed.length, 10_000 - counts.lost);
  assert.ok(counts.lost > 400 && counts.lost < 600, String(counts.lost));
  assert.equal(run('loss=1', 10).counts, countsOf({ frames: 10, lost: 10 }));
});

test('duplicated frames come twice, one after the other', () => {
  assert.equal(run('duplicate=1', 3).numbers, [0, 0, 1, 1, 2, 2]);
  const { numbers: passed, counts } = run('duplicate=0.01', 5_000);
  assert.is(passed.length, 5_000 + counts.duplicated);
  assert.ok(counts.duplicated > 0);
});

test('reordered frames change places with the next one; the last one goes alone', () => {
  const { numbers: passed, counts } = run('reorder=1', 5);
  assert.equal(passed, [1, 0, 3, 2, 4]);
  assert.is(counts.reordered, 2);
});

test('a delayed frame takes its time, and those behind it keep their order', () => {
  const { numbers: passed, passed: times, counts } = run('delay=0.02,delay-ms=50', 1_000);
  assert.equal(passed, numbers(1_000));
  const late = times.filter(({ number, at }) => at - number >= 50);
  assert.ok(counts.delayed > 0);
  assert.ok(late.length >= counts.delayed - 1, `${late.length} of ${counts.delayed}`);
});

test('a corrupted frame differs in one bit of its data', () => {
  const { passed, counts } = run('corrupt=1', 200);
  assert.is(counts.corrupted, 200);
  for (const [index, { bytes }] of passed.entries()) {
    const original = Buffer.alloc(bytes.length);
    original.writeUInt32BE(index, headerBytes);
    let bits = 0;
    for (const [at, byte] of bytes.entries()) {
      for (let rest = byte ^ original[at]!; rest > 0; rest >>= 1) bits += rest & 1;
    }
    assert.is(bits, 1);
    assert.equal([...bytes.subarray(0, headerBytes)], [0, 0, 0, 0, 0]);
  }
});

test('the same seed repeats every decision, another one does not', () => {
  const faults = 'loss=0.02,duplicate=0.02,reorder=0.02,corrupt=0.02';
  assert.equal(run(`${faults},seed=5`, 2_000).numbers, run(`${faults},seed=5`, 2_000).numbers);
  assert.not.equal(run(`${faults},seed=5`, 2_000).numbers, run(`${faults},seed=6`, 2_000).numbers);
});

test('every mistake in a plan is named', () => {
  const parsed = parseFaultPlan('loss=2,lose=1,delay=x,seed=1.5,delay-ms=99999,corrupt=-1');
  assert.ok(Array.isArray(parsed));
  const text = (parsed as string[]).join('\n');
  for (const part of [
    'loss=2: expected a probability',
    '"lose=1": expected one of',
    'delay=x: expected a number',
    'seed=1.5: expected an integer',
    'delay-ms=99999: expected at most 60000',
    'corrupt=-1: expected a number',
  ]) {
    assert.match(text, part);
  }
  assert.ok(Array.isArray(parseFaultPlan('')));
});

function countsOf(some: Partial<FaultCounts>): FaultCounts {
  const none = { frames: 0, lost: 0, duplicated: 0, reordered: 0, delayed: 0, corrupted: 0 };
  return { ...none, ...some };
}

test.run();
