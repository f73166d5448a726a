/** In place of hal/node/crypto.ts: the crypto of an ECU's binary, which the engine was given. */
import { createNativeCrypto } from '../../hal/quickjs/crypto.ts';
import type { Native } from '../../hal/quickjs/native.ts';

declare const native: Native;

export const createNodeCrypto = () => createNativeCrypto(native);
