/**
 * In place of hal/node/signing.ts: the keys and signatures of the operator, who never is an ECU of this
 * class. They were made when the same tests ran on Node just before (recording.ts), in the same order;
 * the engine verifies every one of them itself.
 */
import type { AlgorithmName, PublicKey } from '../../agent/codec/cose-key.ts';
import type { Signer } from '../../agent/crypto/sign-envelope.ts';
import { fromHex } from '../simulator/hexadecimal.ts';
import { keyCall, type Recorded, signCall } from './recorded.ts';

declare const recorded: readonly Recorded[];

let next = 0;

/** What Node answered to this very call. */
function answered(call: string): string {
  const one = recorded[next++];
  if (one === undefined || one.call !== call) {
    throw new Error(`signing: call ${next} was another one on Node: ${one?.call}, not ${call}`);
  }
  return one.answer;
}

export function generateKeyPair(algorithm: AlgorithmName): { readonly key: PublicKey } {
  return { key: { algorithm, bytes: fromHex(answered(keyCall(algorithm))) } };
}

export function signerOf({ key }: { readonly key: PublicKey }): Signer {
  return { key, sign: (message) => fromHex(answered(signCall(key, message))) };
}
