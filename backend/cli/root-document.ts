/** Composes Root metadata (Uptane §5.2.2, ROL-01) of the operator's profile from keys by role. */
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import { profiles, type RoleName, roles } from '../../agent/metadata/common.ts';
import type { Root } from '../../agent/metadata/root.ts';
import type { Crypto } from '../../hal/types.ts';

export interface RoleEntry {
  readonly role: RoleName;
  readonly keys: readonly PublicKey[];
  readonly threshold: number;
}

/** @param expires unix seconds */
export function composeRoot(
  crypto: Crypto,
  entries: readonly RoleEntry[],
  version: number,
  expires: number,
): Root {
  return {
    type: roles.root,
    formatVersion: 1,
    version,
    expires,
    keys: entries.flatMap(({ keys }) => keys),
    roles: entries.map(({ role, keys, threshold }) => ({
      role: roles[role],
      profile: profiles.composite,
      keyIds: keys.map((key) => keyId(crypto, key)),
      threshold,
    })),
  };
}
