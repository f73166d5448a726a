/** Windows in which work is collected: order, bounds, errors. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BatchWindow } from '../../../backend/batch-window.ts';

const test = suite('batch window');

function windowOf(milliseconds: number, maxItems: number) {
  const batches: (readonly number[])[] = [];
  const window = new BatchWindow<number, number>({
    milliseconds,
    maxItems,
    run: async (items) => {
      batches.push(items);
      if (items.includes(-1)) throw new Error('a bug');
      return items.map((item) => item * 10);
    },
  });
  return { window, batches };
}

test('what comes in one turn is one batch, with one result each', async () => {
  const { window, batches } = windowOf(0, 10);
  const results = await Promise.all([1, 2, 3].map((item) => window.add(item)));
  assert.equal(results, [10, 20, 30]);
  assert.is(await window.add(4), 40);
  assert.equal(batches, [[1, 2, 3], [4]]);
});

test('a batch is never larger than its bound, and a full one does not wait', async () => {
  const { window, batches } = windowOf(3_600_000, 2);
  const waiting = [1, 2, 3, 4].map((item) => window.add(item));
  assert.equal(await Promise.all(waiting), [10, 20, 30, 40], 'an hour has not gone by');
  assert.equal(batches, [
    [1, 2],
    [3, 4],
  ]);
  const last = window.add(5);
  window.flush();
  assert.is(await last, 50);
});

test('an error reaches all items of its batch and no other', async () => {
  const { window } = windowOf(0, 2);
  const outcomes = await Promise.allSettled([1, -1, 3].map((item) => window.add(item)));
  assert.equal(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled'],
  );
});

test.run();
