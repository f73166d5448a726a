/**
 * The doorbell (docs/POUF.md §2.6): what a broker holds for a vehicle, and where. A hint and nothing
 * else: it is not signed, and all that it can bring about is that a Primary asks the Director now.
 */
import { field, type Infer, record } from '../codec/schema.ts';
import { versionNumber } from './common.ts';

export const doorbell = record({
  /** Version of the vehicle's newest Director Timestamp. */
  timestampVersion: field(1, versionNumber),
});

/** A vehicle's name as a client of the broker, the common name of its certificate (§2.5). */
export const doorbellClient = (vehicleId: string): string => `vehicle:${vehicleId}`;

/** The one topic that a vehicle may read. An identifier holds no slash and no wildcard. */
export const doorbellTopic = (vehicleId: string): string => `ota/${doorbellClient(vehicleId)}`;

export type Doorbell = Infer<typeof doorbell>;
