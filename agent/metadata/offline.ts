/**
 * Metadata of offline updates (PURE-2; docs/POUF.md §5): the Director's Offline Snapshot and Offline
 * Targets. One Offline Targets file is one campaign, for any number of vehicles; both files are
 * signed by keys that never are on the server (OFF-01).
 */
import { array, dictionary, field, type Infer, named, record, unsigned } from '../codec/schema.ts';
import {
  maxOfflineAssignments,
  maxOfflineTargetsFiles,
  maxTargetsPerOfflineFile,
} from '../limits.ts';
import {
  formatVersion,
  identifier,
  roleName,
  roles,
  sha256,
  unixSeconds,
  versionNumber,
} from './common.ts';
import { target } from './targets.ts';

/** OFF-02: name and version of every Offline Targets file. */
export const offlineSnapshot = record({
  type: field(1, named({ 'offline-snapshot': roles['offline-snapshot'] })),
  formatVersion: field(2, formatVersion),
  version: field(3, versionNumber),
  expires: field(4, unixSeconds),
  versions: field(10, dictionary(roleName, versionNumber, 1, maxOfflineTargetsFiles)),
});

/** Which ECU of which vehicle gets which image, and the key object made for it (OFF-06). */
export const offlineAssignment = record({
  vehicleId: field(1, identifier),
  ecuId: field(2, identifier),
  /** Position in `targets`, from 0. */
  target: field(3, unsigned),
  keyObjectSha256: field(4, sha256),
  keyObjectLength: field(5, unsigned),
});

/** OFF-02: there is no field for delegations, so a file that delegates is refused as malformed. */
export const offlineTargets = record({
  type: field(1, named({ 'offline-targets': roles['offline-targets'] })),
  formatVersion: field(2, formatVersion),
  version: field(3, versionNumber),
  expires: field(4, unixSeconds),
  /** The name under which the Offline Snapshot lists this file. */
  name: field(6, roleName),
  /** As the Image repository lists them; never with an assignment of their own. */
  targets: field(10, array(target, 1, maxTargetsPerOfflineFile)),
  assignments: field(11, array(offlineAssignment, 1, maxOfflineAssignments)),
});

export type OfflineSnapshot = Infer<typeof offlineSnapshot>;
export type OfflineTargets = Infer<typeof offlineTargets>;
export type OfflineAssignment = Infer<typeof offlineAssignment>;
