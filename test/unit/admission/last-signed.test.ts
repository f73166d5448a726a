/** Signed metadata in memory: what is found, what is not any more, and how much is kept. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LastSigned, maxKeptFiles } from '../../../backend/admission/last-signed.ts';

const test = suite('last signed');
const bytes = (length: number, fill = 1) => new Uint8Array(length).fill(fill);

test('what was kept is found until it expires or a newer one is signed', () => {
  const memory = new LastSigned();
  memory.keep('/a', bytes(3), 100);
  memory.keep('/b', bytes(4), 100);
  assert.equal(memory.find('/a', 99), bytes(3));
  assert.is(memory.find('/a', 100), undefined, 'expired');
  assert.equal(memory.find('/b', 0), bytes(4));
  memory.forget('/b');
  memory.forget('/never');
  assert.is(memory.find('/b', 0), undefined);
  assert.equal(memory.size, { files: 0, bytes: 0 });
});

test('a newer file takes the place of the older one', () => {
  const memory = new LastSigned();
  memory.keep('/a', bytes(3), 100);
  memory.keep('/a', bytes(5, 2), 100);
  assert.equal(memory.find('/a', 0), bytes(5, 2));
  assert.equal(memory.size, { files: 1, bytes: 5 });
});

test('bytes and files are bounded; what was used last stays', () => {
  const memory = new LastSigned(10);
  memory.keep('/a', bytes(4), 100);
  memory.keep('/b', bytes(4), 100);
  memory.find('/a', 0);
  memory.keep('/c', bytes(4), 100);
  assert.is(memory.find('/b', 0), undefined);
  assert.equal(memory.find('/a', 0), bytes(4));
  memory.keep('/too-large', bytes(11), 100);
  assert.is(memory.find('/too-large', 0), undefined);
  assert.equal(memory.size, { files: 2, bytes: 8 });
  const many = new LastSigned();
  for (let i = 0; i <= maxKeptFiles; i++) many.keep(`/${i}`, bytes(1), 100);
  assert.is(many.size.files, maxKeptFiles);
  assert.is(many.find('/0', 0), undefined);
});

test.run();
