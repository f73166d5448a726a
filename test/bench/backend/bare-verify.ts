/** The measure for the verification pool: `crypto.verify` alone, its keys made beforehand. */
import { type KeyObject, verify } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { unpackClaims } from '../../../backend/director/claim-buffer.ts';
import { importPublicKey } from '../../../hal/node/key-format.ts';

const keys = new Map<string, KeyObject>();
let prepared: {
  readonly key: KeyObject;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}[];

parentPort!.on('message', (task: Uint8Array | 'go') => {
  if (task !== 'go') {
    prepared = [...unpackClaims(task)].map(({ publicKey, message, signature }) => {
      const name = Buffer.from(publicKey).toString('hex');
      const key = keys.get(name) ?? importPublicKey('ESP256', publicKey);
      keys.set(name, key);
      return { key, message, signature };
    });
    parentPort!.postMessage('ready');
    return;
  }
  let good = 0;
  for (const { key, message, signature } of prepared) {
    if (verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature)) good += 1;
  }
  parentPort!.postMessage(good);
});
