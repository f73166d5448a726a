/** What passes from the tests' run on Node (recording.ts) to their run as ES5 (signing.ts). */
import type { AlgorithmName, PublicKey } from '../../agent/codec/cose-key.ts';
import { toHex } from '../simulator/hexadecimal.ts';

/** One call of the tests, and its answer in hexadecimal. */
export interface Recorded {
  readonly call: string;
  readonly answer: string;
}

export const keyCall = (algorithm: AlgorithmName): string => `key ${algorithm}`;
export const signCall = (key: PublicKey, message: Uint8Array): string =>
  `sign ${toHex(key.bytes.subarray(0, 8))} ${toHex(message)}`;
