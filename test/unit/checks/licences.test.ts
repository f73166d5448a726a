/** The check of licences, pins and reasons finds what is planted. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkPackages, checkReasons, isPermissive } from '../../checks/licences.ts';

const test = suite('licences');

const reasons = '| Package | Reason |\n|---|---|\n| `one` | Because. |\n';

/** Violations of a project with the dependency `one`. */
function check(version: string, locked: object, text: string = reasons): string[] {
  const root = mkdtempSync(join(tmpdir(), 'licences-'));
  try {
    writeFileSync(join(root, 'package.json'), JSON.stringify({ dependencies: { one: version } }));
    const packages = { '': {}, 'node_modules/one': locked };
    writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ packages }));
    return [...checkPackages(root, '.', text), ...checkReasons(root, ['.'], text)];
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test('a pinned, permissive package with a reason passes', () => {
  assert.equal(check('1.2.3', { version: '1.2.3', license: 'MIT' }), []);
});

test('a range, another locked version, a missing reason and a stale reason are violations', () => {
  const locked = { version: '1.2.3', license: 'MIT' };
  assert.is(check('^1.2.3', locked).length, 1);
  assert.is(check('1.2.4', locked).length, 1);
  assert.is(check('1.2.3', locked, '').length, 1);
  assert.is(check('1.2.3', locked, '| `one` | |\n').length, 1);
  assert.is(check('1.2.3', locked, `${reasons}| \`two\` | Gone. |\n`).length, 1);
});

test('an unknown or missing licence is a violation', () => {
  assert.is(check('1.2.3', { version: '1.2.3', license: 'GPL-3.0-only' }).length, 1);
  assert.is(check('1.2.3', { version: '1.2.3' }).length, 1);
});

test('expressions are permissive when one choice is so entirely', () => {
  assert.ok(isPermissive('MIT OR GPL-3.0-only'));
  assert.ok(isPermissive('(MIT AND ISC)'));
  assert.not.ok(isPermissive('MIT AND GPL-3.0-only'));
  assert.not.ok(isPermissive('SEE LICENSE IN LICENSE'));
});

test.run();
