/**
 * With the Director's online keys, swaps the images of two ECUs and signs again: each gets a valid
 * image that was made for the other's hardware (VIM-02).
 */
import { join } from 'node:path';
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { decode, encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { maxDirectorTargetsBytes } from '../../../agent/limits.ts';
import { targets as targetsSchema } from '../../../agent/metadata/targets.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { type KeyPair, signerOf } from '../../../hal/node/signing.ts';
import { readKeyFile } from '../../signer/key-file.ts';
import type { Attack } from './attack.ts';

export function wrongEcu(): Attack {
  let stolen: KeyPair | undefined;
  return {
    name: 'wrong-ecu',
    position: 'with the online keys of the Director',
    async prepare({ keysFolder, passphrase }) {
      const pair = readKeyFile(join(keysFolder, 'online', 'director-targets.key'), passphrase);
      if (isRefusal(pair)) throw new Error(`${pair.refused}: ${pair.detail}`);
      stolen = pair;
    },
    async intercept({ repository, path, forward }) {
      if (repository !== 'director' || !path.endsWith('.targets.cbor')) return undefined;
      const answer = await forward();
      const body = stolen && swapEcus(answer.body, stolen);
      return body && { ...answer, body };
    },
  };
}

/** The same Targets with every ECU's image given to the next ECU; undefined when there is none. */
function swapEcus(file: Uint8Array, stolen: KeyPair): Uint8Array | undefined {
  const envelope = decodeEnvelope(file, maxDirectorTargetsBytes);
  if (isRefusal(envelope)) return undefined;
  const document = decode(targetsSchema, envelope.payload, maxDirectorTargetsBytes);
  if (isRefusal(document) || document.targets.length < 2) return undefined;
  const { targets } = document;
  const swapped = targets.map((target, i) => ({
    ...target,
    assignment: targets[(i + 1) % targets.length]!.assignment!,
  }));
  const payload = encode(targetsSchema, { ...document, targets: swapped });
  return signEnvelope(createNodeCrypto(), [signerOf(stolen)], 'metadata', payload);
}
