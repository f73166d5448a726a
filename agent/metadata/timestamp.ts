/** Timestamp metadata (Uptane §5.2.5): which Snapshot is the latest. */
import { field, type Infer, named, optional, record, unsigned } from '../codec/schema.ts';
import { formatVersion, hashes, identifier, roles, unixSeconds, versionNumber } from './common.ts';

export const timestamp = record({
  type: field(1, named({ timestamp: roles.timestamp })),
  formatVersion: field(2, formatVersion),
  version: field(3, versionNumber),
  expires: field(4, unixSeconds),
  /** Director only: the one vehicle this was made for (HRD-01). */
  vehicleId: optional(5, identifier),
  snapshot: field(
    10,
    record({
      version: field(1, versionNumber),
      length: field(2, unsigned),
      hashes: field(3, hashes),
    }),
  ),
});

export type Timestamp = Infer<typeof timestamp>;
