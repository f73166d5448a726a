/**
 * The keys that live on the server (DBP-01): Director Targets, Snapshot, Timestamp and time, Image
 * repository Snapshot and Timestamp, and the key to which content keys are sealed. The keys of Root
 * and of the Image repository's Targets never do.
 */
import { randomBytes } from 'node:crypto';
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import type { Domain } from '../../agent/codec/cose-sign.ts';
import { sameBytes } from '../../agent/codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { prepareBatch } from '../../agent/crypto/sign-batch.ts';
import { prepareEnvelope, type Unsigned } from '../../agent/crypto/sign-envelope.ts';
import type { RepositoryName, RoleName } from '../../agent/metadata/common.ts';
import type { WrapContext } from '../../agent/metadata/key-object.ts';
import type { Root } from '../../agent/metadata/root.ts';
import type { Crypto } from '../../hal/types.ts';
import type { Metrics } from '../metrics.ts';
import { roleAuthority } from './root-trust.ts';

const signingKeys = {
  'director-targets': { repository: 'director', role: 'targets' },
  'director-snapshot': { repository: 'director', role: 'snapshot' },
  'director-timestamp': { repository: 'director', role: 'timestamp' },
  'director-time': { repository: 'director', role: 'time' },
  'images-snapshot': { repository: 'images', role: 'snapshot' },
  'images-timestamp': { repository: 'images', role: 'timestamp' },
} as const satisfies Record<string, { repository: RepositoryName; role: RoleName }>;

export const wrappingKeyName = 'director-wrapping';

/** Salts and batch ids (docs/POUF.md §3.4). */
const merkleSaltBytes = 16;

export type SigningKeyName = keyof typeof signingKeys;
export type OnlineKeyName = SigningKeyName | typeof wrappingKeyName;
export type Roots = Readonly<Record<RepositoryName, Root>>;

/** Signs by one online key, here or in a device. */
export interface OnlineSigner {
  readonly key: PublicKey;
  /** Signs the bytes of a Sig_structure. Rejects with `SignerUnavailable`. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** What signs does not answer, or too slowly: the same may go well in a while. */
export class SignerUnavailable extends Error {
  readonly code = 'signer-unavailable';
}

/** What comes of `work`; code `signer-unavailable` where what signs did not answer. */
export async function unlessUnavailable<T>(work: Promise<T>): Promise<T | Refusal> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof SignerUnavailable) return refuse(error.code, error.message);
    throw error;
  }
}

/**
 * Where the online keys live. A provider uses them and need not be able to show them: files with a
 * passphrase (`key-pairs.ts`), or a device that signs by itself.
 */
export interface KeyProvider {
  /** A signer with this key as it is now; asked again when a Root names another one. */
  signer(name: SigningKeyName): Promise<OnlineSigner | Refusal>;
  /** The key to which content keys are sealed. */
  wrapping(): Promise<Unwrapper | Refusal>;
}

/** Opens what was sealed to `key`. */
export interface Unwrapper {
  readonly key: PublicKey;
  /** Codes of `unwrapContentKey`. */
  unwrap(sealed: Uint8Array, context: WrapContext): Uint8Array | Refusal;
}

const signingKeyNames = Object.keys(signingKeys) as SigningKeyName[];

export const onlineKeyNames: readonly OnlineKeyName[] = [...signingKeyNames, wrappingKeyName];

export class OnlineKeys {
  private readonly crypto: Crypto;
  private readonly provider: KeyProvider;
  private readonly metrics: Metrics;
  private signers: ReadonlyMap<SigningKeyName, OnlineSigner> = new Map();
  private wrapping: Unwrapper | undefined;

  constructor(crypto: Crypto, provider: KeyProvider, metrics: Metrics) {
    this.crypto = crypto;
    this.provider = provider;
    this.metrics = metrics;
  }

