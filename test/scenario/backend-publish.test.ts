/** What the Image repository publishes, and what it refuses to (Uptane §5.3.1, IMG-05). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../agent/codec/schema.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import { signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { root } from '../../agent/metadata/root.ts';
import { snapshot } from '../../agent/metadata/snapshot.ts';
import {
  type Delegation,
  defaultBundlePolicy,
  type Target,
  type Targets,
  targets,
} from '../../agent/metadata/targets.ts';
import { timestamp } from '../../agent/metadata/timestamp.ts';
import {
  publicationAnswer,
  publicationRequest,
  publishAnswer,
} from '../../backend/http/messages.ts';
import { generateKeyPair, type KeyPair, signerOf } from '../../hal/node/signing.ts';
import {
  codeOf,
  crypto,
  directorTable,
  expectValue,
  imagesTable,
  makeImage,
  payloadOf,
  refusalOf,
  signRoot,
  startSeconds,
  TestBackend,
  TestVehicle,
} from './backend-fixture.ts';

const test = suite('publish');
const image = makeImage('brakes-2.bin', new Uint8Array(1_000).fill(3), ['hw-brakes']);
const composite = 'MLDSA65-ECDSA-P256-SHA512';
let backend: TestBackend;
let next = 1;

test.before(async () => {
  backend = await TestBackend.start();
  await backend.upload(image.target.filename, image.ciphertext);
});
test.after(() => backend.stop());

const withEntry = (changes: Partial<Target>): Partial<Targets> => ({
  targets: [{ ...image.target, ...changes }],
});

const withMustMatch = (changes: Partial<Target['mustMatch']>): Partial<Targets> =>
  withEntry({ mustMatch: { ...image.target.mustMatch, ...changes } });

async function publishNext(changes: Partial<Targets>): Promise<void> {
  const body = backend.signTargets(next, changes);
  const answer = await backend.publish(`${next}.targets.cbor`, body);
  assert.is(expectValue(publishAnswer, answer).version, next);
  next += 1;
}

/** A refusal after which nothing newer is served than before. */
async function expectRefused(name: string, body: Uint8Array, code: string): Promise<void> {
  const before = await backend.images('/metadata/timestamp.cbor');
  assert.is(codeOf(await backend.publish(name, body)), code);
  assert.equal((await backend.images('/metadata/timestamp.cbor')).body, before.body);
}

const refuseTargets = (changes: Partial<Targets>, code: string, signers?: readonly KeyPair[]) =>
  expectRefused(`${next}.targets.cbor`, backend.signTargets(next, changes, signers), code);

test('nothing is served before the first release', async () => {
  const absent = '404 metadata-absent';
  assert.is(codeOf(await backend.images('/metadata/timestamp.cbor')), absent);
  assert.is(codeOf(await backend.images('/metadata/1.targets.cbor')), absent);
  assert.is(codeOf(await backend.images('/metadata/1.root.cbor')), '200');
});

test('a release gets a Snapshot and a Timestamp over it (SNP-01, TSM-01, TSM-02, ROL-09, ROL-10)', async () => {
  await publishNext({ targets: [image.target] });
  const get = async (name: string) => (await backend.images(`/metadata/${name}`)).body;
  const newest = payloadOf(timestamp, await get('timestamp.cbor'));
  const file = await get(`${newest.snapshot.version}.snapshot.cbor`);
  assert.is(newest.snapshot.length, file.length);
  assert.equal(new Uint8Array(newest.snapshot.hashes[0]!.value), crypto.digest('SHA-256', file));
  assert.equal(payloadOf(snapshot, file).versions, [{ key: 'targets', value: 1 }]);
  assert.is(payloadOf(targets, await get('1.targets.cbor')).targets.length, 1);
  const operators = await backend.operator('/images/metadata/1.targets.cbor');
  assert.equal(operators.body, await get('1.targets.cbor'));
});

test('only the next version is taken, by name and as signed (MET-07, HRD-02)', async () => {
  const code = '409 metadata-not-next';
  await expectRefused('1.targets.cbor', backend.signTargets(1, {}), code);
  await expectRefused('3.targets.cbor', backend.signTargets(3, {}), code);
  await expectRefused('2.targets.cbor', backend.signTargets(3, {}), code);
});

