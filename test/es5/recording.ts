/**
 * In place of hal/node/signing.ts on Node: the same, and it writes beside the program what it was asked
 * and answered, for an engine on which nothing can be signed in a reasonable time (signing.ts).
 */
import { appendFileSync } from 'node:fs';
import type { AlgorithmName } from '../../agent/codec/cose-key.ts';
import type { Signer } from '../../agent/crypto/sign-envelope.ts';
import * as signing from '../../hal/node/signing.ts';
import { toHex } from '../simulator/hexadecimal.ts';
import { keyCall, type Recorded, signCall } from './recorded.ts';

function record(call: string, answer: Uint8Array): void {
  const line = JSON.stringify({ call, answer: toHex(answer) } satisfies Recorded);
  appendFileSync(`${process.argv[1]}.lines`, `${line}\n`);
}

export function generateKeyPair(algorithm: AlgorithmName): signing.KeyPair {
  const pair = signing.generateKeyPair(algorithm);
  record(keyCall(algorithm), pair.key.bytes);
  return pair;
}

export function signerOf(pair: signing.KeyPair): Signer {
  const { key, sign } = signing.signerOf(pair);
  return {
    key,
    sign(message) {
      const signature = sign(message);
      record(signCall(key, message), signature);
      return signature;
    },
  };
}
