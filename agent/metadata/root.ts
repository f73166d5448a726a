/** Root metadata (Uptane §5.2.2): the keys of every role, with thresholds, by profile. */
import { coseKey } from '../codec/cose-key.ts';
import { array, bytes, field, type Infer, named, record, unsigned } from '../codec/schema.ts';
import { maxKeysPerRole, maxKeysPerRoot } from '../limits.ts';
import { formatVersion, profiles, roles, unixSeconds, versionNumber } from './common.ts';

/** Who signs one role under one profile (ROOT-03). */
export const roleKeys = record({
  role: field(1, named(roles)),
  profile: field(2, named(profiles)),
  keyIds: field(3, array(bytes(32), 1, maxKeysPerRole)),
  threshold: field(4, unsigned),
});

export const root = record({
  type: field(1, named({ root: roles.root })),
  formatVersion: field(2, formatVersion),
  version: field(3, versionNumber),
  expires: field(4, unixSeconds),
  /** Key identifiers are computed from the keys, so none can be misstated (ROOT-02). */
  keys: field(10, array(coseKey, 1, maxKeysPerRoot)),
  roles: field(11, array(roleKeys, 4, 28)),
});

export type Root = Infer<typeof root>;
export type RoleKeys = Infer<typeof roleKeys>;
