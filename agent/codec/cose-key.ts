/**
 * COSE_Key (RFC 9052 §7) of the public keys in use: EC2/P-256 for ESP256 (RFC 9864) and AKP
 * (RFC 9964) for everything else. Keys carry their algorithm; messages never choose it.
 */
import { majorMap, type Reader } from './reader.ts';
import { bytes, integer, type Schema } from './schema.ts';
import type { Writer } from './writer.ts';

/** COSE algorithm numbers; private-use ones (below −65536) are ours until numbers are assigned. */
export const algorithms = {
  ESP256: -9,
  'ML-DSA-44': -48,
  'ML-DSA-65': -49,
  'ML-DSA-87': -50,
  'MLDSA65-ECDSA-P256-SHA512': -65537,
  'SLH-DSA-SHA2-128s': -65540,
  /** Key encapsulation, not a signature: the key that unwraps content keys. */
  'MLKEM768-P256': -65545,
} as const;

export type AlgorithmName = keyof typeof algorithms;

/** Raw public key lengths in bytes. EC2 keys are held as the uncompressed point. */
export const publicKeyBytes: Readonly<Record<AlgorithmName, number>> = {
  ESP256: 65,
  'ML-DSA-44': 1312,
  'ML-DSA-65': 1952,
  'ML-DSA-87': 2592,
  'MLDSA65-ECDSA-P256-SHA512': 2017,
  'SLH-DSA-SHA2-128s': 32,
  'MLKEM768-P256': 1249,
};

export interface PublicKey {
  readonly algorithm: AlgorithmName;
  /** Raw bytes, `publicKeyBytes[algorithm]` long. */
  readonly bytes: Uint8Array;
  /** Its identifier where it was not read from a COSE_Key; computed by the reader, never stated. */
  readonly id?: Uint8Array;
}

const names = Object.keys(algorithms) as AlgorithmName[];
const keyTypeEc2 = 2;
const keyTypeAkp = 7;
const curveP256 = 1;
const label = integer(-4, 4);
const labelValue = integer(-100_000, 100_000);
const coordinate = bytes(32);

function expectLabel(reader: Reader, expected: number): void {
  const found = label.read(reader);
  if (reader.refused === undefined && found !== expected) {
    reader.refuse('key-malformed', `COSE_Key label ${found} where ${expected} is expected`);
  }
}

function expectValue(reader: Reader, expected: number, what: string): void {
  const found = labelValue.read(reader);
  if (reader.refused === undefined && found !== expected) {
    reader.refuse('key-malformed', `${what} ${found} where ${expected} is expected`);
  }
}

/** Strict COSE_Key: type, algorithm and public key, nothing else, in deterministic order. */
export const coseKey: Schema<PublicKey> = {
  shape: { kind: 'key' },
  read(reader) {
    const entries = reader.enter(majorMap, 5);
    expectLabel(reader, 1);
    const keyType = labelValue.read(reader);
    expectLabel(reader, 3);
    const number = labelValue.read(reader);
    const algorithm = names.filter((name) => algorithms[name] === number)[0];
    const elliptic = algorithm === 'ESP256';
    if (reader.refused === undefined) {
      const fits =
        keyType === (elliptic ? keyTypeEc2 : keyTypeAkp) && entries === (elliptic ? 5 : 3);
      if (algorithm === undefined || !fits) {
        reader.refuse('key-malformed', `key type ${keyType} with algorithm ${number}`);
      }
    }
    const name = algorithm ?? 'ESP256';
    const value = elliptic ? readPoint(reader) : readRaw(reader, publicKeyBytes[name]);
    reader.leave();
    return { algorithm: name, bytes: value };
  },
  write: writeCoseKey,
};

function readRaw(reader: Reader, length: number): Uint8Array {
  expectLabel(reader, -1);
  return bytes(length).read(reader);
}

function readPoint(reader: Reader): Uint8Array {
  const point = new Uint8Array(65);
  point[0] = 4;
  expectLabel(reader, -1);
  expectValue(reader, curveP256, 'curve');
  expectLabel(reader, -2);
  const x = coordinate.read(reader);
  expectLabel(reader, -3);
  const y = coordinate.read(reader);
  if (reader.refused === undefined) {
    point.set(x, 1);
    point.set(y, 33);
  }
  return point;
}

function writeCoseKey(writer: Writer, key: PublicKey): void {
  if (key.bytes.length !== publicKeyBytes[key.algorithm]) {
    throw new RangeError(`key: ${key.bytes.length} bytes do not fit ${key.algorithm}`);
  }
  const elliptic = key.algorithm === 'ESP256';
  if (elliptic && key.bytes[0] !== 4) throw new RangeError('key: not an uncompressed point');
  writer.map(elliptic ? 5 : 3);
  writer.integer(1);
  writer.integer(elliptic ? keyTypeEc2 : keyTypeAkp);
  writer.integer(3);
  writer.integer(algorithms[key.algorithm]);
  writer.integer(-1);
  if (!elliptic) {
    writer.byteString(key.bytes);
    return;
  }
  writer.integer(curveP256);
  writer.integer(-2);
  writer.byteString(key.bytes.subarray(1, 33));
  writer.integer(-3);
  writer.byteString(key.bytes.subarray(33, 65));
}
