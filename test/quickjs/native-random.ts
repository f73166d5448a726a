/** In place of hal/node/random.ts: random bytes as an ECU's binary gives them. */
import type { Native } from '../../hal/quickjs/native.ts';
import type { Random } from '../../hal/types.ts';

declare const native: Native;

export const createNodeRandom = (): Random => ({ bytes: native.randomBytes });
