/** Snapshot metadata (Uptane §5.2.4): the version of every Targets file of the repository. */
import { dictionary, field, type Infer, named, optional, record } from '../codec/schema.ts';
import { maxRolesPerSnapshot } from '../limits.ts';
import {
  formatVersion,
  identifier,
  roleName,
  roles,
  unixSeconds,
  versionNumber,
} from './common.ts';

export const snapshot = record({
  type: field(1, named({ snapshot: roles.snapshot })),
  formatVersion: field(2, formatVersion),
  version: field(3, versionNumber),
  expires: field(4, unixSeconds),
  vehicleId: optional(5, identifier),
  /** Role name (`targets` for the top level) to version. */
  versions: field(10, dictionary(roleName, versionNumber, 1, maxRolesPerSnapshot)),
});

export type Snapshot = Infer<typeof snapshot>;