test('Targets need a threshold of their keys (IMG-05, ROL-02)', async () => {
  const { imagesTargets, imagesRoot } = backend.keys;
  await refuseTargets({}, '400 signature-threshold', [imagesTargets[0]!]);
  await refuseTargets({}, '400 signature-threshold', imagesRoot);
  await refuseTargets({}, '400 signature-missing', []);
  await refuseTargets({}, '400 signature-threshold', [imagesTargets[0]!, imagesTargets[0]!]);
  const altered = backend.signTargets(next, {});
  altered[altered.length - 1]! ^= 1;
  await expectRefused(`${next}.targets.cbor`, altered, '400 signature-invalid');
});

test('a listed image was uploaded, with that name, length and hashes (IMG-06)', async () => {
  const [sha256, sha512] = image.target.hashes;
  const wrong = new Uint8Array(32).fill(9);
  await refuseTargets(withEntry({ filename: 'other.bin' }), '404 image-unknown');
  await refuseTargets(withEntry({ length: image.target.length + 1 }), '400 image-length');
  await refuseTargets(withEntry({ hashes: [{ key: -16, value: wrong }] }), '404 image-unknown');
  const half = [sha256!, { key: sha512!.key, value: new Uint8Array(64) }];
  await refuseTargets(withEntry({ hashes: half }), '404 image-unknown');
  const crossed = [{ key: sha512!.key, value: sha256!.value }];
  await refuseTargets(withEntry({ hashes: crossed }), '404 image-unknown');
});

test('a listed image is encrypted, in a known way (CUS-04, CUS-05)', async () => {
  await refuseTargets(withMustMatch({ encryption: 'none' }), '400 target-format');
  await refuseTargets(withMustMatch({ plaintextLength: 999 }), '400 target-format');
  const ciphertextSha256 = image.target.hashes[0]!.value;
  const plain = withMustMatch({ plaintextSha256: ciphertextSha256 });
  await refuseTargets(plain, '400 image-not-encrypted');
});

test('the plaintext of a listed image is stored nowhere (CUS-04)', async () => {
  // A file that happens to have a possible length, uploaded as it is, and then listed as plaintext.
  const plaintext = new Uint8Array(72 + 5).fill(4);
  const sealed = makeImage('sealed.bin', plaintext, ['hw-brakes']);
  await backend.upload('sealed.bin', sealed.ciphertext);
  assert.is(codeOf(await backend.upload('leak.bin', plaintext)), '200');
  await refuseTargets({ targets: [sealed.target] }, '400 image-not-encrypted');
});

test('Targets of the Image repository hold nothing of the Director, and no name twice (TGT-02, TGT-03, CUS-06)', async () => {
  const code = '400 request-malformed';
  await refuseTargets({ vehicleId: 'vehicle-1' }, code);
  const keys = [backend.keys.online['director-time'].key];
  await refuseTargets({ timeKeys: { keys, threshold: 1 } }, code);
  await refuseTargets({ bundlePolicy: defaultBundlePolicy }, code);
  const sha256 = image.target.hashes[0]!.value;
  const assignment = { ecuId: 'ecu', keyObjectSha256: sha256, keyObjectLength: 1 };
  await refuseTargets(withEntry({ assignment }), code);
  await refuseTargets({ targets: [image.target, image.target] }, code);
});

test('expired Targets are not published', async () => {
  await refuseTargets({ expires: startSeconds }, '400 metadata-expired');
});

test('roles that the server signs cannot be uploaded', async () => {
  for (const name of [
    'timestamp.cbor',
    '2.snapshot.cbor',
    '2.timestamp.cbor',
    'x',
    '0.targets.cbor',
  ]) {
    await expectRefused(name, backend.signTargets(2, {}), '400 request-malformed');
  }
});

test('Targets beyond the limit of a Secondary are not published', async () => {
  const filler = new Uint8Array(32_769);
  assert.is(codeOf(await backend.publish(`${next}.targets.cbor`, filler)), '400 cbor-too-large');
  const more = new Uint8Array(65_537);
  assert.is(codeOf(await backend.publish(`${next}.targets.cbor`, more)), '413 body-too-large');
});

