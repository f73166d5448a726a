/** As native-providers.ts, without noble: its ML-DSA and SLH-DSA take minutes interpreted. */
import { createNodeCrypto } from './native-crypto.ts';

export { random } from './native-providers.ts';

export const providers = [{ name: 'native', crypto: createNodeCrypto() }];
