/**
 * What vehicles find in the Image repository, by their own search through its delegations
 * (Uptane §5.4.4.7): the Director assigns nothing that no vehicle would accept.
 */
import { isRefusal } from '../../agent/codes.ts';
import { maxSnapshotBytes } from '../../agent/limits.ts';
import { snapshot as snapshotSchema } from '../../agent/metadata/snapshot.ts';
import type { Target } from '../../agent/metadata/targets.ts';
import { cborMetadata } from '../../agent/verify/cbor-metadata.ts';
import { DelegationSearch } from '../../agent/verify/delegations.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import type { Services } from '../services.ts';
import { latestImageMetadata } from '../store/metadata.ts';
import { storedDocument } from '../store/stored-document.ts';
import { currentTargets } from './listing.ts';

/** A verifier that has seen nothing before: versions are the repository's own affair. */
const nothingStored = { read: () => undefined, write: () => undefined, delete: () => undefined };

export class ImageSearch {
  private readonly services: Services;
  /** Undefined before the first release. */
  private readonly search: DelegationSearch | undefined;

  private constructor(services: Services, search?: DelegationSearch) {
    this.services = services;
    this.search = search;
  }

  /** Over the current release; each file is verified once, however many images are sought. */
  static async open(services: Services): Promise<ImageSearch> {
    const top = await currentTargets(services, 'targets');
    const row = await services.database.one(latestImageMetadata, 'snapshot');
    if (top === undefined || row === undefined) return new ImageSearch(services);
    const snapshot = storedDocument(snapshotSchema, row.bytes, maxSnapshotBytes, 'snapshot');
    const context = {
      crypto: services.crypto,
      format: cborMetadata,
      profile: 'composite',
      // Files of the Image repository are for every vehicle.
      vehicleId: '',
      store: new MetadataStore(nothingStored),
      now: services.now(),
    } as const;
    return new ImageSearch(services, new DelegationSearch(context, snapshot, top));
  }

  /** The entry of a filename for this hardware; undefined when a vehicle would find none (TGT-01). */
  async find(filename: string, hardwareId: string): Promise<Target | undefined> {
    const { database } = this.services;
    for (;;) {
      const found = this.search?.find(filename, hardwareId);
      if (found === undefined || isRefusal(found)) return undefined;
      if ('target' in found) return found.target;
      const role = found.request.name.replace(/^\d+\.|\.cbor$/g, '');
      const row = await database.one(latestImageMetadata, role);
      if (isRefusal(this.search?.supply(row?.bytes))) return undefined;
    }
  }
}
