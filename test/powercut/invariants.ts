/** What holds after any cut: what runs is whole, the counter fits it, trusted metadata never goes back. */
import type { ManagedEcu } from '../../agent/ecu/managed-ecu.ts';
import type { RepositoryName } from '../../agent/metadata/common.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import type { Boot, KeyValue } from '../../hal/types.ts';
import { Broken, HalfImage, imageOf } from './world.ts';

/** What can never be less after a cut than it was before. */
export interface Floors {
  readonly rootVersions: Readonly<Record<RepositoryName, number>>;
  /** Versions of the other roles, as they were accepted. */
  readonly versions: Readonly<Record<string, number>>;
}

/** What runs is one of the releases, to the last bit. */
export function checkImage(program: Uint8Array, release: number): void {
  if (Buffer.compare(program, imageOf(release).plaintext) !== 0) throw new HalfImage(release);
}

export function checkHosted(ecu: ManagedEcu): void {
  const image = ecu.running!;
  if (ecu.damage !== undefined) throw new Broken('bricked', `hosted: ${ecu.damage.detail}`);
  const content = new Uint8Array(image.length);
  ecu.slots[ecu.boot.status().active]!.read(content, 0);
  checkImage(content, image.releaseCounter);
  checkCounter(ecu.boot);
}

/** HRD-04: the counter never exceeds what the bootable image satisfies. */
export function checkCounter(boot: Boot): void {
  const { counter, confirmed, slots } = boot.status();
  if (counter > slots[confirmed]!.releaseCounter) {
    throw new Broken('bricked', `counter ${counter} above the confirmed release`);
  }
}

/** Trusted metadata never goes back. */
export function checkFloors(found: Floors, minimum: Floors): void {
  for (const repository of ['director', 'images'] as const) {
    if (found.rootVersions[repository] < minimum.rootVersions[repository]) {
      throw new Broken('lost', `Root of ${repository} went back`);
    }
  }
  for (const [role, version] of Object.entries(minimum.versions)) {
    if ((found.versions[role] ?? 0) < version) throw new Broken('lost', `${role} went back`);
  }
}

const keptRoles = ['timestamp', 'snapshot', 'targets'];

/** What the store trusts now. */
export function floorsOf(keyValue: KeyValue): Floors {
  const store = new MetadataStore(keyValue);
  const rootVersions = {
    director: store.rootVersion('director') ?? 0,
    images: store.rootVersion('images') ?? 0,
  };
  const versions: Record<string, number> = {};
  for (const repository of ['director', 'images'] as const) {
    for (const role of keptRoles) {
      const version = store.newest(repository, role)?.version;
      if (version !== undefined) versions[`${repository}/${role}`] = version;
    }
  }
  return { rootVersions, versions };
}
