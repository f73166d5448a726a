/**
 * The keys that live on the server (DBP-01): Director Targets, Snapshot, Timestamp and time, Image
 * repository Snapshot and Timestamp, and the key to which content keys are sealed. The keys of Root
 * and of the Image repository's Targets never do.
 */
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import type { Domain } from '../../agent/codec/cose-sign.ts';
import { sameBytes } from '../../agent/codec/reader.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { unwrapContentKey } from '../../agent/crypto/key-wrap.ts';
import { type Signer, signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import type { RepositoryName, RoleName } from '../../agent/metadata/common.ts';
import type { WrapContext } from '../../agent/metadata/key-object.ts';
import type { Root } from '../../agent/metadata/root.ts';
import { type KeyPair, signerOf } from '../../hal/node/signing.ts';
import type { Crypto } from '../../hal/types.ts';
import { roleAuthority } from './root-trust.ts';

const signingKeys = {
  'director-targets': { repository: 'director', role: 'targets' },
  'director-snapshot': { repository: 'director', role: 'snapshot' },
  'director-timestamp': { repository: 'director', role: 'timestamp' },
  'director-time': { repository: 'director', role: 'time' },
  'images-snapshot': { repository: 'images', role: 'snapshot' },
  'images-timestamp': { repository: 'images', role: 'timestamp' },
} as const satisfies Record<string, { repository: RepositoryName; role: RoleName }>;

const wrappingKeyName = 'director-wrapping';

export type SigningKeyName = keyof typeof signingKeys;
export type OnlineKeyName = SigningKeyName | typeof wrappingKeyName;
export type Roots = Readonly<Record<RepositoryName, Root>>;

/** Where key pairs come from: key files, or memory in a test. */
export type KeySource = (name: OnlineKeyName) => KeyPair | Refusal;

const signingKeyNames = Object.keys(signingKeys) as SigningKeyName[];

export const onlineKeyNames: readonly OnlineKeyName[] = [...signingKeyNames, wrappingKeyName];

export class OnlineKeys {
  private readonly crypto: Crypto;
  private readonly source: KeySource;
  private signers: ReadonlyMap<SigningKeyName, Signer> = new Map();
  private wrapping: KeyPair | undefined;

  constructor(crypto: Crypto, source: KeySource) {
    this.crypto = crypto;
    this.source = source;
  }

  /**
   * Makes sure that the keys in use are those that `roots` name; reads the key files again where
   * they are not, which is how online keys are rotated. Nothing changes on a refusal.
   * @returns the source's refusal, or `key-file-invalid` for a key that a Root does not name
   */
  fit(roots: Roots): Refusal | undefined {
    if (this.wrapping !== undefined && this.misfit(this.signers, roots) === undefined) {
      return undefined;
    }
    const signers = new Map<SigningKeyName, Signer>();
    for (const name of signingKeyNames) {
      const pair = this.source(name);
      if (isRefusal(pair)) return pair;
      if (pair.key.algorithm === 'MLKEM768-P256') {
        return refuse('key-file-invalid', `${name}: not a signature key`);
      }
      signers.set(name, signerOf(pair));
    }
    const wrapping = this.source(wrappingKeyName);
    if (isRefusal(wrapping)) return wrapping;
    if (wrapping.key.algorithm !== 'MLKEM768-P256') {
      return refuse('key-file-invalid', `${wrappingKeyName}: not a wrapping key`);
    }
    const misfit = this.misfit(signers, roots);
    if (misfit !== undefined) return misfit;
    this.signers = signers;
    this.wrapping = wrapping;
    return undefined;
  }

  /** Signs a document by one online key. */
  sign(name: SigningKeyName, domain: Domain, payload: Uint8Array): Uint8Array {
    const signer = this.signers.get(name);
    if (signer === undefined) throw new Error(`${name}: used before the online keys were loaded`);
    return signEnvelope(this.crypto, [signer], domain, payload);
  }

  /** The public key to which content keys are sealed. */
  get wrappingKey(): PublicKey {
    return this.loadedWrapping().key;
  }

  /** Opens a content key that was sealed to `wrappingKey`. Codes of `unwrapContentKey`. */
  unseal(sealed: Uint8Array, context: WrapContext): Uint8Array | Refusal {
    return unwrapContentKey(this.crypto, this.loadedWrapping().secret, sealed, context);
  }

  private loadedWrapping(): KeyPair {
    if (this.wrapping === undefined) throw new Error('used before the online keys were loaded');
    return this.wrapping;
  }

  private misfit(signers: ReadonlyMap<SigningKeyName, Signer>, roots: Roots): Refusal | undefined {
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