test('a delegated role lists what its delegation covers, signed by its keys (IMG-05, ROL-03)', async () => {
  const supplier = generateKeyPair(composite);
  const stranger = generateKeyPair(composite);
  const lamps = makeImage('lamps-1.bin', new Uint8Array(50), ['hw-lamps']);
  await backend.upload('lamps-1.bin', lamps.ciphertext);
  const sign = (version: number, entries: readonly Target[], key: KeyPair) =>
    backend.signTargets(version, { targets: entries }, [key]);
  await expectRefused('1.lamps.cbor', sign(1, [lamps.target], supplier), '400 delegation-role');
  const delegation = {
    paths: ['lamps-*'],
    hardwareIds: ['hw-lamps'],
    terminating: false,
    roles: [{ name: 'lamps', keyIds: [keyId(crypto, supplier.key)], threshold: 1 }],
    minimumRoles: 1,
  };
  const delegations = { keys: [supplier.key], delegations: [delegation] };
  await publishNext({ targets: [image.target], delegations });
  const foreign = sign(1, [lamps.target], stranger);
  await expectRefused('1.lamps.cbor', foreign, '400 signature-threshold');
  await expectRefused('1.lamps.cbor', sign(1, [image.target], supplier), '400 target-filename');
  const { mustMatch } = lamps.target;
  const wide = { ...lamps.target, mustMatch: { ...mustMatch, hardwareIds: ['hw-lamps', 'hw-b'] } };
  await expectRefused('1.lamps.cbor', sign(1, [wide], supplier), '400 target-filename');
  const published = await backend.publish('1.lamps.cbor', sign(1, [lamps.target], supplier));
  const { snapshotVersion } = expectValue(publishAnswer, published);
  const file = (await backend.images(`/metadata/${snapshotVersion}.snapshot.cbor`)).body;
  assert.equal(payloadOf(snapshot, file).versions, [
    { key: 'lamps', value: 1 },
    { key: 'targets', value: next - 1 },
  ]);

  // And what a delegated role lists can be assigned, to the hardware that it covers alone.
  const vehicle = new TestVehicle('vehicle-lamps');
  await backend.register(vehicle);
  await backend.sendContentKey(lamps);
  const refused = await backend.assign(
    'vehicle-lamps',
    vehicle.secondary.description.ecuId,
    'lamps-1.bin',
  );
  assert.is(refusalOf(refused).code, 'image-not-listed');
});

test('every delegation on the way to a role limits what it lists, not the last alone (IMG-05)', async () => {
  const [supplier, subcontractor] = [generateKeyPair(composite), generateKeyPair(composite)];
  const glass = makeImage('glass-1.bin', new Uint8Array(60), ['hw-glass']);
  await backend.upload('glass-1.bin', glass.ciphertext);
  const delegateTo = (name: string, { key }: KeyPair, paths: string[]) => ({
    keys: [key],
    delegations: [
      {
        paths,
        terminating: false,
        roles: [{ name, keyIds: [keyId(crypto, key)], threshold: 1 }],
        minimumRoles: 1,
      },
    ],
  });
  await publishNext({
    targets: [image.target],
    delegations: delegateTo('glass', supplier, ['glass-*']),
  });
  // The supplier hands on more than it was given.
  const everything = delegateTo('panes', subcontractor, ['*']);
  const handedOn = backend.signTargets(1, { delegations: everything }, [supplier]);
  assert.is(codeOf(await backend.publish('1.glass.cbor', handedOn)), '200');
  const list = (entry: Target) => backend.signTargets(1, { targets: [entry] }, [subcontractor]);
  const refused = await backend.publish('1.panes.cbor', list(image.target));
  assert.is(`${codeOf(refused)} ${refusalOf(refused).row}`, '400 target-filename IMG-05');
  assert.is(codeOf(await backend.publish('1.panes.cbor', list(glass.target))), '200');
});

