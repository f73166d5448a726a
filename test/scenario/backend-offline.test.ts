/** The Offline Snapshot at a Director whose Root names no offline roles (PURE-2). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../agent/codec/schema.ts';
import { signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { roles } from '../../agent/metadata/common.ts';
import { offlineSnapshot } from '../../agent/metadata/offline.ts';
import { publishAnswer } from '../../backend/http/messages.ts';
import { generateKeyPair, signerOf } from '../../hal/node/signing.ts';
import {
  codeOf,
  crypto,
  directorTable,
  expectValue,
  refusalOf,
  signRoot,
  startSeconds,
  TestBackend,
} from './backend-fixture.ts';

const test = suite('backend: offline snapshot');
const pair = generateKeyPair('MLDSA65-ECDSA-P256-SHA512');
const payload = encode(offlineSnapshot, {
  type: roles['offline-snapshot'],
  formatVersion: 1,
  version: 1,
  expires: startSeconds + 1_000,
  versions: [{ key: 'recall', value: 1 }],
});
const body = signEnvelope(crypto, [signerOf(pair)], 'metadata', payload);
let backend: TestBackend;

test.before(async () => {
  backend = await TestBackend.start();
});
test.after(() => backend.stop());

const publish = () => backend.operator('/offline/snapshot', { method: 'PUT', body });

test('OFF-01: a Director whose Root names no offline roles publishes no Offline Snapshot', async () => {
  const answer = await publish();
  assert.is(codeOf(answer), '400 root-threshold');
  assert.is(refusalOf(answer).row, 'OFF-01');
  assert.is(codeOf(await backend.operator('/offline/snapshot')), '404 metadata-absent');
});

test('OFF-01: the same bytes are published after a Root that names their key', async () => {
  const { keys } = backend;
  const table = { ...directorTable(keys), 'offline-snapshot': [pair] };
  const root = signRoot(2, table, keys.directorRoot);
  const path = '/director/metadata/2.root.cbor';
  assert.is(codeOf(await backend.operator(path, { method: 'PUT', body: root })), '200');
  assert.is(expectValue(publishAnswer, await publish()).version, 1);
  assert.equal((await backend.operator('/offline/snapshot')).body, body);
});

test.run();
