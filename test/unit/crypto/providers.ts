/** The crypto providers that every conformance test runs on. */
import { randomBytes } from 'node:crypto';
import { createNobleCrypto } from '../../../hal/noble/crypto.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import type { Crypto, Random } from '../../../hal/types.ts';
import { nativeProviders } from '../../native/native-provider.ts';

export const random: Random = { bytes: (count) => new Uint8Array(randomBytes(count)) };

export const providers: readonly { readonly name: string; readonly crypto: Crypto }[] = [
  { name: 'node', crypto: createNodeCrypto() },
  { name: 'noble', crypto: createNobleCrypto(random) },
  ...nativeProviders(),
];
