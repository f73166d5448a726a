/** ATK-05: letting only part of a bundle be installed. The Director sees it and builds nothing on it. */
import { join } from 'node:path';
import { isRefusal } from '../../../../agent/codes.ts';
import { buildAgent } from '../../../../boards/build.ts';
import { assign } from '../../../cli/assign.ts';
import { agentLayouts, board } from '../../vehicle-layout.ts';
import type { Arena } from '../arena.ts';
import { firmwareEcu } from '../attacker-tools.ts';
import type { StandardAttack } from '../variant.ts';

/** Assigns a bundle of an agent for `full`, in the first step, and firmware in the second. */
async function assignBundle(arena: Arena): Promise<void> {
  const release = arena.nextRelease;
  const { hardwareId } = agentLayouts.full;
  const filename = `full-agent-${release}.bin`;
  const outfile = join(arena.folder, '..', 'build', 'arena', `full-agent-${release}.js`);
  const { runtime } = board.engine;
  const { path } = await buildAgent({ program: 'secondary', runtime, release, outfile });
  const firmware = await arena.publishFirmware();
  await arena.publish(path, filename, [hardwareId], 'agent');
  await arena.assign([
    { ecuId: 'full', filename, installStep: 0 },
    { ecuId: firmwareEcu, filename: firmware, installStep: 1 },
  ]);
}

/** What would need the ECU that was kept from its update is not assigned. */
async function expectNothingBuiltOn(arena: Arena): Promise<void> {
  const { hardwareId } = agentLayouts.full;
  const requires = [{ hardwareId, min: arena.nextRelease + 1 }];
  const filename = await arena.publishFirmware({ requires });
  const request = { vehicleId: arena.vehicleId, assignments: [{ ecuId: firmwareEcu, filename }] };
  const answer = await assign(arena.client, request);
  if (!isRefusal(answer) || answer.refused !== 'assignment-refused') {
    throw new Error('the Director gave a bundle that conflicts with what the vehicle runs');
  }
}

export const partialBundle: StandardAttack = {
  id: 'ATK-05',
  name: 'partial-bundle',
  variants: [
    {
      position: 'inside',
      does: 'cuts one Secondary off once another has confirmed its part of the bundle',
      outcome: 'mixture seen, no conflicting bundle follows',
      named: { by: 'director', code: 'bundle-mixed', row: 'DBP-12' },
      async attack(arena) {
        arena.onLine = (line) => {
          if (line.startsWith('full confirmed')) arena.tap.hook = () => false;
        };
        await assignBundle(arena);
        await arena.until(async () => arena.tap.hook !== undefined, 'the first part of the bundle');
        await expectNothingBuiltOn(arena);
      },
    },
  ],
};
