/** ATK-05: letting only part of a bundle be installed. The Director sees it and builds nothing on it. */
import { join } from 'node:path';
import { isRefusal } from '../../../../agent/codes.ts';
import { buildAgent } from '../../../../boards/build.ts';
import { assign } from '../../../cli/assign.ts';
import { agentLayouts, board } from '../../vehicle-layout.ts';
import type { Arena } from '../arena.ts';
import { dripImages, firmwareEcu } from '../attacker-tools.ts';
import { reportTruthfully } from '../forged-reports.ts';
import type { StandardAttack } from '../variant.ts';

/** Assigns a bundle of an agent for `full`, in the first step, and firmware in the second. */
async function assignBundle(arena: Arena): Promise<void> {
  const release = arena.updates.nextRelease;
  const { hardwareId } = agentLayouts.full;
  const filename = `full-agent-${release}.bin`;
  const outfile = join(arena.folder, '..', 'build', 'arena', `full-agent-${release}.js`);
  const { runtime } = board.engine;
  const { path } = await buildAgent({ program: 'secondary', runtime, release, outfile });
  const firmware = await arena.updates.publishFirmware();
  await arena.updates.publish(path, filename, [hardwareId], 'agent');
  await arena.updates.assign([
    { ecuId: 'full', filename, installStep: 0 },
    { ecuId: firmwareEcu, filename: firmware, installStep: 1 },
  ]);
}

/** What would need the ECU that was kept from its update is not assigned. */
async function expectNothingBuiltOn(arena: Arena): Promise<void> {
  const { hardwareId } = agentLayouts.full;
  const requires = [{ hardwareId, min: arena.updates.nextRelease + 1 }];
  const filename = await arena.updates.publishFirmware({ requires });
  const request = { vehicleId: arena.vehicleId, assignments: [{ ecuId: firmwareEcu, filename }] };
  const answer = await assign(arena.client, request);
  if (!isRefusal(answer) || answer.refused !== 'assignment-refused') {
    throw new Error('the Director gave a bundle that conflicts with what the vehicle runs');
  }
}

/** Lets a bundle begin; `act` runs as soon as `full` has confirmed its part, the first of two. */
async function afterFirstPart(arena: Arena, act: () => Promise<void> | void): Promise<void> {
  let acted: Promise<void> | undefined;
  arena.onLine = (line) => {
    if (line.startsWith('full confirmed')) acted ??= Promise.resolve(act());
  };
  await assignBundle(arena);
  await arena.until(async () => acted !== undefined, 'the first part of the bundle');
  await acted;
}

/** Without the attacker the vehicle takes what is left of the bundle. */
async function finishBundle(arena: Arena): Promise<void> {
  await arena.updates.awaitUpdate();
}

const mixed = { by: 'director', code: 'bundle-mixed', row: 'DBP-12' } as const;
const dripped = { by: 'primary', code: 'net-too-slow', row: 'ECU-03' } as const;
const outcome = 'mixture seen, no conflicting bundle follows';

export const partialBundle: StandardAttack = {
  id: 'ATK-05',
  name: 'partial-bundle',
  variants: [
    {
      position: 'inside',
      does: 'cuts one Secondary off once another has confirmed its part of the bundle',
      outcome,
      named: mixed,
      async attack(arena) {
        await afterFirstPart(arena, () => {
          arena.tap.hook = () => false;
        });
        await expectNothingBuiltOn(arena);
      },
      recover: finishBundle,
    },
    {
      position: 'outside',
      does: 'lets one image of a bundle pass, and the other drip',
      outcome: 'no part of the bundle installed',
      named: dripped,
      async attack(arena) {
        const before = await arena.director.installed();
        const mark = await arena.director.mark();
        arena.intercept = dripImages(firmwareEcu);
        await assignBundle(arena);
        await arena.director.expect(dripped, mark);
        const after = await arena.director.installed();
        for (const ecuId of ['full', firmwareEcu]) {
          if (after.get(ecuId) !== before.get(ecuId)) throw new Error(`${ecuId} took its part`);
        }
      },
      recover: finishBundle,
    },
    {
      position: 'primary',
      does: 'keeps the second part of a bundle back, and goes on reporting',
      outcome,
      named: mixed,
      async attack(arena) {
        const mark = await arena.director.mark();
        await afterFirstPart(arena, () => arena.powerOff('primary'));
        await arena.inPlaceOfPrimary(async (rogue) => {
          await arena.until(async () => {
            await reportTruthfully(arena, rogue);
            return (await arena.director.find(mixed, mark)) !== undefined;
          }, 'the Director to see the mixture');
        });
        await expectNothingBuiltOn(arena);
      },
      recover: finishBundle,
    },
    {
      position: 'secondary',
      does: 'takes no part in a bundle once another ECU has confirmed its own',
      outcome,
      named: mixed,
      async attack(arena) {
        await afterFirstPart(arena, () => arena.powerOff('partial'));
        await expectNothingBuiltOn(arena);
      },
      async recover(arena) {
        arena.powerOn('partial');
        await finishBundle(arena);
      },
    },
  ],
  elsewhere: {
    'director-keys': 'Targets without what an image requires are ATK-09',
    'image-keys': 'the server holds images back, as somebody outside does',
  },
};
