/**
 * What the Primary has to remember of a bundle across restarts (docs/SPEC.md §6): which it is, how
 * far its installation has come, which ECUs have failed, and to which ECUs the end of a held trial
 * is still to be told. One value, written at once, so that a decision and those who are owed it are
 * never apart.
 */
import type { Crypto, KeyValue } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import {
  array,
  boolean,
  bytes,
  decode,
  encode,
  field,
  type Infer,
  named,
  record,
  text,
  tuple,
  unsigned,
} from '../codec/schema.ts';
import { isRefusal } from '../codes.ts';
import { maxEcusPerVehicle } from '../limits.ts';
import { identifier, sha256 } from '../metadata/common.ts';
import { bundlePolicy, installStepOf, type Target } from '../metadata/targets.ts';
import type { Decision } from '../verify/verification.ts';

const key = 'bundle';

/**
 * `installing`: nothing is on a held trial. `activating`: Secondaries begin held trials.
 * `own-trial`: all Secondaries have passed, the Primary restarts into its own. `stopped`: an ECU
 * has failed for good. `declined`: consent was refused. The last two end with another bundle.
 */
export const bundlePhases = {
  installing: 1,
  activating: 2,
  'own-trial': 3,
  stopped: 4,
  declined: 5,
} as const;
export type BundlePhase = keyof typeof bundlePhases;

const member = record({ ecuId: field(1, identifier), releaseCounter: field(2, unsigned) });

export const bundleRecord = record({
  id: field(1, sha256),
  phase: field(2, named(bundlePhases)),
  /** ECUs that restart into their images: on held trials, or the Primary's own. */
  members: field(3, array(member, 0, maxEcusPerVehicle)),
  /** How often an ECU has failed, and how the last time. */
  failures: field(
    4,
    array(
      record({ ecuId: field(1, identifier), count: field(2, unsigned), code: field(3, text(48)) }),
      0,
      maxEcusPerVehicle,
    ),
  ),
  /** Two-phase rounds that ended with a return to the old images. */
  rounds: field(5, unsigned),
  /** How many there may be, by the policy of the bundle. */
  attempts: field(7, unsigned),
  /** Decided trials whose ECUs do not know yet. */
  owed: field(
    6,
    array(
      record({
        ecuId: field(1, identifier),
        releaseCounter: field(2, unsigned),
        commit: field(3, boolean),
      }),
      0,
      maxEcusPerVehicle,
    ),
  ),
});

export type BundleRecord = Infer<typeof bundleRecord>;
export type BundleMember = Infer<typeof member>;
export type OwedDecision = BundleRecord['owed'][number];

/** An ECU that restarts into the image of `target`. */
export function memberOf({ assignment, mustMatch }: Target): BundleMember {
  return { ecuId: assignment!.ecuId, releaseCounter: mustMatch.releaseCounter };
}

const identity = tuple(
  bundlePolicy,
  array(tuple(identifier, bytes(32), unsigned), 0, maxEcusPerVehicle),
);

/**
 * What a bundle is: its policy and, for each ECU, key object and step. Metadata that is merely
 * signed anew has the same; an assignment made again has new key objects, so it is another bundle.
 */
export function bundleId(crypto: Crypto, { bundle, policy }: Decision): Uint8Array {
  const entries = bundle
    .map((target) => {
      const { ecuId, keyObjectSha256 } = target.assignment!;
      return [ecuId, keyObjectSha256, installStepOf(target)] as const;
    })
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return crypto.digest('SHA-256', encode(identity, [policy, entries] as const));
}

export class BundleState {
  private readonly keyValue: KeyValue;
  private stored: BundleRecord | undefined;

  constructor(keyValue: KeyValue) {
    this.keyValue = keyValue;
    const value = keyValue.read(key);
    const found = value === undefined ? undefined : decode(bundleRecord, value, value.length);
    this.stored = isRefusal(found) ? undefined : found;
  }

  /** The last bundle that was begun; undefined before the first. */
  get record(): BundleRecord | undefined {
    return this.stored;
  }

  /** The record of the bundle with this id, begun anew when it is another than the last. */
  open(id: Uint8Array, attempts: number): BundleRecord {
    const { stored } = this;
    if (stored !== undefined && sameBytes(stored.id, id)) return stored;
    const fresh = {
      id,
      phase: bundlePhases.installing,
      members: [],
      failures: [],
      rounds: 0,
      attempts,
    };
    return this.write({ ...fresh, owed: stored?.owed ?? [] });
  }

  /** Durable when it returns. */
  change(changes: Partial<Omit<BundleRecord, 'id'>>): BundleRecord {
    if (this.stored === undefined) throw new Error('change: no bundle was begun');
    return this.write({ ...this.stored, ...changes });
  }

  /** One more failure of an ECU; how many it are now. */
  countFailure(ecuId: string, code: string): number {
    const { failures } = this.stored!;
    const count = 1 + (failures.filter((one) => one.ecuId === ecuId)[0]?.count ?? 0);
    const others = failures.filter((one) => one.ecuId !== ecuId);
    this.change({ failures: [...others, { ecuId, count, code }] });
    return count;
  }

  private write(value: BundleRecord): BundleRecord {
    this.keyValue.write(key, encode(bundleRecord, value));
    this.stored = value;
    return value;
  }
}
