/** Of every attack each position of the Standard (§4.2) is either shown or answered with a reason. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isCode } from '../../../agent/codes.ts';
import { standardAttacks } from '../../../backend/fleet/arena/table.ts';
import { type Position, positions } from '../../../backend/fleet/arena/variant.ts';

const test = suite('attack positions');
const all = Object.keys(positions) as Position[];

test('the table has the fourteen attacks, in the order of their rows', () => {
  const ids = Array.from({ length: 14 }, (_, i) => `ATK-${String(i + 1).padStart(2, '0')}`);
  assert.equal(
    standardAttacks.map(({ id }) => id),
    ids,
  );
});

for (const { id, name, variants, elsewhere } of standardAttacks) {
  test(`${id}: ${name} is shown from each position, or there is a reason why not`, () => {
    for (const position of all) {
      const shown = variants.some((variant) => variant.position === position);
      const reason = elsewhere[position];
      assert.is(shown, reason === undefined, position);
    }
  });

  test(`${id}: ${name} is named by codes that there are`, () => {
    for (const { named } of variants) {
      if (named !== undefined) assert.ok(isCode(named.code), named.code);
    }
  });
}

test.run();
