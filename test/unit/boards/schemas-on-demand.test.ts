/** Schemas that a program for a small engine makes when it uses them. */
import { createContext, runInContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { schemasOnDemand } from '../../../boards/schemas-on-demand.ts';

const test = suite('schemas on demand');

/** A bundle with these statements; each record that is made adds one to `count`. */
const bundle = (statements: string) => `var agent = (() => {
  // agent/codec/schema.ts
  var count = 0;
  function record(fields) {
    count++;
    return fields;
  }

  // agent/metadata/other.ts
  ${statements}
})();`;

const run = (script: string) =>
  JSON.parse(runInContext(`${script};JSON.stringify(agent)`, createContext({}))) as unknown;

test('a record is made for each use, with the records in it, and never before', () => {
  const script = bundle(`var inner = record({ a: 1 });
  var outer = record({ inner, named: inner, [inner.a]: 2 });
  var unused = record({});
  return [count, JSON.stringify(outer), count];`);
  assert.equal(run(script), [3, '{"1":2,"inner":{"a":1},"named":{"a":1}}', 3]);
  assert.equal(run(schemasOnDemand(script)), [0, '{"1":2,"inner":{"a":1},"named":{"a":1}}', 4]);
});

test('properties of the same name, and what another module makes, stay', () => {
  const script = bundle(`function record2() { return { inner: 7 }; }
  var inner = record({});
  var other = record2();
  return [count, other.inner, { inner: 5 }.inner, typeof inner];`);
  assert.equal(run(schemasOnDemand(script)), [0, 7, 5, 'object']);
});

test('a bundle that declares a name again, or hides the module, is a failure of the build', () => {
  const again = bundle('var inner = record({}); return (inner) => inner;');
  assert.throws(() => schemasOnDemand(again), /declared again/);
  assert.throws(() => schemasOnDemand('var agent = (() => 1)();'), /does not say/);
});

test.run();
