/** In place of test/unit/crypto/providers.ts: the providers that the engine itself can run. */
import { createNobleCrypto } from '../../hal/noble/crypto.ts';
import type { Crypto, Random } from '../../hal/types.ts';
import { createNodeCrypto } from './native-crypto.ts';
import { createNodeRandom } from './native-random.ts';

export const random: Random = createNodeRandom();

export const providers: readonly { readonly name: string; readonly crypto: Crypto }[] = [
  { name: 'native', crypto: createNodeCrypto() },
  { name: 'noble', crypto: createNobleCrypto(random) },
];
