/** Makes Merkle batches: many documents, one signature of each signer (docs/POUF.md §3.4). */
import type { Crypto } from '../../hal/types.ts';
import { algorithms } from '../codec/cose-key.ts';
import {
  encodeEnvelope,
  merkleRoot,
  type Signature,
  signatureHeader,
  signatureStructure,
} from '../codec/cose-sign.ts';
import { encode } from '../codec/schema.ts';
import { keyId } from './key-id.ts';
import { leafHash, treeOf } from './merkle.ts';
import type { Signer } from './sign-envelope.ts';

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

/**
 * Signs a batch: one tree and one signature per signer.
 * @param documents at least one; all of one role
 * @returns the encoded COSE_Sign of each document, in the same order
 */
export function signBatch(
  crypto: Crypto,
  signers: readonly Signer[],
  documents: readonly BatchDocument[],
  options: BatchOptions,
): Uint8Array[] {
  const signatures: Signature[][] = documents.map(() => []);
  for (const signer of signers) {
    const header = {
      algorithm: algorithms[signer.key.algorithm],
      keyId: keyId(crypto, signer.key),
      merkle: 1 as const,
    };
    const protectedBytes = encode(signatureHeader, header);
    const leaves = documents.map(({ payload, salt }) =>
      leafHash(crypto, salt, signatureStructure('metadata', protectedBytes, payload)),
    );
    const tree = treeOf(crypto, leaves);
    const root = encode(merkleRoot, {
      ...options,
      treeSize: tree.size,
      rootHash: tree.rootHash,
    });
    const signature = signer.sign(signatureStructure('merkleRoot', protectedBytes, root));
    documents.forEach(({ salt }, index) => {
      const proof = [salt, index, tree.pathOf(index), root] as const;
      signatures[index]!.push({ header, protectedBytes, proof, signature });
    });
  }
  return documents.map(({ payload }, index) =>
    encodeEnvelope({ payload, signatures: signatures[index]! }),
  );
}
