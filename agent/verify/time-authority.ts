/** Who attests time: Director Root, or for partial verifiers Director Targets (TIM-05, TIM-06). */
import type { Crypto } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
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
  const found = findTimeAuthority(options);
  // In memory of its own: what was decoded is a view into its file, which would stay as long.
  return isRefusal(found)
    ? found
    : {
        keys: found.keys.map((key) => ({ ...key, bytes: key.bytes.slice() })),
        keyIds: found.keyIds.map((id) => id.slice()),
        threshold: found.threshold,
      };
}

function findTimeAuthority(options: TimeAuthorityOptions): RoleAuthority | Refusal {
  const { crypto, format, profile, store, partial } = options;
  const context = { crypto, format, profile, store, vehicleId: '', now: 0 };
  const root = loadRoot(context, 'director', partialRoles);
  if (isRefusal(root)) return root;
  // TIM-05: the time source's key is in Director Root
  const ofRoot = authorityOf(crypto, root, 'time', profile);
  if (isRefusal(ofRoot)) return ofRoot;
  if (partial) {
    const authority = requireAuthority(context, root, 'targets');
    const listed = isRefusal(authority) ? undefined : fromTargets(context, authority, ofRoot);
    if (listed !== undefined) return listed;
  }
  return ofRoot ?? refuse('time-unknown', 'no time key', 'TIM-05');
}

/**
 * Keys of the verifier's own profile only: Targets name them for ECUs of every profile at once.
 *
 * Where the Root names time keys too, those of Targets count as far as the Root names them: stored
 * Targets may be of before a rotation that the Root tells of (an ECU that was off for long would
 * wait for a time of the old key for ever), and a stolen Targets key must not make a time key.
 */
function fromTargets(
  context: VerificationContext,
  authority: RoleAuthority,
  ofRoot: RoleAuthority | undefined,
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
  const known = (id: Uint8Array) => ofRoot?.keyIds.some((one) => sameBytes(one, id)) ?? true;
  const ofProfile = keys.filter((key) => profileAlgorithms[profile].indexOf(key.algorithm) >= 0);
  const own = identify(crypto, ofProfile).filter(({ id }) => known(id));
  const needed = Math.max(threshold, ofRoot?.threshold ?? 1);
  if (own.length < needed) return undefined;
  return { keys: own.map(({ key }) => key), keyIds: own.map(({ id }) => id), threshold: needed };
}
