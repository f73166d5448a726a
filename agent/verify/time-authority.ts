/** Who attests time: Director Root, or for partial verifiers Director Targets (TIM-05, TIM-06). */
import type { Crypto } from '../../hal/types.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxDirectorTargetsBytes } from '../limits.ts';
import type { ProfileName } from '../metadata/common.ts';
import { targets as targetsSchema } from '../metadata/targets.ts';
import {
  authorityDigest,
  authorityOf,
  identify,
  profileAlgorithms,
  type RoleAuthority,
} from './authority.ts';
import type { MetadataFormat } from './metadata-format.ts';
import type { MetadataStore } from './metadata-store.ts';
import { loadRoot, partialRoles, requireAuthority } from './root.ts';
import { openSigned, type VerificationContext } from './signed-file.ts';

export interface TimeAuthorityOptions {
  readonly crypto: Crypto;
  readonly format: MetadataFormat;
  readonly profile: ProfileName;
  readonly store: MetadataStore;
  /** True: the time keys of stored Director Targets count before those of Root (TIM-06). */
  readonly partial: boolean;
}

/**
 * The time authority in the trusted metadata.
 * @returns codes `metadata-not-stored`, `time-unknown` when no time key is listed
 */
export function readTimeAuthority(options: TimeAuthorityOptions): RoleAuthority | Refusal {
  const { crypto, format, profile, store, partial } = options;
  const context = { crypto, format, profile, store, vehicleId: '', now: 0 };
  const root = loadRoot(context, 'director', partialRoles);
  if (isRefusal(root)) return root;
  if (partial) {
    const authority = requireAuthority(context, root, 'targets');
    const listed = isRefusal(authority) ? undefined : fromTargets(context, authority);
    if (listed !== undefined) return listed;
  }
  // TIM-05: the time source's key is in Director Root
  return (
    authorityOf(crypto, root, 'time', profile) ?? refuse('time-unknown', 'no time key', 'TIM-05')
  );
}

/** Keys of the verifier's own profile only: Targets name them for ECUs of every profile at once. */
function fromTargets(
  context: VerificationContext,
  authority: RoleAuthority,
): RoleAuthority | undefined {
  const { crypto, profile, store } = context;
  const stored = store.load('director', 'targets', authorityDigest(crypto, [authority]));
  if (stored === undefined) return undefined;
  const form = { role: 'targets', authority, maxBytes: maxDirectorTargetsBytes } as const;
  // HRD-15: verified again when loaded; its expiry is not what is judged here
  const opened = openSigned(context, targetsSchema, stored.bytes, {
    ...form,
    now: 0,
    row: 'HRD-15',
  });
  if (isRefusal(opened) || opened.value.timeKeys === undefined) return undefined;
  const { keys, threshold } = opened.value.timeKeys;
  const own = keys.filter((key) => profileAlgorithms[profile].indexOf(key.algorithm) >= 0);
  if (own.length === 0) return undefined;
  return { keys: own, keyIds: identify(crypto, own).map(({ id }) => id), threshold };
}
