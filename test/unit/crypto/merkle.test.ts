/** Merkle trees in RFC 9162's shape, against a second implementation straight from its text. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { leafHash, treeOf, verifyInclusion } from '../../../agent/crypto/merkle.ts';
import { maxMerkleProofNodes } from '../../../agent/limits.ts';
import { providers } from './providers.ts';

const { crypto } = providers[0]!;
const test = suite('Merkle tree');

function leavesOf(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) =>
    crypto.digest('SHA-256', new Uint8Array([i % 256, Math.floor(i / 256)])),
  );
}

const sha256 = (...parts: readonly Uint8Array[]) =>
  crypto.digest('SHA-256', new Uint8Array(Buffer.concat(parts)));

/** The largest power of two below `count` (RFC 9162 §2.1.1). */
function split(count: number): number {
  let k = 1;
  while (k * 2 < count) k *= 2;
  return k;
}

/** RFC 9162 §2.1.1, recursively. */
function referenceRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0]!;
  const k = split(leaves.length);
  const left = referenceRoot(leaves.slice(0, k));
  return sha256(new Uint8Array([1]), left, referenceRoot(leaves.slice(k)));
}

/** RFC 9162 §2.1.3.1, recursively. */
function referencePath(index: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  return index < k
    ? [...referencePath(index, leaves.slice(0, k)), referenceRoot(leaves.slice(k))]
    : [...referencePath(index - k, leaves.slice(k)), referenceRoot(leaves.slice(0, k))];
}

test('root and every path equal RFC 9162 for 1 to 40 leaves', () => {
  for (let size = 1; size <= 40; size++) {
    const leaves = leavesOf(size);
    const tree = treeOf(crypto, leaves);
    assert.equal(tree.rootHash, referenceRoot(leaves));
    assert.is(tree.size, size);
    for (let index = 0; index < size; index++) {
      assert.equal(tree.pathOf(index), referencePath(index, leaves));
    }
  }
});

test('each leaf verifies at its own index and at no other', () => {
  for (let size = 1; size <= 20; size++) {
    const leaves = leavesOf(size);
    const tree = treeOf(crypto, leaves);
    for (let index = 0; index < size; index++) {
      const path = tree.pathOf(index);
      for (let claimed = 0; claimed < size + 2; claimed++) {
        const valid = verifyInclusion(crypto, leaves[index]!, claimed, size, path, tree.rootHash);
        assert.is(valid, claimed === index, `leaf ${index} of ${size} as ${claimed}`);
      }
    }
  }
});

test('a path that is shorter, longer or altered is refused', () => {
  for (const size of [1, 2, 3, 7, 8, 13]) {
    const leaves = leavesOf(size);
    const tree = treeOf(crypto, leaves);
    for (let index = 0; index < size; index++) {
      const path = tree.pathOf(index);
      const verify = (nodes: readonly Uint8Array[]) =>
        verifyInclusion(crypto, leaves[index]!, index, size, nodes, tree.rootHash);
      assert.ok(verify(path));
      assert.not.ok(verify([...path, leaves[0]!]));
      assert.not.ok(verify([leaves[0]!, ...path]));
      for (let at = 0; at < path.length; at++) {
        assert.not.ok(verify(path.filter((_, i) => i !== at)));
        assert.not.ok(verify(path.map((node, i) => (i === at ? sha256(node) : node))));
      }
    }
  }
});

test('a path past the top of the tree is refused, even where the hashes fit', () => {
  const [leaf, sibling] = leavesOf(2) as [Uint8Array, Uint8Array];
  const root = sha256(new Uint8Array([1]), sibling, leaf);
  assert.not.ok(verifyInclusion(crypto, leaf, 0, 1, [sibling], root));
  assert.ok(verifyInclusion(crypto, leaf, 1, 2, [sibling], root));
});

test('index and size are bound', () => {
  const leaves = leavesOf(3);
  const tree = treeOf(crypto, leaves);
  const verify = (index: number, size: number) =>
    verifyInclusion(crypto, leaves[0]!, index, size, tree.pathOf(0), tree.rootHash);
  assert.ok(verify(0, 3));
  for (const [index, size] of [
    [3, 3],
    [4, 3],
    [-1, 3],
    [0, 0],
    [0, 1],
    [0, 2],
    [0, 5],
    [0, Number.MAX_SAFE_INTEGER],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    [Number.NaN, 3],
  ] as const) {
    assert.not.ok(verify(index, size), `${index} of ${size}`);
  }
});

test('paths of 40 nodes are followed, one past that is refused', () => {
  // Leaf 0 of a full tree: every sibling is to the right. Sizes above 2^32 need no 32-bit operator.
  for (const [nodes, expected] of [
    [33, true],
    [maxMerkleProofNodes, true],
    [maxMerkleProofNodes + 1, false],
  ] as const) {
    const leaf = leavesOf(1)[0]!;
    const path = leavesOf(nodes);
    const root = path.reduce((hash, node) => sha256(new Uint8Array([1]), hash, node), leaf);
    assert.is(verifyInclusion(crypto, leaf, 0, 2 ** nodes, path, root), expected);
  }
});

test('a leaf hashes the salt and the document after a byte of its own', () => {
  const salt = new Uint8Array(16).fill(5);
  const document = new Uint8Array([1, 2, 3]);
  assert.equal(leafHash(crypto, salt, document), sha256(new Uint8Array([0]), salt, document));
});

test('any leaf of any tree verifies; a random path does not', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat(), (size, pick, other) => {
      const leaves = leavesOf(size);
      const tree = treeOf(crypto, leaves);
      const index = pick % size;
      const path = tree.pathOf(index);
      assert.ok(verifyInclusion(crypto, leaves[index]!, index, size, path, tree.rootHash));
      const wrong = other % size;
      if (wrong === index) return;
      assert.not.ok(verifyInclusion(crypto, leaves[wrong]!, index, size, path, tree.rootHash));
    }),
    { numRuns: 100 },
  );
});

test('no tree without leaves, no path outside the tree', () => {
  assert.throws(() => treeOf(crypto, []), /leaves/);
  const tree = treeOf(crypto, leavesOf(2));
  assert.throws(() => tree.pathOf(2), /index/);
  assert.throws(() => tree.pathOf(-1), /index/);
});

test.run();