test('IMG-05: what a role may list is judged along the whole chain, terminating or taken back', async () => {
  const [middle, leaf] = [generateKeyPair(composite), generateKeyPair(composite)];
  const delegateTo = (name: string, { key }: KeyPair, more: Partial<Delegation>) => ({
    keys: [key],
    delegations: [
      {
        paths: ['*'],
        terminating: false,
        roles: [{ name, keyIds: [keyId(crypto, key)], threshold: 1 }],
        minimumRoles: 1,
        ...more,
      },
    ],
  });
  const top = (more: Partial<Delegation>) =>
    publishNext({ targets: [], delegations: delegateTo('middle', middle, more) });
  await top({ paths: ['lamps-*'], hardwareIds: ['hw-lamps'] });
  const below = delegateTo('leaf', leaf, {});
  const file = backend.signTargets(1, { targets: [], delegations: below }, [middle]);
  expectValue(publishAnswer, await backend.publish('1.middle.cbor', file));
  const lamps = makeImage('lamps-2.bin', new Uint8Array(60), ['hw-lamps']);
  await backend.upload('lamps-2.bin', lamps.ciphertext);
  const sign = (entries: readonly Target[]) => backend.signTargets(1, { targets: entries }, [leaf]);
  await expectRefused('1.leaf.cbor', sign([image.target]), '400 target-filename');
  await top({ paths: ['lamps-*'], hardwareIds: ['hw-lamps'], terminating: true });
  await expectRefused('1.leaf.cbor', sign([lamps.target]), '400 delegation-role');
  await publishNext({ targets: [] });
  await expectRefused('1.leaf.cbor', sign([lamps.target]), '400 delegation-role');
  await top({ paths: ['lamps-*'], hardwareIds: ['hw-lamps'] });
  const published = await backend.publish('1.leaf.cbor', sign([lamps.target]));
  assert.is(expectValue(publishAnswer, published).version, 1);
});

test('ROL-09: files published together share one Snapshot, and all are taken or none', async () => {
  const key = generateKeyPair(composite);
  const role = { name: 'together', keyIds: [keyId(crypto, key.key)], threshold: 1 };
  const delegation = { paths: ['*'], terminating: false, roles: [role], minimumRoles: 1 };
  const delegations = { keys: [key.key], delegations: [delegation] };
  const top = { role: 'targets', version: next, file: backend.signTargets(next, { delegations }) };
  const below = {
    role: 'together',
    version: 1,
    file: backend.signTargets(1, { targets: [] }, [key]),
  };
  const send = (files: readonly (typeof top)[]) =>
    backend.operator('/images/publications', {
      method: 'POST',
      body: encode(publicationRequest, { files }),
    });
  const before = (await backend.images('/metadata/timestamp.cbor')).body;
  for (const [files, code] of [
    [[top, { ...below, version: 2 }], '409 metadata-not-next'],
    [[below, top], '400 delegation-role'],
    [[top, { ...below, role: 'snapshot' }], '400 delegation-role'],
    [[top, { ...below, file: top.file }], '400 signature-threshold'],
  ] as const) {
    assert.is(codeOf(await send(files)), code);
  }
  assert.equal((await backend.images('/metadata/timestamp.cbor')).body, before);
  const { snapshotVersion } = expectValue(publicationAnswer, await send([top, below]));
  next += 1;
  const file = (await backend.images(`/metadata/${snapshotVersion}.snapshot.cbor`)).body;
  const { versions } = payloadOf(snapshot, file);
  const listed = versions.filter(({ key: name }) => name === 'together' || name === 'targets');
  assert.equal(listed, [
    { key: 'targets', value: next - 1 },
    { key: 'together', value: 1 },
  ]);
});

test('IMG-04: what the server signs is in no publication of operators', async () => {
  for (const role of ['snapshot', 'timestamp']) {
    const files = [{ role, version: next, file: backend.signTargets(next, {}) }];
    const body = encode(publicationRequest, { files });
    const answer = await backend.operator('/images/publications', { method: 'POST', body });
    const { code, detail } = refusalOf(answer);
    assert.is(`${code}: ${detail}`, `delegation-role: ${role} is not signed by operators`);
  }
});

test('delegations that no vehicle could resolve are not published (DEL-03, HRD-06)', async () => {
  const key = generateKeyPair(composite);
  const keyIds = [keyId(crypto, key.key)];
  const role = { name: 'lamps', keyIds, threshold: 1 };
  const delegate = (
    roles: readonly (typeof role)[],
    minimumRoles: number,
    keys = [key.key],
  ): Partial<Targets> => ({
    delegations: {
      keys,
      delegations: [{ paths: ['*'], terminating: false, roles, minimumRoles }],
    },
  });
  await refuseTargets(delegate([role], 0), '400 root-threshold');
  await refuseTargets(delegate([role], 2), '400 root-threshold');
  await refuseTargets(delegate([{ ...role, threshold: 0 }], 1), '400 root-threshold');
  await refuseTargets(delegate([{ ...role, threshold: 2 }], 1), '400 root-threshold');
  await refuseTargets(delegate([{ ...role, name: 'snapshot' }], 1), '400 delegation-role');
  const other = generateKeyPair(composite);
  await refuseTargets(delegate([role], 1, [other.key]), '400 key-malformed');
});

