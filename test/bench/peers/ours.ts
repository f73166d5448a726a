/** The same bytes for our installer: a flash file with the encrypted image in it, and what is run. */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { decode, encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { hkdfExpand } from '../../../agent/crypto/hkdf.ts';
import { wrapContentKey } from '../../../agent/crypto/key-wrap.ts';
import { CobblestoneEncryptor } from '../../../agent/image/cobblestone.ts';
import { imageContext } from '../../../agent/image/image-context.ts';
import { BootBlock } from '../../../agent/install/boot-block.ts';
import { hashAlgorithms } from '../../../agent/metadata/common.ts';
import { ecuConfiguration, storedKeyPair } from '../../../agent/metadata/configuration.ts';
import {
  cobblestoneFormat,
  imageKinds,
  type MustMatch,
  mustMatch,
  type Target,
  target,
} from '../../../agent/metadata/targets.ts';
import { ImageStaging, stagingProgressBlocks } from '../../../agent/primary/image-staging.ts';
import { createFlash, flashMapSize, norGeometry } from '../../../hal/emulated/flash.ts';
import { createMemoryStorage } from '../../../hal/emulated/flash-storage.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';
import type { InstallBench } from '../../native/bench-install.ts';
import { MemoryKeyValue } from '../../simulator/repository-simulator.ts';

const crypto = createNodeCrypto();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const blockBytes = norGeometry.blockLength;
/** As the boards have it. */
const recordBytes = 4 * blockBytes;
const vehicleId = 'bench';
const ecuId = 'bench-ecu';
const filename = 'bench-2.bin';
const releaseCounter = 2;

export interface OurUpdate {
  /** Paths of the descriptions that `bench-install` runs: an image from the own flash, or chunks. */
  readonly primary: string;
  readonly secondary: string;
  /** Arguments of `bench-floor`, synchronising once, or after each chunk. */
  readonly floor: readonly string[];
  readonly durableFloor: readonly string[];
  /** Makes the flash file as it was before: an older image confirmed in slot A, another in slot B. */
  readonly factory: () => void;
}

interface Encrypted {
  readonly bytes: Uint8Array;
  readonly contentKey: Uint8Array;
  readonly salt: Uint8Array;
  readonly context: Uint8Array;
}

function encrypt(image: Uint8Array): Encrypted {
  const contentKey = new Uint8Array(randomBytes(32));
  const context = imageContext(filename, releaseCounter, crypto.digest('SHA-256', image));
  const salt = new Uint8Array(randomBytes(24));
  const encryptor = new CobblestoneEncryptor({ crypto, contentKey, context, salt });
  const pieces = [encryptor.header(), ...encryptor.update(image), encryptor.finish()];
  return { bytes: new Uint8Array(Buffer.concat(pieces)), contentKey, salt, context };
}

function keyObjectOf({ bytes, contentKey }: Encrypted, values: MemoryKeyValue): Uint8Array {
  for (const [name, pair] of [
    ['signing-key', generateKeyPair('ESP256')],
    ['wrapping-key', generateKeyPair('MLKEM768-P256')],
  ] as const) {
    values.write(`${name}/${ecuId}`, encode(storedKeyPair, pair));
  }
  const stored = values.read(`wrapping-key/${ecuId}`)!;
  const pair = decode(storedKeyPair, stored, stored.length);
  if (isRefusal(pair)) throw new Error(pair.detail);
  const bound = [vehicleId, ecuId, filename, crypto.digest('SHA-256', bytes)] as const;
  const wrapped = wrapContentKey(crypto, pair.key, contentKey, bound);
  if (isRefusal(wrapped)) throw new Error(wrapped.detail);
  return wrapped;
}

function targetOf(image: Uint8Array, { bytes }: Encrypted, keyObject: Uint8Array): Target {
  const plain: MustMatch = {
    plaintextLength: image.length,
    plaintextSha256: crypto.digest('SHA-256', image),
    hardwareIds: ['bench-hw'],
    releaseCounter,
    kind: imageKinds.opaque,
    encryption: cobblestoneFormat,
  };
  return {
    filename,
    length: bytes.length,
    hashes: [{ key: hashAlgorithms['SHA-256'], value: crypto.digest('SHA-256', bytes) }],
    mustMatch: { ...plain, encoded: encode(mustMatch, plain) },
    assignment: {
      ecuId,
      keyObjectSha256: crypto.digest('SHA-256', keyObject),
      keyObjectLength: keyObject.length,
    },
  };
}

function flashMapOf(imageBytes: number, encryptedBytes: number) {
  const blocks = (bytes: number) => Math.ceil(bytes / blockBytes) * blockBytes;
  const sizes = {
    state: recordBytes,
    journal: recordBytes,
    'slot-a': blocks(imageBytes),
    'slot-b': blocks(imageBytes),
    download: blocks(encryptedBytes) + stagingProgressBlocks * blockBytes,
  };
  const map: Record<string, { offset: number; size: number }> = {};
  let offset = 0;
  for (const [name, size] of Object.entries(sizes)) {
    map[name] = { offset, size };
    offset += size;
  }
  return map;
}

/** The part after the download: everything that `installImage` starts from. */
function partOf(
  map: ReturnType<typeof flashMapOf>,
  listed: Target,
  encrypted: Encrypted,
  values: MemoryKeyValue,
): Uint8Array {
  const part = new Uint8Array(flashMapSize(map, norGeometry)).fill(0xff);
  const flash = createFlash(map, norGeometry, () => createMemoryStorage(part));
  const old = { filename: 'bench-1.bin', releaseCounter: 1, length: 4, sha256: new Uint8Array(32) };
  BootBlock.initialise(flash.open({ path: 'state' }), crypto, old);
  const slot = map['slot-b']!;
  for (let at = 0; at < slot.size; at += blockBytes) {
    part.set(randomBytes(blockBytes), slot.offset + at);
  }
  const staging = new ImageStaging(flash.open({ path: 'download' }), values, crypto);
  const refused = staging.reserve([listed]);
  if (refused !== undefined) throw new Error(refused.detail);
  const writer = staging.writer(staging.find(listed.hashes[0]!.value));
  const unwritten = writer.write(encrypted.bytes) ?? writer.finish();
  if (unwritten !== undefined) throw new Error(unwritten.detail);
  return part;
}

export function makeOurUpdate(folder: string, image: Uint8Array): OurUpdate {
  const encrypted = encrypt(image);
  const values = new MemoryKeyValue();
  const keyObject = keyObjectOf(encrypted, values);
  const listed = targetOf(image, encrypted, keyObject);
  const map = flashMapOf(image.length, encrypted.bytes.length);
  const part = partOf(map, listed, encrypted, values);
  const flashFile = join(folder, 'flash.bin');
  const slots = ['slot-a', 'slot-b'] as const;
  const pair = { slots, journal: 'journal' };
  const configuration = encode(ecuConfiguration, {
    ...pair,
    ecuId,
    hardwareId: 'bench-hw',
    kinds: [imageKinds.opaque],
    filenamePattern: 'bench-*.bin',
  });
  const keyValueFolder = join(folder, 'key-value');
  const names = ['staging', `signing-key/${ecuId}`, `wrapping-key/${ecuId}`];
  const describe = (as: InstallBench['as']): string => {
    const given: InstallBench = {
      ecu: { ...pair, flashFile, flashMap: map, keyValueFolder, buses: {}, state: 'state' },
      vehicleId,
      configuration: hex(configuration),
      target: hex(encode(target, listed)),
      keyObject: hex(keyObject),
      values: Object.fromEntries(names.map((name) => [name, hex(values.read(name)!)])),
      as,
    };
    const path = join(folder, `install-${as}.json`);
    writeFileSync(path, JSON.stringify(given));
    return path;
  };
  const floor = floorOf(folder, flashFile, part.length, map['slot-b']!.offset, encrypted, listed);
  return {
    primary: describe('primary'),
    secondary: describe('secondary'),
    floor: [...floor, '0'],
    durableFloor: [...floor, '1'],
    factory() {
      // Nobody pays for writing back what was there before.
      const file = openSync(flashFile, 'w');
      writeSync(file, part);
      fsyncSync(file);
      closeSync(file);
    },
  };
}

function floorOf(
  folder: string,
  flashFile: string,
  flashBytes: number,
  slotOffset: number,
  { bytes, contentKey, salt, context }: Encrypted,
  { mustMatch: { plaintextSha256 } }: Target,
): readonly string[] {
  const ciphertext = join(folder, 'image.cobblestone');
  writeFileSync(ciphertext, bytes);
  const label = Buffer.from('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0');
  const info = new Uint8Array(Buffer.concat([label, salt, context]));
  const derived = hkdfExpand(crypto, 'SHA-512', contentKey, info, 76);
  const part = [flashFile, flashBytes, slotOffset, ciphertext, bytes.length];
  const secrets = [derived.subarray(0, 32), derived.subarray(32, 44), plaintextSha256].map(hex);
  return [...part.map(String), ...secrets];
}
