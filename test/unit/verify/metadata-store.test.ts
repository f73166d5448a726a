import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MetadataStore } from '../../../agent/verify/metadata-store.ts';
import { MemoryKeyValue, PowerCut } from '../../simulator/repository-simulator.ts';

const test = suite('Metadata store');
const file = (text: string) => new Uint8Array(Buffer.from(text));
const one = new Uint8Array(32).fill(1);
const two = new Uint8Array(32).fill(2);

test('CRT-07: a file is there only under the authority that it was stored with', () => {
  const store = new MetadataStore(new MemoryKeyValue());
  store.write('director', 'timestamp', 7, file('t7'), one);
  assert.equal(store.load('director', 'timestamp', one), { version: 7, bytes: file('t7') });
  assert.is(store.load('director', 'timestamp', two), undefined);
  assert.is(store.load('images', 'timestamp', one), undefined);
});

test('INS-08: a floor is there only under its authority', () => {
  const store = new MetadataStore(new MemoryKeyValue());
  store.writeFloor('director', 'targets', { version: 4, payloadSha256: two }, one);
  assert.equal(store.floor('director', 'targets', one), { version: 4, payloadSha256: two });
  assert.is(store.floor('director', 'targets', two), undefined);
});

test('PRI-12: files are read by their names, in exactly the stored version', () => {
  const store = new MetadataStore(new MemoryKeyValue());
  store.writeRoot('director', 1, file('r1'));
  store.writeRoot('director', 2, file('r2'));
  store.write('director', 'timestamp', 9, file('t'), one);
  store.write('director', 'snapshot', 5, file('s'), one);
  store.write('director', 'targets', 3, file('g'), one);
  store.write('images', 'role/brakes', 1, file('b'), one);
  for (const [repository, name, expected] of [
    ['director', '1.root.cbor', 'r1'],
    ['director', '2.root.cbor', 'r2'],
    ['director', '3.root.cbor', undefined],
    ['director', 'timestamp.cbor', 't'],
    ['director', '5.snapshot.cbor', 's'],
    ['director', '4.snapshot.cbor', undefined],
    ['director', '3.targets.cbor', 'g'],
    ['director', 'targets.cbor', 'g'],
    ['director', '2.targets.cbor', undefined],
    ['images', '1.brakes.cbor', 'b'],
    ['images', '2.brakes.cbor', undefined],
    ['director', '1.brakes.cbor', undefined],
  ] as const) {
    const found = store.read(repository, name);
    assert.is(found && Buffer.from(found).toString(), expected, `${repository} ${name}`);
  }
});

test('PRI-12: every decimal version number is read', () => {
  const store = new MetadataStore(new MemoryKeyValue());
  for (const version of [0, 9, 10, 1_234_567_890, Number.MAX_SAFE_INTEGER]) {
    store.write('images', 'targets', version, file(`v${version}`), one);
    assert.equal(store.read('images', `${version}.targets.cbor`), file(`v${version}`));
  }
});

test('HRD-10: odd file names are no files', () => {
  const store = new MetadataStore(new MemoryKeyValue());
  store.writeRoot('director', 1, file('r1'));
  for (const version of [9, 10]) store.write('director', 'targets', version, file('g'), one);
  store.write('images', 'targets', 9, file('g'), one);
  for (const name of [
    '',
    '.cbor',
    'root',
    '1.root',
    '01.root.cbor',
    '+1.root.cbor',
    '1e0.root.cbor',
    '1..cbor',
    '.root.cbor',
    '../1.root.cbor',
    '1.root.cbor.cbor',
    '99999999999999999.root.cbor',
    '1.targets-floor.cbor',
    '1./targets.cbor',
    '1.root.cbox',
    'a.root.cbor',
    ':.targets.cbor', // the character after 9
    '1/.targets.cbor', // the character before 0
  ]) {
    assert.is(store.read('director', name), undefined, name);
    assert.is(store.read('images', name), undefined, name);
  }
});

test('HRD-14: a Root whose number was not written is neither trusted nor served', () => {
  const keyValue = new MemoryKeyValue();
  const store = new MetadataStore(keyValue);
  store.writeRoot('director', 1, file('r1'));
  keyValue.failAfter = keyValue.changes + 1;
  assert.throws(
    () => store.writeRoot('director', 2, file('r2')),
    (error: unknown) => error instanceof PowerCut,
  );
  assert.is(store.rootVersion('director'), 1);
  assert.equal(store.root('director'), file('r1'));
  assert.is(store.read('director', '2.root.cbor'), undefined);
});

test('HRD-13: so many Roots are kept, the newest ones', () => {
  const keyValue = new MemoryKeyValue();
  const store = new MetadataStore(keyValue, { rootsKept: 3 });
  for (let version = 1; version <= 5; version++) {
    store.writeRoot('director', version, file(`r${version}`));
  }
  assert.is(store.read('director', '2.root.cbor'), undefined);
  assert.equal(store.read('director', '3.root.cbor'), file('r3'));
  assert.is(keyValue.values.size, 4);
  const two = new MetadataStore(new MemoryKeyValue(), { rootsKept: 2 });
  for (let version = 1; version <= 2; version++) two.writeRoot('images', version, file('r'));
  assert.ok(two.read('images', '1.root.cbor'));
  assert.throws(() => new MetadataStore(keyValue, { rootsKept: 1 }), /rootsKept/);
});

test('VER-02: a record that does not decode is as good as absent', () => {
  const keyValue = new MemoryKeyValue();
  const store = new MetadataStore(keyValue);
  for (const value of [new Uint8Array(0), new Uint8Array([0xff]), file('garbage')]) {
    keyValue.write('director/root', value);
    keyValue.write('director/targets', value);
    keyValue.write('director/targets-floor', value);
    assert.is(store.rootVersion('director'), undefined);
    assert.is(store.root('director'), undefined);
    assert.is(store.load('director', 'targets', one), undefined);
    assert.is(store.read('director', 'targets.cbor'), undefined);
    assert.is(store.floor('director', 'targets', one), undefined);
  }
});

test.run();
