/**
 * Merkle batches: one signature for many documents (docs/POUF.md §3.4). Tree shape and inclusion
 * proofs are RFC 9162's; leaves are salted, so that a proof says nothing about other documents.
 *
 * leaf = SHA-256(0x00 | salt16 | Sig_structure of the document), node = SHA-256(0x01 | left | right)
 */
import type { Crypto } from '../../hal/types.ts';
import type { PublicKey } from '../codec/cose-key.ts';
import { merkleRoot, type Signature, signatureStructure } from '../codec/cose-sign.ts';
import { sameBytes } from '../codec/reader.ts';
import { decode } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxMerkleProofNodes } from '../limits.ts';
import { verifySignature } from './verify-signature.ts';

/** The leaf of a document: `structure` is its Sig_structure, `salt` 16 random bytes of its own. */
export function leafHash(crypto: Crypto, salt: Uint8Array, structure: Uint8Array): Uint8Array {
  // One call is cheaper than three where there are thousands of leaves; structures are small.
  const joined = new Uint8Array(1 + salt.length + structure.length);
  joined.set(salt, 1);
  joined.set(structure, 1 + salt.length);
  return crypto.digest('SHA-256', joined);
}

/** @param joined 65 bytes of room, for who hashes thousands of nodes */
function nodeHash(
  crypto: Crypto,
  left: Uint8Array,
  right: Uint8Array,
  joined = new Uint8Array(65),
): Uint8Array {
  joined[0] = 1;
  joined.set(left, 1);
  joined.set(right, 1 + left.length);
  return crypto.digest('SHA-256', joined);
}

export interface MerkleTree {
  readonly rootHash: Uint8Array;
  readonly size: number;
  /**
   * Inclusion path of one leaf, from leaf to root; the part of it between two levels.
   * @param from level of the first sibling: 0 is that of the leaves
   * @param to level before which it ends: the root's, when left out
   */
  pathOf(index: number, from?: number, to?: number): Uint8Array[];
}

/** Builds the tree over `leaves` (at least one, from `leafHash`); holds two hashes per leaf. */
export function treeOf(crypto: Crypto, leaves: readonly Uint8Array[]): MerkleTree {
  if (leaves.length === 0) throw new RangeError('leaves: at least one is needed');
  const joined = new Uint8Array(65);
  const levels: (readonly Uint8Array[])[] = [leaves];
  let level = leaves;
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    // An odd last node rises unchanged: the same tree as RFC 9162's split at powers of two.
    for (let i = 0; i < level.length; i += 2) {
      const right = level[i + 1];
      above.push(right === undefined ? level[i]! : nodeHash(crypto, level[i]!, right, joined));
    }
    levels.push(above);
    level = above;
  }
  return {
    rootHash: level[0]!,
    size: leaves.length,
    pathOf(index, from = 0, to = levels.length) {
      if (!(index >= 0 && index < leaves.length)) {
        throw new RangeError(`index: expected 0 to ${leaves.length - 1}, got ${index}`);
      }
      const path: Uint8Array[] = [];
      let at = Math.floor(index / 2 ** from);
      for (let level = from; level < to && level < levels.length; level++) {
        const sibling = levels[level]![at % 2 === 0 ? at + 1 : at - 1];
        if (sibling !== undefined) path.push(sibling);
        at = Math.floor(at / 2);
      }
      return path;
    },
  };
}

/**
 * RFC 9162 §2.1.3.2: is `leaf` number `index` of the tree with this size and root?
 * The path must have exactly the length that index and size give.
 */
export function verifyInclusion(
  crypto: Crypto,
  leaf: Uint8Array,
  index: number,
  treeSize: number,
  path: readonly Uint8Array[],
  rootHash: Uint8Array,
): boolean {
  if (!(index >= 0 && index < treeSize) || path.length > maxMerkleProofNodes) return false;
  // Arithmetic, not shifts: tree sizes are not bound to 32 bits.
  let node = index;
  let last = treeSize - 1;
  let hash = leaf;
  for (const sibling of path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(crypto, sibling, hash);
      while (node % 2 === 0 && node !== 0) {
        node = node / 2;
        last = Math.floor(last / 2);
      }
    } else {
      hash = nodeHash(crypto, hash, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && sameBytes(hash, rootHash);
}

/** What a Merkle signature has to fit: the document's role type and the time of checking. */
export interface MerkleExpectation {
  /** Number of the role type that the document states. */
  readonly role: number;
  /** Unix seconds. */
  readonly now: number;
}

/**
 * Checks one signature of Merkle form over a metadata document.
 * @param signature with its proof
 * @param payload the document
 * @returns undefined when valid; codes `merkle-proof-invalid`, `metadata-expired` (the batch),
 *   `signature-half`, `signature-invalid`
 */
export function verifyMerkleSignature(
  crypto: Crypto,
  key: PublicKey,
  signature: Signature,
  payload: Uint8Array,
  expected: MerkleExpectation,
): Refusal | undefined {
  const { proof, protectedBytes } = signature;
  if (proof === undefined || signature.header.merkle === undefined) {
    return refuse('merkle-proof-invalid', 'no Merkle signature');
  }
  const [salt, index, path, rootBytes] = proof;
  const root = decode(merkleRoot, rootBytes, rootBytes.length);
  if (isRefusal(root)) return refuse('merkle-proof-invalid', `root object: ${root.detail}`);
  if (root.role !== expected.role) {
    return refuse('merkle-proof-invalid', `batch of role ${root.role}, not ${expected.role}`);
  }
  // CTG-05: an expired batch is an expired signature
  if (root.expires <= expected.now) {
    return refuse('metadata-expired', `Merkle batch expired at ${root.expires}`);
  }
  const leaf = leafHash(crypto, salt, signatureStructure('metadata', protectedBytes, payload));
  if (!verifyInclusion(crypto, leaf, index, root.treeSize, path, root.rootHash)) {
    return refuse('merkle-proof-invalid', `leaf ${index} is not in the batch`);
  }
  const signed = signatureStructure('merkleRoot', protectedBytes, rootBytes);
  return verifySignature(crypto, key, signed, signature.signature);
}
