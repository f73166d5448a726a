import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createFileKeyValue } from '../../../hal/emulated/key-value.ts';

const test = suite('key-value store in files');
let folder = '';
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'key-value-'));
});
test.after.each(() => rmSync(folder, { recursive: true }));

test('values are read back by another instance, replaced and deleted', () => {
  const store = createFileKeyValue(join(folder, 'store'));
  assert.is(store.read('counter'), undefined);
  store.write('counter', Uint8Array.of(1, 2));
  store.write('empty', new Uint8Array(0));
  store.write('counter', Uint8Array.of(3));
  const again = createFileKeyValue(join(folder, 'store'));
  assert.equal(again.read('counter'), Uint8Array.of(3));
  assert.equal(again.read('empty'), new Uint8Array(0));
  again.delete('counter');
  again.delete('never written');
  assert.is(store.read('counter'), undefined);
});

test('no key names a path, and no two keys share a file', () => {
  const store = createFileKeyValue(join(folder, 'store'));
  const keys = ['../outside', '/etc/passwd', '.', '..', 'a/b', 'a_2fb', 'A', 'a', '_', 'a.value'];
  for (const [i, key] of keys.entries()) store.write(key, Uint8Array.of(i));
  for (const [i, key] of keys.entries()) assert.equal(store.read(key), Uint8Array.of(i));
  assert.equal(readdirSync(folder), ['store']);
  assert.ok(readdirSync(join(folder, 'store')).every((name) => /^[a-z0-9_-]+\.value$/.test(name)));
});

test('keys that fit no file name are refused', () => {
  const store = createFileKeyValue(folder);
  assert.throws(() => store.read(''), /1 to 240/);
  assert.throws(() => store.write('é', Uint8Array.of(1)), /printable ASCII/);
  assert.throws(() => store.write('a\0b', Uint8Array.of(1)), /printable ASCII/);
  store.write('k'.repeat(240), Uint8Array.of(1));
  assert.throws(() => store.write('k'.repeat(241), Uint8Array.of(1)), /1 to 240/);
  assert.throws(() => store.delete('K'.repeat(81)), /1 to 240/);
});

test('a write that was cut before its end leaves the old value and no leftover', () => {
  const store = createFileKeyValue(folder);
  store.write('key', Uint8Array.of(1));
  writeFileSync(join(folder, 'key.new'), Uint8Array.of(9, 9));
  const again = createFileKeyValue(folder);
  assert.equal(again.read('key'), Uint8Array.of(1));
  assert.equal(readdirSync(folder), ['key.value']);
});

test.run();
