/** Random bytes from Node's cryptographic source. */
import { randomFillSync } from 'node:crypto';
import type { Random } from '../types.ts';

export function createNodeRandom(): Random {
  return {
    bytes: (count) => randomFillSync(new Uint8Array(count)),
  };
}
