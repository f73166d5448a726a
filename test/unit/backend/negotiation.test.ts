/** Which form an answer takes (RFC 9110 §12.5.1), and what names of metadata files are. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { chooseForm } from '../../../backend/http/answers.ts';
import { parseMetadataName } from '../../../backend/http/metadata-name.ts';
import { chooseRange } from '../../../backend/images/serve.ts';

const test = suite('negotiation');

test('the more welcome form is chosen, CBOR when both are equally so', () => {
  const cases: readonly [string | undefined, 'cbor' | 'json' | undefined][] = [
    [undefined, 'cbor'],
    ['*/*', 'cbor'],
    ['application/*', 'cbor'],
    ['application/json', 'json'],
    ['Application/JSON', 'json'],
    ['application/json, application/cbor', 'cbor'],
    ['application/json, application/cbor;q=0.5', 'json'],
    ['application/json;q=0.5, */*;q=0.1', 'json'],
    ['*/*, application/cbor;q=0', 'json'],
    ['application/json;q=0', undefined],
    ['application/json;q=x', undefined],
    ['application/json;q=2', undefined],
    ['text/html', undefined],
    ['', undefined],
    [',', undefined],
  ];
  for (const [accept, expected] of cases) assert.is(chooseForm(accept), expected, accept);
});

test('a name of a metadata file is a version and a role (FNM-01)', () => {
  assert.equal(parseMetadataName('timestamp.cbor'), { role: 'timestamp' });
  assert.equal(parseMetadataName('12.targets.cbor'), { role: 'targets', version: 12 });
  assert.equal(parseMetadataName('1.a.b.cbor'), { role: 'a.b', version: 1 });
  for (const name of ['', 'targets.cbor', '1.cbor', '1.targets', '1.targets.cborx', '01.a.cbor']) {
    assert.ok(isRefusal(parseMetadataName(name)), name);
  }
});

test('a range is judged against the length, its If-Range against the ETag', () => {
  const choose = (range?: string, ifRange?: string) => chooseRange(range, ifRange, '"e"', 100);
  assert.is(choose(), undefined);
  assert.equal(choose('bytes=0-99'), { start: 0, end: 100 });
  assert.equal(choose('bytes=99-'), { start: 99, end: 100 });
  assert.is(choose('bytes=100-'), 'unsatisfiable');
  assert.equal(choose('bytes=-100'), { start: 0, end: 100 });
  assert.equal(choose('bytes=5-5', '"e"'), { start: 5, end: 6 });
  assert.is(choose('bytes=5-5', 'W/"e"'), undefined);
  assert.is(choose('bytes=5-5', '"e", "e"'), undefined);
  assert.is(choose('bytes=5-4'), undefined);
  assert.is(choose(`bytes=${'9'.repeat(16)}-`), undefined);
});

test.run();
