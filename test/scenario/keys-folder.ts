/** A folder with keys as the ceremony leaves them, for a backend that is a process of its own. */
import type { X509Certificate } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeDeviceRoot, signEnrolmentCa } from '../../backend/signer/device-authorities.ts';
import { writeKeyFile } from '../../backend/signer/key-file.ts';
import { generateKeyPair } from '../../hal/node/signing.ts';
import { type Ceremony, holdCeremony, writeRoots } from './backend-fixture.ts';

/** The offline keys, and the device root that its vehicles trust. */
export interface KeysFolder {
  readonly keys: Ceremony;
  readonly root: X509Certificate;
}

/** Makes keys of no worth, sealed cheaply. */
export function writeKeysFolder(folder: string, passphrase: string): KeysFolder {
  const keyFile = { cost: 16 };
  const keys = holdCeremony();
  writeRoots(folder, keys);
  for (const name of ['online', 'devices', 'offline']) mkdirSync(join(folder, name));
  for (const [name, pair] of Object.entries(keys.online)) {
    writeKeyFile(join(folder, 'online', `${name}.key`), pair, passphrase, keyFile);
  }
  const place = { folder, passphrase, onlinePassphrase: passphrase };
  const options = { ...place, now: Math.floor(Date.now() / 1_000), keyFile };
  const root = makeDeviceRoot(options);
  signEnrolmentCa(options, root, 1, 30, generateKeyPair('ESP256'));
  return { keys, root: root.certificate };
}
