/** Which Offline Snapshot the Director publishes (PURE-2): its keys, its version, what it lists. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../../agent/codec/schema.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { roles } from '../../../agent/metadata/common.ts';
import { type OfflineSnapshot, offlineSnapshot } from '../../../agent/metadata/offline.ts';
import { publishAnswer } from '../../../backend/http/messages.ts';
import { generateKeyPair, type KeyPair, signerOf } from '../../../hal/node/signing.ts';
import {
  codeOf,
  crypto,
  directorTable,
  expectValue,
  refusalOf,
  signRoot,
  startSeconds,
  TestBackend,
} from '../../scenario/backend-fixture.ts';

const test = suite('Offline Snapshot at the Director');
const path = '/offline/snapshot';
const own = generateKeyPair('MLDSA65-ECDSA-P256-SHA512');
let backend: TestBackend;

test.before.each(async () => {
  backend = await TestBackend.start();
});
test.after.each(() => backend.stop());

function sign(changes: Partial<OfflineSnapshot> = {}, signer: KeyPair = own): Uint8Array {
  const payload = encode(offlineSnapshot, {
    type: roles['offline-snapshot'],
    formatVersion: 1,
    version: 2,
    expires: startSeconds + 1_000,
    versions: [{ key: 'recall', value: 2 }],
    ...changes,
  });
  return signEnvelope(crypto, [signerOf(signer)], 'metadata', payload);
}

const publish = (body: Uint8Array) => backend.operator(path, { method: 'PUT', body });

/** From its second Root on the Director has the role. */
async function nameRole(): Promise<void> {
  const { keys } = backend;
  const table = { ...directorTable(keys), 'offline-snapshot': [own] };
  const body = signRoot(2, table, keys.directorRoot);
  const root = '/director/metadata/2.root.cbor';
  assert.is(codeOf(await backend.operator(root, { method: 'PUT', body })), '200');
}

async function published(body: Uint8Array): Promise<void> {
  expectValue(publishAnswer, await publish(body));
  assert.equal((await backend.operator(path)).body, body);
}

/** A refusal after which the same is served as before. */
async function refused(body: Uint8Array, code: string, row: string): Promise<void> {
  const before = await backend.operator(path);
  const answer = await publish(body);
  assert.is(codeOf(answer), code);
  assert.is(refusalOf(answer).row, row);
  assert.equal((await backend.operator(path)).body, before.body);
}

test('OFF-01: a Root that names no offline roles takes no Offline Snapshot, a later one does', async () => {
  const body = sign();
  await refused(body, '400 root-threshold', 'OFF-01');
  await nameRole();
  await published(body);
});

test('OFF-02: an Offline Snapshot is signed by its own keys, not by another role of the Director', async () => {
  await nameRole();
  const online = sign({}, backend.keys.online['director-snapshot']);
  await refused(online, '400 signature-threshold', 'OFF-02');
});

test('OFF-02, MET-07: the version of the Offline Snapshot rises', async () => {
  await nameRole();
  await published(sign());
  await refused(sign({ expires: startSeconds + 2_000 }), '409 metadata-not-next', 'OFF-02');
  await refused(sign({ version: 1 }), '409 metadata-not-next', 'OFF-02');
  await published(sign({ version: 3 }));
});

test('OFF-04: no campaign of an Offline Snapshot goes back, vanishes or has expired', async () => {
  await nameRole();
  await published(sign());
  const back = { version: 3, versions: [{ key: 'recall', value: 1 }] };
  await refused(sign(back), '400 metadata-rollback', 'OFF-04');
  const gone = { version: 3, versions: [{ key: 'winter', value: 2 }] };
  await refused(sign(gone), '400 snapshot-role-removed', 'OFF-04');
  await refused(sign({ version: 3, expires: startSeconds }), '400 metadata-expired', 'OFF-04');
  await published(sign({ version: 3 }));
});

test.run();
