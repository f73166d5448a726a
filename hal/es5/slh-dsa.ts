/**
 * SLH-DSA-SHA2-128s verification (FIPS 205) over the platform's SHA-256, in the language of tier 2:
 * what a small ECU verifies the Director's signatures with. About 2,200 digests; nothing is secret.
 *
 * signature = randomizer (16) | FORS: 14 × (secret, 12 nodes) | hypertree: 7 × (35 chains, 9 nodes)
 */

/** The SHA-256 of a byte array, 32 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

const nodeBytes = 16;
const signatureBytes = 7_856;
const keyBytes = 32;
const layers = 7;
const layerHeight = 9;
const forsTrees = 14;
const forsHeight = 12;
const chains = 35;
const messageChains = 32;
const lastDigit = 15;

/** §11.2: seed, padded to a block of SHA-256, then layer | tree (8) | type | three words. */
const addressAt = 64;
const addressBytes = 22;
const wotsHash = 0;
const wotsKeys = 1;
const treeNode = 2;
const forsNode = 3;
const forsRoots = 4;

/** The tweakable hash F, H and T of one public seed, with the address that it is at. */
class Tweak {
  private readonly sha256: Sha256;
  /** Block of the seed and the address; what is hashed follows. */
  private readonly head = new Uint8Array(addressAt + addressBytes);

  constructor(sha256: Sha256, seed: Uint8Array) {
    this.sha256 = sha256;
    this.head.set(seed, 0);
  }

  /** @param tree 8 bytes, the most significant first */
  setTree(layer: number, tree: Uint8Array): void {
    this.head[addressAt] = layer;
    this.head.set(tree, addressAt + 1);
  }

  setType(type: number, keyPair: number): void {
    this.head[addressAt + 9] = type;
    this.setWord(0, keyPair);
    this.setWord(1, 0);
    this.setWord(2, 0);
  }

  setWord(word: number, value: number): void {
    const at = addressAt + 10 + 4 * word;
    for (let i = 0; i < 4; i++) this.head[at + i] = value >>> (24 - 8 * i);
  }

  hash(input: Uint8Array): Uint8Array {
    const { head } = this;
    const bytes = new Uint8Array(head.length + input.length);
    bytes.set(head, 0);
    bytes.set(input, head.length);
    return this.sha256(bytes).subarray(0, nodeBytes);
  }

  /** Climbs from a leaf to its root by the nodes beside the path; `index` counts from `first`. */
  climb(
    leaf: Uint8Array,
    index: number,
    first: number,
    path: Uint8Array,
    height: number,
  ): Uint8Array {
    const pair = new Uint8Array(2 * nodeBytes);
    let node = leaf;
    let position = first + index;
    for (let level = 0; level < height; level++) {
      const right = (index >> level) & 1;
      pair.set(node, right * nodeBytes);
      pair.set(path.subarray(level * nodeBytes, (level + 1) * nodeBytes), (1 - right) * nodeBytes);
      position >>= 1;
      this.setWord(1, level + 1);
      this.setWord(2, position);
      node = this.hash(pair);
    }
    return node;
  }
}

/** The FORS public key that a signature over 21 bytes of digest belongs to (§8.4). */
function forsKey(
  tweak: Tweak,
  keyPair: number,
  signature: Uint8Array,
  digest: Uint8Array,
): Uint8Array {
  const roots = new Uint8Array(forsTrees * nodeBytes);
  let bits = 0;
  let count = 0;
  let at = 0;
  let taken = 0;
  tweak.setType(forsNode, keyPair);
  for (let tree = 0; tree < forsTrees; tree++) {
    while (count < forsHeight) {
      bits = (bits << 8) | digest[taken++]!;
      count += 8;
    }
    count -= forsHeight;
    const index = (bits >> count) & ((1 << forsHeight) - 1);
    bits &= (1 << count) - 1;
    const first = tree << forsHeight;
    tweak.setWord(1, 0);
    tweak.setWord(2, first + index);
    const leaf = tweak.hash(signature.subarray(at, at + nodeBytes));
    const path = signature.subarray(at + nodeBytes, at + (1 + forsHeight) * nodeBytes);
    roots.set(tweak.climb(leaf, index, first, path, forsHeight), tree * nodeBytes);
    at += (1 + forsHeight) * nodeBytes;
  }
  tweak.setType(forsRoots, keyPair);
  return tweak.hash(roots);
}

