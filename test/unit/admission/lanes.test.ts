/** Queues of admission: order, bounds, delay budgets. Time and the loop are the test's own. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Job, Lanes, type ShedReason } from '../../../backend/admission/lanes.ts';
import {
  delayBudgetMilliseconds,
  laneLimits,
  type priorityNames,
} from '../../../backend/admission/priorities.ts';

const test = suite('lanes');
let now: number;
let turns: (() => void)[];
let lanes: Lanes;
let done: string[];
let shed: string[];

test.before.each(() => {
  now = 0;
  turns = [];
  done = [];
  shed = [];
  lanes = new Lanes({
    now: () => now,
    soon: (turn) => {
      turns.push(turn);
    },
    onShed: (lane, reason) => shed.push(`${lane} ${reason}`),
  });
});

function turn(): void {
  for (const next of turns.splice(0)) next();
}

function turnAll(): void {
  while (turns.length > 0) turn();
}

/** A job that writes its name down; `milliseconds` of work. */
function job(name: string, milliseconds = 0, changes: Partial<Job> = {}): Job {
  return {
    start: () => {
      now += milliseconds;
      done.push(name);
      return undefined;
    },
    shed: (reason) => done.push(`${name} shed: ${reason}`),
    abandoned: () => false,
    ...changes,
  };
}

test('nothing is done inside the call that adds it: the sockets are read first', () => {
  assert.is(lanes.add('reports', 'report', job('a')), undefined);
  assert.equal(done, []);
  turnAll();
  assert.equal(done, ['a']);
});

test('the higher priority goes first, a safety rollback before all, dashboards last', () => {
  lanes.add('operators', 'dashboard', job('dashboard'));
  lanes.add('downloads', 'download', job('download'));
  lanes.add('metadata', 'metadata', job('metadata'));
  lanes.add('reports', 'report', job('report'));
  lanes.add('operators', 'operation', job('operation'));
  lanes.add('metadata', 'safety', job('safety'));
  lanes.add('reports', 'report', job('report 2'));
  turnAll();
  const expected = ['safety', 'operation', 'report', 'report 2', 'metadata', 'download'];
  assert.equal(done, [...expected, 'dashboard']);
});

test('a lane takes as many as its bound and not one more', () => {
  const { queued } = laneLimits.downloads;
  for (let i = 0; i < queued; i++) {
    assert.is(lanes.add('downloads', 'download', job(`d${i}`)), undefined);
  }
  assert.is(lanes.judge('downloads', 'download'), 'full');
  assert.is(lanes.add('downloads', 'download', job('one more')), 'full');
  assert.equal(shed, ['downloads full']);
  // Other lanes have room of their own.
  assert.is(lanes.add('reports', 'report', job('report')), undefined);
  assert.is(lanes.add('operators', 'operation', job('operation')), undefined);
  turnAll();
  assert.is(done.length, queued + 2);
});

test('in a full lane the last of the lowest priority gives way to a higher one', () => {
  const { queued } = laneLimits.metadata;
  for (let i = 0; i < queued; i++) lanes.add('metadata', 'metadata', job(`m${i}`));
  assert.is(lanes.judge('metadata', 'safety'), undefined);
  assert.is(lanes.add('metadata', 'safety', job('safety')), undefined);
  assert.equal(done, [`m${queued - 1} shed: full`]);
  assert.is(lanes.countOf('metadata').queued, queued);
  turn();
  assert.is(done[1], 'safety');
});

test('what waits too long for its kind is shed by priority: dashboards first', () => {
  const { operation, report, metadata, dashboard } = delayBudgetMilliseconds;
  lanes.add('metadata', 'safety', job('first in line'));
  const judge = (priority: (typeof priorityNames)[number]): ShedReason | undefined =>
    lanes.judge('operators', priority);
  now = dashboard;
  assert.is(judge('dashboard'), undefined);
  now = dashboard + 1;
  assert.is(judge('dashboard'), 'delay');
  assert.is(judge('metadata'), undefined);
  now = metadata + 1;
  assert.is(judge('metadata'), 'delay');
  assert.is(judge('report'), undefined);
  now = report + 1;
  assert.is(judge('report'), 'delay');
  assert.is(judge('operation'), undefined);
  now = operation + 1;
  assert.is(judge('operation'), 'delay');
  assert.is(judge('safety'), undefined);
  turnAll();
  assert.is(judge('dashboard'), undefined, 'nothing waits any more');
});

test('what waits behind does not count against those who go before it', () => {
  lanes.add('operators', 'dashboard', job('dashboard'));
  now = 10_000;
  assert.is(lanes.judge('reports', 'report'), undefined);
  assert.is(lanes.judge('operators', 'dashboard'), 'delay');
});

test('downloads that wait for a place of their own hold up nobody else', () => {
  const { active } = laneLimits.downloads;
  const forever = { start: () => new Promise(() => undefined) };
  for (let i = 0; i < active; i++) {
    lanes.add('downloads', 'download', job('busy', 0, forever));
    turnAll();
  }
  assert.equal(lanes.countOf('downloads'), { queued: 0, active });
  lanes.add('downloads', 'download', job('next'));
  turnAll();
  assert.equal(lanes.countOf('downloads'), { queued: 1, active });
  now = 10_000;
  assert.is(lanes.judge('downloads', 'download'), 'delay');
  assert.is(lanes.judge('operators', 'dashboard'), undefined);
});

test('a place is free again when its work ends, well or not', async () => {
  const ends: ((error?: Error) => void)[] = [];
  const start = () =>
    new Promise<void>((resolve, reject) => {
      ends.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  lanes.add('operators', 'operation', job('a', 0, { start }));
  lanes.add('operators', 'operation', job('b', 0, { start }));
  turnAll();
  assert.is(lanes.countOf('operators').active, 2);
  ends[0]!();
  ends[1]!(new Error('broken'));
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(lanes.countOf('operators').active, 0);
});

test('a turn of work ends, so that sockets are read: half of the time at most is theirs', () => {
  for (let i = 0; i < 20; i++) lanes.add('reports', 'report', job(`r${i}`, 1));
  turn();
  assert.is(done.length, 1, '1 ms after no time at all');
  now += 12; // reading and refusing took this long
  turn();
  assert.is(done.length, 13, 'as long as that took');
});

test('of slow work only as much is taken as fits the budget, before any of it has waited', () => {
  for (let i = 0; i < 60; i++) {
    lanes.add('metadata', 'metadata', job(`m${i}`, 10));
    turnAll();
  }
  let taken = 0;
  while (lanes.add('metadata', 'metadata', job('next', 10)) === undefined) taken += 1;
  const fits = delayBudgetMilliseconds.metadata / 10;
  assert.ok(taken >= fits && taken <= fits + 2, `${taken} of 10 ms each`);
  assert.is(lanes.judge('metadata', 'safety'), undefined, 'a safety rollback goes before them');
});

test('work that nobody waits for any more is left out', () => {
  lanes.add('reports', 'report', job('gone', 0, { abandoned: () => true }));
  lanes.add('reports', 'report', job('here'));
  turnAll();
  assert.equal(done, ['here']);
  assert.is(lanes.countOf('reports').queued, 0);
});

test.run();
