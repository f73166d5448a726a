/**
 * Trusted metadata, as bytes, per repository and role, over the platform's key-value store. Every ECU
 * keeps the latest that its own verification accepted (PRI-14).
 *
 * Keys: `director/root` (version number of the trusted Root), `director/3.root` (that file, and
 * the ones before it), `director/timestamp`, `…/snapshot`, `…/targets`, `…/role/NAME` (delegated),
 * `…/targets-floor`, `director/offline-snapshot`, `director/offline/NAME-floor` (PURE-2).
 *
 * HRD-14: each change is one atomic write. The version number is what makes a new Root trusted. A
 * file of another role is stored together with a digest of the authority (key ids and thresholds)
 * that it was accepted under; under a Root that says otherwise it does not exist. So a new Root and
 * the deletion that it implies (CRT-07) cannot be torn apart by a power cut.
 */
import type { KeyValue } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import { bytes, decode, encode, tuple, unsigned } from '../codec/schema.ts';
import { isRefusal } from '../codes.ts';
import { maxRootsKept } from '../limits.ts';
import type { RepositoryName } from '../metadata/common.ts';

const maxStoredBytes = 4_194_304;
/** `[authority digest, version, file]`. */
const storedFile = tuple(bytes(32), unsigned, bytes(1, maxStoredBytes));
/** `[authority digest, version, SHA-256 of the payload]`. */
const storedFloor = tuple(bytes(32), unsigned, bytes(32));

const extension = '.cbor';
/** Roles whose file is asked for without knowing its version. */
const unversioned = ['timestamp', 'targets', 'offline-snapshot'];

export interface StoredFile {
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** The highest version seen of a file that was not kept (INS-08). */
export interface Floor {
  readonly version: number;
  readonly payloadSha256: Uint8Array;
}

/** The key of a delegated role; top-level roles are `timestamp`, `snapshot` and `targets`. */
export function delegatedKey(roleName: string): string {
  return `role/${roleName}`;
}

export class MetadataStore {
  private readonly keyValue: KeyValue;
  private readonly rootsKept: number;

  /** @param options.rootsKept how many Root versions stay readable (≥ 2); a Primary serves them */
  constructor(keyValue: KeyValue, options: { readonly rootsKept?: number } = {}) {
    this.keyValue = keyValue;
    this.rootsKept = options.rootsKept ?? maxRootsKept;
    if (this.rootsKept < 2) throw new RangeError('rootsKept: at least 2');
  }

  /** Version of the trusted Root; undefined before provisioning. */
  rootVersion(repository: RepositoryName): number | undefined {
    const stored = this.keyValue.read(`${repository}/root`);
    if (stored === undefined) return undefined;
    const version = decode(unsigned, stored, 16);
    return isRefusal(version) ? undefined : version;
  }

  /** Bytes of the trusted Root. */
  root(repository: RepositoryName): Uint8Array | undefined {
    const version = this.rootVersion(repository);
    return version === undefined ? undefined : this.readRoot(repository, version);
  }

  /** Makes a verified Root the trusted one. Also what provisioning calls with the first Root. */
  writeRoot(repository: RepositoryName, version: number, file: Uint8Array): void {
    // The oldest goes first: a cut then leaves no file that nobody would ever delete.
    if (version > this.rootsKept) {
      this.keyValue.delete(`${repository}/${version - this.rootsKept}.root`);
    }
    this.keyValue.write(`${repository}/${version}.root`, file);
    this.keyValue.write(`${repository}/root`, encode(unsigned, version));
  }

  /** The stored file of a role, unless it was accepted under another authority (CRT-07). */
  load(repository: RepositoryName, role: string, authority: Uint8Array): StoredFile | undefined {
    const stored = this.readFile(repository, role);
    if (stored === undefined || !sameBytes(stored[0], authority)) return undefined;
    return { version: stored[1], bytes: stored[2] };
  }

