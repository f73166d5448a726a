/** The same bytes for our installer: encrypted image, flash file, and the description of the run. */
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hkdfExpand } from '../../../agent/crypto/hkdf.ts';
import { CobblestoneEncryptor } from '../../../agent/image/cobblestone.ts';
import { imageContext } from '../../../agent/image/image-context.ts';
import { BootBlock } from '../../../agent/install/boot-block.ts';
import { createEmulatedFlash, flashMapSize, norGeometry } from '../../../hal/emulated/flash.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import type { InstallBench } from '../../native/bench-install.ts';

const crypto = createNodeCrypto();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const blockBytes = norGeometry.blockLength;
/** As the boards have it. */
const recordBytes = 4 * blockBytes;

export interface OurUpdate {
  /** Path of the description that `bench-install` runs. */
  readonly description: string;
  /** Arguments of `bench-floor`. */
  readonly floor: readonly string[];
  /** Makes the flash file new, with an older image confirmed in slot A. */
  readonly factory: () => void;
}

export function makeOurUpdate(folder: string, image: Uint8Array): OurUpdate {
  const plaintextSha256 = crypto.digest('SHA-256', image);
  const contentKey = new Uint8Array(randomBytes(32));
  const context = imageContext('bench-2.bin', 2, plaintextSha256);
  const salt = new Uint8Array(randomBytes(24));
  const encryptor = new CobblestoneEncryptor({ crypto, contentKey, context, salt });
  const encrypted = [encryptor.header(), ...encryptor.update(image), encryptor.finish()];
  const bytes = Buffer.concat(encrypted);
  const ciphertext = join(folder, 'image.cobblestone');
  writeFileSync(ciphertext, bytes);
  const slotBytes = Math.ceil(image.length / blockBytes) * blockBytes;
  const sizes = {
    state: recordBytes,
    journal: recordBytes,
    'slot-a': blockBytes,
    'slot-b': slotBytes,
  };
  const flashMap: Record<string, { offset: number; size: number }> = {};
  let offset = 0;
  for (const [name, size] of Object.entries(sizes)) {
    flashMap[name] = { offset, size };
    offset += size;
  }
  const flashFile = join(folder, 'flash.bin');
  const given: InstallBench = {
    ecu: {
      flashFile,
      flashMap,
      keyValueFolder: join(folder, 'key-value'),
      buses: {},
      slots: ['slot-a', 'slot-b'],
      state: 'state',
      journal: 'journal',
    },
    ciphertext,
    ciphertextLength: bytes.length,
    ciphertextSha256: hex(crypto.digest('SHA-256', bytes)),
    plaintextLength: image.length,
    plaintextSha256: hex(plaintextSha256),
    contentKey: hex(contentKey),
    context: hex(context),
  };
  const description = join(folder, 'install.json');
  writeFileSync(description, JSON.stringify(given));
  const label = Buffer.from('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0');
  const info = new Uint8Array(Buffer.concat([label, salt, context]));
  const derived = hkdfExpand(crypto, 'SHA-512', contentKey, info, 76);
  const part = [flashFile, flashMapSize(flashMap, norGeometry), flashMap['slot-b']!.offset];
  const secrets = [derived.subarray(0, 32), derived.subarray(32, 44), plaintextSha256].map(hex);
  return {
    description,
    floor: [...part.map(String), ciphertext, String(bytes.length), ...secrets],
    factory() {
      rmSync(flashFile, { force: true });
      const flash = createEmulatedFlash(flashFile, flashMap);
      const old = {
        filename: 'bench-1.bin',
        releaseCounter: 1,
        length: 4,
        sha256: plaintextSha256,
      };
      BootBlock.initialise(flash.open({ path: 'state' }), crypto, old);
    },
  };
}
