/** Makes Merkle batches: many documents, one signature of each signer (docs/POUF.md §3.4). */
import type { Crypto } from '../../hal/types.ts';
import { algorithms, type PublicKey } from '../codec/cose-key.ts';
import {
  type Envelope,
  envelopeBytes,
  merkleRoot,
  type Signature,
  signatureHeader,
  signatureStructure,
  writeEnvelope,
  writeStructureStart,
} from '../codec/cose-sign.ts';
import { encode } from '../codec/schema.ts';
import { Writer } from '../codec/writer.ts';
import { keyId } from './key-id.ts';
import { treeOf } from './merkle.ts';
import { finishWith, type Signer, type Unsigned } from './sign-envelope.ts';

export interface BatchOptions {
  /** Number of the role type that every document of the batch states. */
  readonly role: number;
  /** 16 bytes that name the batch. */
  readonly batchId: Uint8Array;
  /** Unix seconds after which no verifier accepts the batch. */
  readonly expires: number;
}

/** One document of a batch with 16 random bytes of its own, which hide it from the others. */
export interface BatchDocument {
  readonly payload: Uint8Array;
  readonly salt: Uint8Array;
}

/** Signs a batch as `prepareBatch` prepares it. */
export function signBatch(
  crypto: Crypto,
  signers: readonly Signer[],
  documents: readonly BatchDocument[],
  options: BatchOptions,
): Uint8Array[] {
  const keys = signers.map(({ key }) => key);
  return finishWith(signers, prepareBatch(crypto, keys, documents, options));
}

/**
 * Prepares a batch for the signatures of these keys: one tree and one signature per key.
 * @param documents at least one; all of one role
 * @returns what to sign; finished, the encoded COSE_Sign of each document, in the same order; some
 *   share a buffer
 */
export function prepareBatch(
  crypto: Crypto,
  keys: readonly PublicKey[],
  documents: readonly BatchDocument[],
  options: BatchOptions,
): Unsigned<Uint8Array[]> {
  const trees = keys.map((key) => {
    const header = {
      algorithm: algorithms[key.algorithm],
      keyId: keyId(crypto, key),
      merkle: 1 as const,
    };
    const protectedBytes = encode(signatureHeader, header);
    const leaves = leavesOf(crypto, protectedBytes, documents);
    const tree = treeOf(crypto, leaves);
    const root = encode(merkleRoot, {
      ...options,
      treeSize: tree.size,
      rootHash: tree.rootHash,
    });
    return { header, protectedBytes, tree, root };
  });
  return {
    messages: trees.map(({ protectedBytes, root }) => {
      return signatureStructure('merkleRoot', protectedBytes, root);
    }),
    finish(made) {
      const envelopes = documents.map(({ payload, salt }, index) => {
        const signatures = trees.map(({ header, protectedBytes, tree, root }, i): Signature => {
          const proof = [salt, index, tree.pathOf(index), root] as const;
          return { header, protectedBytes, proof, signature: made[i]! };
        });
        return { payload, signatures };
      });
      return encodeTogether(envelopes);
    },
  };
}

/** A buffer for many results: allocating one for each costs more than making it. */
class SharedWriter extends Writer {
  get position(): number {
    return this.length;
  }

  /** Goes on at `position`, over what is there. */
  seek(position: number): void {
    this.length = position;
  }

  /** What was written from `start` on; a view. */
  since(start: number): Uint8Array {
    return this.buffer.subarray(start, this.length);
  }
}

/** `leafHash` of each document; what is the same in all of them is written once. */
function leavesOf(
  crypto: Crypto,
  protectedBytes: Uint8Array,
  documents: readonly BatchDocument[],
): Uint8Array[] {
  const writer = new SharedWriter();
  writeStructureStart(writer, 'metadata', protectedBytes);
  const start = writer.finish();
  return documents.map(({ payload, salt }) => {
    writer.seek(0);
    writer.raw(leafPrefix);
    writer.raw(salt);
    writer.raw(start);
    writer.byteString(payload);
    return crypto.digest('SHA-256', writer.since(0));
  });
}

const leafPrefix = new Uint8Array(1);
/** Envelopes in one buffer: few, so that one which is kept does not keep megabytes. */
const envelopesPerBuffer = 16;

function encodeTogether(envelopes: readonly Envelope[]): Uint8Array[] {
  const encoded: Uint8Array[] = [];
  for (let first = 0; first < envelopes.length; first += envelopesPerBuffer) {
    const some = envelopes.slice(first, first + envelopesPerBuffer);
    const writer = new SharedWriter(some.reduce((sum, one) => sum + envelopeBytes(one), 0));
    for (const envelope of some) {
      const start = writer.position;
      writeEnvelope(writer, envelope);
      encoded.push(writer.since(start));
    }
  }
  return encoded;
}
