/**
 * What an ECU holds of the Director's metadata, for its version report: a Director that was restored
 * from a backup learns from it which versions and releases it must not go below (DIR-15, MET-07).
 */
import type { Crypto } from '../../hal/types.ts';
import { decodeEnvelope } from '../codec/cose-sign.ts';
import { decode } from '../codec/schema.ts';
import { isRefusal } from '../codes.ts';
import type { HeldMetadata } from '../metadata/report.ts';
import { type Target, targets as targetsSchema } from '../metadata/targets.ts';
import type { MetadataStore } from './metadata-store.ts';

/** What `store` holds, with the release that its Director Targets name for `ecuId`. */
export function readHeldMetadata(
  store: MetadataStore,
  crypto: Crypto,
  ecuId: string,
): HeldMetadata | undefined {
  const timestamp = store.newest('director', 'timestamp');
  const snapshot = store.newest('director', 'snapshot');
  const targets = store.newest('director', 'targets');
  if (timestamp === undefined && snapshot === undefined && targets === undefined) return undefined;
  const floor = Math.max(targets?.version ?? 0, store.newestFloor('director', 'targets'));
  const entry = targets && entryIn(targets.bytes, ecuId);
  return {
    ...(timestamp && { timestamp: timestamp.version }),
    ...(snapshot && { snapshot: snapshot.version }),
    ...(floor > 0 ? { targets: floor } : {}),
    ...(entry && { releaseCounter: entry.mustMatch.releaseCounter }),
    ...(timestamp && { timestampSha256: crypto.digest('SHA-256', timestamp.bytes) }),
  };
}

/** The file was verified when it was stored; one that no longer opens names no release. */
function entryIn(file: Uint8Array, ecuId: string): Target | undefined {
  const envelope = decodeEnvelope(file, file.length);
  if (isRefusal(envelope)) return undefined;
  const targets = decode(targetsSchema, envelope.payload, envelope.payload.length);
  if (isRefusal(targets)) return undefined;
  return targets.targets.filter(({ assignment }) => assignment?.ecuId === ecuId)[0];
}
