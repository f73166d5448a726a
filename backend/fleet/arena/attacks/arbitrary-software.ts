/** ATK-10: installing what nobody released. It takes both repositories' keys, offline ones among them. */

import { encode } from '../../../../agent/codec/schema.ts';
import { isRefusal } from '../../../../agent/codes.ts';
import { signEnvelope } from '../../../../agent/crypto/sign-envelope.ts';
import { targets as targetsSchema } from '../../../../agent/metadata/targets.ts';
import { canIdAt } from '../../../../hal/emulated/cannelloni.ts';
import { createNodeCrypto } from '../../../../hal/node/crypto.ts';
import { generateKeyPair, signerOf } from '../../../../hal/node/signing.ts';
import { halfSignature } from '../../attacks/half-signature.ts';
import { tamperedImage } from '../../attacks/tampered-image.ts';
import { unsigned } from '../../attacks/unsigned.ts';
import { agentLayouts } from '../../vehicle-layout.ts';
import {
  assignedTo,
  fileAnswer,
  firmwareEcu,
  listedFirmware,
  newestTargets,
} from '../attacker-tools.ts';
import type { FrameHook } from '../bus-tap.ts';
import { ecuKey } from '../rogue-primary.ts';
import { forgeChain, signWith, stolenKey } from '../stolen-keys.ts';
import type { StandardAttack } from '../variant.ts';

/** SID of TransferData, behind the 32-bit length of a first frame (ISO 15765-2, table 11). */
const transferData = 0x36;
const flexibleDataHeader = 6;

/** Changes one byte in the second frame of every long TransferData to `partial`. */
function corruptTransfers(): FrameHook {
  const { requestId } = agentLayouts.partial.address!;
  let armed = false;
  return (frame, direction) => {
    if (direction !== 'to-ecu' || canIdAt(frame, 0) !== requestId) return true;
    const data = frame.subarray(flexibleDataHeader);
    if (data[0] === 0x10 && data[1] === 0 && data[6] === transferData) armed = true;
    else if (armed && (data[0]! & 0xf0) === 0x20) {
      data[8] = data[8]! ^ 1;
      armed = false;
    }
    return true;
  };
}

export const arbitrarySoftware: StandardAttack = {
  id: 'ATK-10',
  name: 'arbitrary-software',
  variants: [
    {
      position: 'outside',
      does: 'changes a bit of the image',
      named: { by: 'primary', code: 'image-hash', row: 'PRI-09' },
      needsUpdate: true,
      attack(arena) {
        arena.intercept = tamperedImage().intercept;
      },
    },
    {
      position: 'outside',
      does: 'takes the signatures off the Timestamp',
      named: { by: 'primary', code: 'signature-missing', row: 'CTS-02' },
      attack(arena) {
        arena.intercept = unsigned().intercept;
      },
    },
    {
      position: 'outside',
      does: 'can forge one half of composite signatures, and leaves the other out',
      named: { by: 'primary', code: 'signature-half', row: 'HRD-18' },
      attack(arena) {
        arena.intercept = halfSignature().intercept;
      },
    },
    {
      position: 'inside',
      does: 'changes a byte of the image on the bus',
      named: { by: firmwareEcu as 'partial-firmware', code: 'image-chunk', row: 'VIM-06' },
      needsUpdate: true,
      attack(arena) {
        arena.tap.hook = corruptTransfers();
      },
    },
    {
      position: 'inside',
      does: 'passes for the Primary without its key',
      outcome: 'not let in (0x29)',
      named: { by: 'partial', code: 'access-denied', row: 'EVR-04' },
      attack: (arena) =>
        arena.asPrimary(async ({ partial }) => {
          if (!isRefusal(await partial.nonce())) throw new Error('partial let a stranger in');
        }, generateKeyPair('ESP256')),
    },
    {
      position: 'director-keys',
      does: 'assigns an image that the Image repository does not list',
      named: { by: 'primary', code: 'target-not-found', row: 'RDL-08' },
      async attack(arena) {
        const [newest] = await listedFirmware(arena);
        const filename = `${firmwareEcu}-evil.bin`;
        arena.intercept = forgeChain(arena, {
          repository: 'director',
          targets: (honest) => ({
            ...honest,
            targets: [assignedTo({ ...newest!, filename }, firmwareEcu)],
          }),
        });
      },
    },
    {
      position: 'image-keys',
      does: 'signs Targets with the Snapshot key, for want of the Targets keys',
      named: { by: 'primary', code: 'signature-threshold', row: 'CTG-03' },
      needsUpdate: true,
      attack(arena) {
        const snapshotKey = stolenKey(arena, 'images-snapshot');
        const raised = (version: number) => version + 1;
        const chain = forgeChain(arena, {
          repository: 'images',
          snapshot: (next) => ({
            ...next,
            versions: next.versions.map(({ key, value }) => ({ key, value: raised(value) })),
          }),
        });
        arena.intercept = async (exchange) => {
          if (exchange.repository !== 'images' || !exchange.path.endsWith('.targets.cbor')) {
            return chain(exchange);
          }
          const { document } = await newestTargets(arena, 'images');
          const forged = { ...document, version: raised(document.version) };
          return fileAnswer(signWith(snapshotKey, targetsSchema, forged));
        };
      },
      recover: (arena) => arena.updates.outrunImages(),
    },
    {
      position: 'primary',
      does: "hands a Secondary Targets that the Primary's own key signed",
      named: { by: 'partial', code: 'signature-threshold', row: 'CTG-03' },
      async attack(arena) {
        const { document } = await newestTargets(arena, 'director');
        const payload = encode(targetsSchema, { ...document, version: document.version + 1 });
        const signer = signerOf(ecuKey(arena.agent('primary'), 'primary'));
        const forged = signEnvelope(createNodeCrypto(), [signer], 'metadata', payload);
        await arena.asPrimary((rogue) =>
          rogue.offer(rogue.partial, (_repository, name) =>
            name === 'targets.cbor' ? forged : undefined,
          ),
        );
      },
    },
  ],
  elsewhere: {
    secondary: 'on the bus it can do what anybody inside can',
  },
};