  /**
   * Makes sure that the keys in use are those that `roots` name; reads the key files again where
   * they are not, which is how online keys are rotated. Nothing changes on a refusal.
   * @returns the source's refusal, or `key-file-invalid` for a key that a Root does not name
   */
  async fit(roots: Roots): Promise<Refusal | undefined> {
    if (this.wrapping !== undefined && this.misfit(this.signers, roots) === undefined) {
      return undefined;
    }
    const signers = new Map<SigningKeyName, OnlineSigner>();
    for (const name of signingKeyNames) {
      const signer = await this.provider.signer(name);
      if (isRefusal(signer)) return signer;
      signers.set(name, signer);
    }
    const wrapping = await this.provider.wrapping();
    if (isRefusal(wrapping)) return wrapping;
    const misfit = this.misfit(signers, roots);
    if (misfit !== undefined) return misfit;
    this.signers = signers;
    this.wrapping = wrapping;
    return undefined;
  }

  /** Signs a document by one online key. Rejects with `SignerUnavailable`. */
  async sign(name: SigningKeyName, domain: Domain, payload: Uint8Array): Promise<Uint8Array> {
    const signer = this.signerOf(name);
    const unsigned = prepareEnvelope(this.crypto, [signer.key], domain, payload);
    const bytes = await finish(signer, unsigned);
    this.metrics.signatures.inc({ form: 'plain' });
    this.metrics.documentsSigned.inc({ form: 'plain' });
    return bytes;
  }

  /**
   * Signs metadata documents of one role by one online key: several by one signature in Merkle form
   * (docs/POUF.md §3.4), a single one plainly. Rejects with `SignerUnavailable`.
   * @param role number of the role type that every payload states
   * @param expires unix seconds: when the last of the payloads expires
   */
  async signTogether(
    name: SigningKeyName,
    role: number,
    expires: number,
    payloads: readonly Uint8Array[],
  ): Promise<Uint8Array[]> {
    if (payloads.length < 2) {
      return Promise.all(payloads.map((one) => this.sign(name, 'metadata', one)));
    }
    const batchId = randomBytes(merkleSaltBytes);
    const salts = randomBytes(merkleSaltBytes * payloads.length);
    const documents = payloads.map((payload, i) => ({
      payload,
      salt: salts.subarray(i * merkleSaltBytes, (i + 1) * merkleSaltBytes),
    }));
    const signer = this.signerOf(name);
    const options = { role, batchId, expires };
    const signed = await finish(
      signer,
      prepareBatch(this.crypto, [signer.key], documents, options),
    );
    this.metrics.signatures.inc({ form: 'merkle' });
    this.metrics.documentsSigned.inc({ form: 'merkle' }, payloads.length);
    return signed;
  }

  private signerOf(name: SigningKeyName): OnlineSigner {
    const signer = this.signers.get(name);
    if (signer === undefined) throw new Error(`${name}: used before the online keys were loaded`);
    return signer;
  }

  /** The public key to which content keys are sealed. */
  get wrappingKey(): PublicKey {
    return this.loadedWrapping().key;
  }

  /** Opens a content key that was sealed to `wrappingKey`. Codes of `unwrapContentKey`. */
  unseal(sealed: Uint8Array, context: WrapContext): Uint8Array | Refusal {
    return this.loadedWrapping().unwrap(sealed, context);
  }

  private loadedWrapping(): Unwrapper {
    if (this.wrapping === undefined) throw new Error('used before the online keys were loaded');
    return this.wrapping;
  }

  private misfit(
    signers: ReadonlyMap<SigningKeyName, OnlineSigner>,
    roots: Roots,
  ): Refusal | undefined {
    for (const name of signingKeyNames) {
      const { repository, role } = signingKeys[name];
      const authority = roleAuthority(this.crypto, roots[repository], role);
      if (isRefusal(authority)) return authority;
      const key = signers.get(name)?.key;
      const listed = authority.keys.some(
        (other) =>
          key !== undefined &&
          other.algorithm === key.algorithm &&
          sameBytes(other.bytes, key.bytes),
      );
      if (!listed) {
        const version = roots[repository].version;
        return refuse('key-file-invalid', `${name}: not a key of ${repository} Root ${version}`);
      }
      // One signature is made online; a higher threshold could never be met here.
      if (authority.threshold !== 1) {
        return refuse('root-threshold', `${repository} ${role}: online roles take threshold 1`);
      }
    }
    return undefined;
  }
}

async function finish<T>(signer: OnlineSigner, unsigned: Unsigned<T>): Promise<T> {
  return unsigned.finish([await signer.sign(unsigned.messages[0]!)]);
}