/** The WOTS+ public key that a signature over the node `message` belongs to (§5.3). */
function wotsKey(
  tweak: Tweak,
  keyPair: number,
  signature: Uint8Array,
  message: Uint8Array,
): Uint8Array {
  const digits: number[] = [];
  let checksum = 0;
  for (let i = 0; i < messageChains; i++) {
    const digit = i % 2 === 0 ? message[i >> 1]! >> 4 : message[i >> 1]! & 15;
    digits.push(digit);
    checksum += lastDigit - digit;
  }
  for (let i = 0; i < chains - messageChains; i++) digits.push((checksum >> (8 - 4 * i)) & 15);
  const ends = new Uint8Array(chains * nodeBytes);
  tweak.setType(wotsHash, keyPair);
  for (let i = 0; i < chains; i++) {
    let end = signature.subarray(i * nodeBytes, (i + 1) * nodeBytes);
    tweak.setWord(1, i);
    for (let step = digits[i]!; step < lastDigit; step++) {
      tweak.setWord(2, step);
      end = tweak.hash(end);
    }
    ends.set(end, i * nodeBytes);
  }
  tweak.setType(wotsKeys, keyPair);
  return tweak.hash(ends);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (let i = 0; i < parts.length; i++) length += parts[i]!.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < parts.length; i++) {
    whole.set(parts[i]!, at);
    at += parts[i]!.length;
  }
  return whole;
}

/** H_msg (§11.2.1): MGF1 of 30 bytes, which is one more digest with a counter of 0. */
function messageDigest(
  sha256: Sha256,
  randomizer: Uint8Array,
  key: Uint8Array,
  context: Uint8Array,
  message: Uint8Array,
): Uint8Array {
  const domain = new Uint8Array([0, context.length]);
  const inner = sha256(joined([randomizer, key, domain, context, message]));
  const counter = new Uint8Array(4);
  return sha256(joined([randomizer, key.subarray(0, nodeBytes), inner, counter]));
}

/** Takes the lowest 9 bits off a tree index of 8 bytes, most significant first: the next leaf. */
function takeLeaf(tree: Uint8Array): number {
  const leaf = ((tree[6]! << 8) | tree[7]!) & ((1 << layerHeight) - 1);
  // 9 bits to the right: by a byte and a bit, each byte from the two before it.
  for (let i = 7; i >= 0; i--) {
    tree[i] = ((tree[i - 1] ?? 0) >> 1) | ((tree[i - 2] ?? 0) << 7);
  }
  return leaf;
}

/**
 * Checks a signature (FIPS 205 §10.3, pure form).
 * @param key seed ‖ root, 32 bytes
 * @param context at most 255 bytes
 * @returns false for everything that is no signature of `message` by `key`, malformed input included
 */
export function verifySlhDsa(
  sha256: Sha256,
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  context: Uint8Array,
): boolean {
  if (key.length !== keyBytes || signature.length !== signatureBytes || context.length > 255) {
    return false;
  }
  const digest = messageDigest(sha256, signature.subarray(0, nodeBytes), key, context, message);
  // 21 bytes of FORS indices, the tree (54 bits of 7 bytes), the leaf (9 bits of 2).
  const tree = new Uint8Array(8);
  tree.set(digest.subarray(21, 28), 1);
  tree[1] = tree[1]! & 0x3f;
  let leaf = ((digest[28]! << 8) | digest[29]!) & ((1 << layerHeight) - 1);
  const tweak = new Tweak(sha256, key.subarray(0, nodeBytes));
  tweak.setTree(0, tree);
  let at = nodeBytes;
  const forsBytes = forsTrees * (1 + forsHeight) * nodeBytes;
  let node = forsKey(tweak, leaf, signature.subarray(at, at + forsBytes), digest);
  at += forsBytes;
  for (let layer = 0; layer < layers; layer++) {
    tweak.setTree(layer, tree);
    node = wotsKey(tweak, leaf, signature.subarray(at, at + chains * nodeBytes), node);
    at += chains * nodeBytes;
    tweak.setType(treeNode, 0);
    const path = signature.subarray(at, at + layerHeight * nodeBytes);
    node = tweak.climb(node, leaf, 0, path, layerHeight);
    at += layerHeight * nodeBytes;
    leaf = takeLeaf(tree);
  }
  for (let i = 0; i < nodeBytes; i++) if (node[i] !== key[nodeBytes + i]) return false;
  return true;
}