test('content keys are taken for uploaded images only, and must open (CUS-05)', async () => {
  const unknown = makeImage('unknown.bin', new Uint8Array(3), ['hw-brakes']);
  assert.is(codeOf(await backend.sendContentKey(unknown)), '404 image-unknown');
  assert.is(codeOf(await backend.sendContentKey(image)), '200');
});

test('a Root is published when the old and the new keys signed it (CRT-03, CRT-04, ROL-01)', async () => {
  const { keys } = backend;
  const rotated = [generateKeyPair(composite), generateKeyPair(composite)];
  const table = { ...imagesTable(keys), root: rotated };
  const both = [...keys.imagesRoot, ...rotated];
  const put = async (name: string, body: Uint8Array) => {
    const answer = await backend.publish(name, body);
    return answer.status < 400 ? '200' : `${codeOf(answer)} ${refusalOf(answer).row}`;
  };
  const threshold = '400 signature-threshold CRT-03';
  assert.is(await put('2.root.cbor', signRoot(2, table, keys.imagesRoot)), threshold);
  assert.is(await put('2.root.cbor', signRoot(2, table, rotated)), threshold);
  assert.is(await put('3.root.cbor', signRoot(3, table, both)), '409 metadata-not-next CRT-04');
  assert.is(await put('2.root.cbor', signRoot(3, table, both)), '400 root-version CRT-04');
  const past = signRoot(2, table, both, startSeconds);
  assert.is(await put('2.root.cbor', past), '400 metadata-expired CRT-06');
  const timestampBefore = (await backend.images('/metadata/timestamp.cbor')).body;
  assert.is(await put('2.root.cbor', signRoot(2, table, both)), '200');
  const served = (await backend.images('/metadata/2.root.cbor')).body;
  assert.is(payloadOf(root, served).version, 2);
  const timestampAfter = (await backend.images('/metadata/timestamp.cbor')).body;
  assert.not.equal(timestampAfter, timestampBefore, 'signed anew under the new Root');
});

test('a Root under which the server could not sign is not published', async () => {
  const { keys } = backend;
  const table = { ...directorTable(keys), timestamp: [generateKeyPair(composite)] };
  const put = (version: number, body: Uint8Array) =>
    backend.operator(`/director/metadata/${version}.root.cbor`, { method: 'PUT', body });
  const foreign = signRoot(2, table, keys.directorRoot);
  assert.is(codeOf(await put(2, foreign)), '400 key-file-invalid');
  assert.is(codeOf(await backend.director('/metadata/x/2.root.cbor')), '404 vehicle-unknown');
  assert.is(
    codeOf(await backend.operator('/director/metadata/2.root.cbor')),
    '404 metadata-absent',
  );
  const good = signRoot(2, directorTable(keys), keys.directorRoot);
  assert.is(codeOf(await put(2, good)), '200');
  assert.is(codeOf(await backend.operator('/director/metadata/2.root.cbor')), '200');
});

test('after a new Director Root every vehicle is signed for anew', async () => {
  const vehicle = new TestVehicle('vehicle-rotation');
  await backend.register(vehicle);
  const version = async () => {
    const answer = await backend.director('/metadata/vehicle-rotation/timestamp.cbor');
    return payloadOf(timestamp, answer.body).version;
  };
  assert.is(await version(), 1);
  const body = signRoot(3, directorTable(backend.keys), backend.keys.directorRoot);
  await backend.operator('/director/metadata/3.root.cbor', { method: 'PUT', body });
  assert.is(await version(), 2);
});

test('a file that is no Targets at all is refused', async () => {
  const { imagesTargets } = backend.keys;
  const payload = encode(snapshot, {
    type: 3,
    formatVersion: 1,
    version: next,
    expires: startSeconds + 10,
    versions: [{ key: 'targets', value: 1 }],
  });
  const body = signEnvelope(crypto, imagesTargets.map(signerOf), 'metadata', payload);
  await expectRefused(`${next}.targets.cbor`, body, '400 cbor-unknown-value');
});

test.run();