  /**
   * The newest file of a role that was ever stored, whatever authority it was accepted under: what
   * a report says that this ECU holds. Never a base to verify from.
   */
  newest(repository: RepositoryName, role: string): StoredFile | undefined {
    const stored = this.readFile(repository, role);
    return stored && { version: stored[1], bytes: stored[2] };
  }

  /** The highest version of a role that was verified and not kept, whatever the authority. */
  newestFloor(repository: RepositoryName, role: string): number {
    const stored = this.keyValue.read(`${repository}/${role}-floor`);
    const floor = stored && decode(storedFloor, stored, maxStoredBytes);
    return floor === undefined || isRefusal(floor) ? 0 : floor[1];
  }

  /** Stores a verified file. `authority` is the digest it may be loaded under. */
  write(
    repository: RepositoryName,
    role: string,
    version: number,
    file: Uint8Array,
    authority: Uint8Array,
  ): void {
    this.keyValue.write(`${repository}/${role}`, encode(storedFile, [authority, version, file]));
  }

  /** The highest version of `role` that was verified but not kept, under this authority. */
  floor(repository: RepositoryName, role: string, authority: Uint8Array): Floor | undefined {
    const stored = this.keyValue.read(`${repository}/${role}-floor`);
    if (stored === undefined) return undefined;
    const floor = decode(storedFloor, stored, maxStoredBytes);
    if (isRefusal(floor) || !sameBytes(floor[0], authority)) return undefined;
    return { version: floor[1], payloadSha256: floor[2] };
  }

  writeFloor(repository: RepositoryName, role: string, floor: Floor, authority: Uint8Array): void {
    const value = encode(storedFloor, [authority, floor.version, floor.payloadSha256]);
    this.keyValue.write(`${repository}/${role}-floor`, value);
  }

  /**
   * The stored bytes for a file name, for a Primary that serves Secondaries: `2.root.cbor`,
   * `timestamp.cbor`, `5.snapshot.cbor`, `3.targets.cbor`, `targets.cbor`, `1.brakes.cbor`,
   * `offline-snapshot.cbor`.
   * @returns undefined when there is no such file, or another version of it
   */
  read(repository: RepositoryName, fileName: string): Uint8Array | undefined {
    const end = fileName.length - extension.length;
    if (end < 1 || fileName.slice(end) !== extension) return undefined;
    const stem = fileName.slice(0, end);
    if (unversioned.indexOf(stem) >= 0) return this.readFile(repository, stem)?.[2];
    const dot = stem.indexOf('.');
    const version = dot < 1 ? undefined : parseVersion(stem.slice(0, dot));
    const role = stem.slice(dot + 1);
    if (version === undefined || role === '') return undefined;
    if (role === 'root') {
      const trusted = this.rootVersion(repository);
      if (trusted === undefined || version > trusted) return undefined;
      return this.readRoot(repository, version);
    }
    const topLevel = role === 'snapshot' || role === 'targets';
    const stored = this.readFile(repository, topLevel ? role : delegatedKey(role));
    return stored !== undefined && stored[1] === version ? stored[2] : undefined;
  }

  private readRoot(repository: RepositoryName, version: number): Uint8Array | undefined {
    return this.keyValue.read(`${repository}/${version}.root`);
  }

  private readFile(repository: RepositoryName, role: string) {
    const stored = this.keyValue.read(`${repository}/${role}`);
    if (stored === undefined) return undefined;
    const file = decode(storedFile, stored, maxStoredBytes);
    // A record that does not decode is a broken one: as good as absent.
    return isRefusal(file) ? undefined : file;
  }
}

/** A version number in its one decimal form, without sign or leading zeros. */
function parseVersion(text: string): number | undefined {
  if (text.length > 16 || (text.length > 1 && text.charAt(0) === '0')) return undefined;
  let version = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return undefined;
    version = version * 10 + digit;
  }
  return version <= Number.MAX_SAFE_INTEGER ? version : undefined;
}
