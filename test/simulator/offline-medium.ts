/**
 * A medium with an offline update, over a simulator: the same repositories, with the Director's
 * offline roles. Plain mutable objects; the next fetch serves what they say, signed.
 */
import { encode } from '../../agent/codec/schema.ts';
import { signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { roles } from '../../agent/metadata/common.ts';
import {
  type OfflineAssignment,
  type OfflineSnapshot,
  type OfflineTargets,
  offlineSnapshot,
  offlineTargets,
} from '../../agent/metadata/offline.ts';
import type { FileRequest } from '../../agent/verify/verification.ts';
import {
  type RepositorySimulator,
  type SimulatedImage,
  vehicleId,
} from './repository-simulator.ts';
import { crypto, type Mutable } from './simulated-repository.ts';

export class OfflineMedium {
  readonly sim: RepositorySimulator;
  snapshot: Mutable<OfflineSnapshot>;
  campaign: Mutable<OfflineTargets>;
  /** Versions that the Offline Snapshot lists of other campaigns, or instead of the real one. */
  readonly listed: Record<string, number | undefined> = {};
  /** Served instead of the real file, by `repository/name`; undefined: not on the medium. */
  readonly overrides: Record<string, Uint8Array | undefined> = {};
  requests: string[] = [];

  constructor(sim: RepositorySimulator) {
    this.sim = sim;
    const common = { formatVersion: 1, version: 1, expires: sim.director.root.expires } as const;
    this.snapshot = { type: roles['offline-snapshot'], ...common, versions: [] };
    this.campaign = {
      type: roles['offline-targets'],
      ...common,
      name: 'recall',
      targets: [],
      assignments: [],
    };
  }

  /** Adds an image for one ECU: to the Image repository, and to the campaign. */
  assign(
    ecuId: string,
    image: SimulatedImage,
    owner: string = vehicleId,
  ): Mutable<OfflineAssignment> {
    const { images } = this.sim;
    const target = this.sim.target(image);
    images.targets.targets = images.targets.targets
      .filter((other) => other.filename !== image.filename)
      .concat(target);
    images.release();
    const { assignment } = this.sim.assigned(target, ecuId);
    const { keyObjectSha256, keyObjectLength } = assignment!;
    const entry = {
      vehicleId: owner,
      ecuId,
      target: this.campaign.targets.length,
      keyObjectSha256,
      keyObjectLength,
    };
    this.campaign.targets = this.campaign.targets.concat(target);
    this.campaign.assignments = this.campaign.assignments.concat(entry);
    return entry;
  }

  /** The next edition of the campaign and of the Offline Snapshot. */
  release(): void {
    this.campaign.version += 1;
    this.snapshot.version += 1;
  }

  fetch({ repository, name }: FileRequest): Uint8Array | undefined {
    const path = `${repository}/${name}`;
    this.requests.push(path);
    if (path in this.overrides) return this.overrides[path];
    if (path === 'director/offline-snapshot.cbor') return this.snapshotFile();
    if (path === 'director/offline-targets.cbor') return this.campaignFile();
    const wanted = path === 'images/snapshot.cbor' ? '1.snapshot.cbor' : name;
    return this.sim.repository(repository).fetch(wanted);
  }

  snapshotFile(by = this.sim.director.signers['offline-snapshot']): Uint8Array {
    const versions = { [this.campaign.name]: this.campaign.version, ...this.listed };
    const listed = Object.keys(versions).filter((name) => versions[name] !== undefined);
    this.snapshot.versions = listed.map((name) => ({ key: name, value: versions[name]! }));
    return signEnvelope(crypto, by, 'metadata', encode(offlineSnapshot, this.snapshot));
  }

  campaignFile(by = this.sim.director.signers['offline-targets']): Uint8Array {
    return signEnvelope(crypto, by, 'metadata', encode(offlineTargets, this.campaign));
  }
}
