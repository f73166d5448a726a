/** Which Roots the backend takes, and what it looks up in them. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { decode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { root as rootSchema } from '../../../agent/metadata/root.ts';
import { roleAuthority, verifyNextRoot } from '../../../backend/signer/root-trust.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import {
  directorTable,
  holdCeremony,
  imagesTable,
  signRoot,
  startSeconds,
} from '../../scenario/backend-fixture.ts';

const crypto = createNodeCrypto();
const keys = holdCeremony();

function outcome(repository: 'director' | 'images', file: Uint8Array, now = startSeconds): string {
  const found = verifyNextRoot(crypto, repository, undefined, 1, file, now);
  return isRefusal(found) ? `${found.refused} ${found.row}` : 'taken';
}

test('ROOT-01: a Root that leaves a role out is refused, and has no authority for it', () => {
  // The time role, which Image repositories do not need, keeps the number of roles up.
  const { timestamp: _left, ...rest } = imagesTable(keys);
  const table = { ...rest, time: [keys.online['director-time']] };
  const file = signRoot(1, table, keys.imagesRoot);
  assert.is(outcome('images', file), 'root-threshold ROOT-01');
  const envelope = decodeEnvelope(file, 65_536);
  if (isRefusal(envelope)) return assert.unreachable(envelope.detail);
  const root = decode(rootSchema, envelope.payload, 65_536);
  if (isRefusal(root)) return assert.unreachable(root.detail);
  assert.not(isRefusal(roleAuthority(crypto, root, 'snapshot')));
  const absent = roleAuthority(crypto, root, 'timestamp');
  assert.is(isRefusal(absent) && absent.row, 'ROOT-01');
});

test('TIM-05: a Director Root without a time key is refused', () => {
  const { time: _left, ...table } = directorTable(keys);
  assert.is(outcome('director', signRoot(1, table, keys.directorRoot)), 'root-threshold ROOT-01');
  assert.is(outcome('director', signRoot(1, directorTable(keys), keys.directorRoot)), 'taken');
});

test('CRT-06: a Root that has expired is refused: it would stop every vehicle', () => {
  const file = signRoot(1, imagesTable(keys), keys.imagesRoot, startSeconds + 1);
  assert.is(outcome('images', file), 'taken');
  assert.is(outcome('images', file, startSeconds + 1), 'metadata-expired CRT-06');
});

test.run();
