/** ATK-01: reading an image on its way. There is only ciphertext, and no key but the ECU's opens it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRefusal } from '../../../../agent/codes.ts';
import { unwrapContentKey } from '../../../../agent/crypto/key-wrap.ts';
import { createNodeCrypto } from '../../../../hal/node/crypto.ts';
import type { AgentName } from '../../vehicle-layout.ts';
import type { Arena } from '../arena.ts';
import { firmwareEcu, newestTargets } from '../attacker-tools.ts';
import { ecuWrappingKey } from '../rogue-primary.ts';
import type { StandardAttack } from '../variant.ts';

const windowBytes = 16;

/** Throws when any piece of the image's plaintext is among the bytes. */
function expectUnreadable(arena: Arena, bytes: Buffer, where: string): void {
  const { firmware } = arena.updates;
  // Frames carry 62 bytes and more: a piece of 16 at every 16th byte lies within one.
  for (let at = 0; at + windowBytes <= firmware.length; at += windowBytes) {
    if (bytes.includes(Buffer.from(firmware.buffer, at, windowBytes))) {
      throw new Error(`plaintext of the image ${where}`);
    }
  }
}

function filesBelow(folder: string): Buffer {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile());
  return Buffer.concat(files.map((entry) => readFileSync(join(entry.parentPath, entry.name))));
}

/** Tries another ECU's key on the key object that the Director made for the firmware's ECU. */
async function expectSealed(arena: Arena, name: AgentName): Promise<void> {
  const { document } = await newestTargets(arena, 'director');
  const target = document.targets.find(({ assignment }) => assignment!.ecuId === firmwareEcu)!;
  const digest = Buffer.from(target.assignment!.keyObjectSha256).toString('hex');
  const answer = await fetch(`${arena.directorUrl}/keys/${arena.vehicleId}/${digest}`);
  const keyObject = new Uint8Array(await answer.arrayBuffer());
  const agent = arena.agent(name);
  const { secret } = ecuWrappingKey(agent, agent.layout.ecuId);
  const ciphertext = target.hashes[0]!.value;
  const context = [arena.vehicleId, firmwareEcu, target.filename, ciphertext] as const;
  const opened = unwrapContentKey(createNodeCrypto(), secret, keyObject, context);
  if (!isRefusal(opened)) throw new Error(`${name} opened the content key of ${firmwareEcu}`);
}

export const eavesdrop: StandardAttack = {
  id: 'ATK-01',
  name: 'eavesdrop',
  variants: [
    {
      position: 'outside',
      does: 'records everything between the vehicle and both repositories',
      outcome: 'nothing readable',
      async attack(arena) {
        const heard: Uint8Array[] = [];
        arena.intercept = async ({ body, forward }) => {
          const answer = await forward();
          heard.push(body, answer.body);
          return answer;
        };
        await arena.updates.awaitUpdate();
        expectUnreadable(arena, Buffer.concat(heard), 'on the network');
      },
    },
    {
      position: 'inside',
      does: 'records every frame of the bus',
      outcome: 'nothing readable',
      async attack(arena) {
        const heard: Uint8Array[] = [];
        arena.tap.hook = (frame) => heard.push(frame.slice()) > 0;
        await arena.updates.awaitUpdate();
        expectUnreadable(arena, Buffer.concat(heard), 'on the bus');
      },
    },
    {
      position: 'image-keys',
      does: "reads the Image repository's disk",
      outcome: 'nothing readable',
      attack: (arena) =>
        expectUnreadable(arena, filesBelow(join(arena.folder, 'backend')), 'on the server'),
    },
    {
      position: 'primary',
      does: "reads its flash, and tries its key on the Secondary's key object",
      outcome: 'nothing readable, key object stays sealed',
      async attack(arena) {
        expectUnreadable(arena, filesBelow(join(arena.folder, 'vehicle', 'primary')), 'there');
        await expectSealed(arena, 'primary');
      },
    },
    {
      position: 'secondary',
      does: "reads its flash, and tries its key on another ECU's key object",
      outcome: 'nothing readable, key object stays sealed',
      async attack(arena) {
        expectUnreadable(arena, filesBelow(join(arena.folder, 'vehicle', 'full')), 'there');
        await expectSealed(arena, 'full');
      },
    },
  ],
  elsewhere: {
    'director-keys': 'the Director may open content keys: it seals them to each ECU (SECURITY.md)',
  },
};
