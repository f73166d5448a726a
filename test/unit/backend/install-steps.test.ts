/** The order in which the ECUs of a bundle install (DIR-13). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { components, installSteps } from '../../../backend/director/install-steps.ts';

const test = suite('install steps');

/** `b: a` says that `a` has to be done before `b`. */
const steps = (before: Record<string, string>, least: Record<string, number> = {}) => {
  const ids = [...new Set(Object.entries(before).flatMap(([id, ids]) => [id, ...ids]))].sort();
  const result = installSteps(
    new Map(ids.map((id) => [id, least[id] ?? 0])),
    new Map(Object.entries(before).map(([id, earlier]) => [id, new Set(earlier)])),
  );
  return ids.map((id) => `${id}${result.get(id)}`).join(' ');
};

test('a chain takes as many steps as it has links (DIR-13)', () => {
  assert.is(steps({ c: 'b', b: 'a' }), 'a0 b1 c2');
});

test('what two wait for comes first, what waits for two comes last (DIR-13)', () => {
  assert.is(steps({ b: 'a', c: 'a', d: 'bc' }), 'a0 b1 c1 d2');
});

test('who need each other share a step, after those that both wait for (DIR-13)', () => {
  assert.is(steps({ b: 'ca', c: 'b', d: 'c' }), 'a0 b1 c1 d2');
});

test('a step of the operator is the least, for those that wait too (DIR-13)', () => {
  assert.is(steps({ b: 'a' }, { a: 3 }), 'a3 b4');
  assert.is(steps({ b: 'a' }, { b: 7 }), 'a0 b7');
});

test('a vehicle of 1,024 ECUs in one chain is ordered (DIR-13)', () => {
  const ids = Array.from({ length: 1_024 }, (_, i) => `e${i}`);
  const before = new Map(ids.slice(1).map((id, i) => [id, new Set([ids[i]!])]));
  const result = installSteps(new Map(ids.map((id) => [id, 0])), before);
  assert.is(result.get('e1023'), 1_023);
  assert.is(components(ids, before).length, 1_024);
});

test.run();
