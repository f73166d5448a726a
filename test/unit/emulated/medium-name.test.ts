import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMediumName } from '../../../hal/medium-name.ts';

const test = suite('Names on a medium');

test('a folder of small letters and a file that is neither hidden nor a path', () => {
  const right = ['director/2.root.cbor', 'a/b', 'keys/A-z_9', `images/${'x'.repeat(251)}`];
  for (const name of right) assert.ok(isMediumName(name), name);
});

test('HRD-10: paths, hidden files and other signs are no names', () => {
  const wrong = [
    '',
    '/',
    'director',
    'director/',
    '/root.cbor',
    'director/.hidden',
    'director/-x',
    'director/_x',
    '../etc/passwd',
    'director/../x',
    'director/sub/x',
    'Director/x',
    'dir.ector/x',
    'director/x y',
    'director/x\0',
    'director/\u00e4',
    `images/${'x'.repeat(252)}`,
    `${'a'.repeat(17)}/x`,
  ];
  for (const name of wrong) assert.not(isMediumName(name), name);
});

test.run();
