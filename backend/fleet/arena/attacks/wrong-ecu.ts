/** ATK-12: giving ECUs what is not for them. Hardware, ECU ids and their number are compared. */
import type { Target } from '../../../../agent/metadata/targets.ts';
import type { Arena } from '../arena.ts';
import { assignedTo, firmwareEcu, listedFirmware } from '../attacker-tools.ts';
import { forgeChain } from '../stolen-keys.ts';
import type { StandardAttack } from '../variant.ts';

/** Director Targets with these entries instead. */
async function forge(arena: Arena, entries: (newest: Target) => readonly Target[]): Promise<void> {
  const [newest] = await listedFirmware(arena);
  arena.intercept = forgeChain(arena, {
    repository: 'director',
    targets: (honest) => ({ ...honest, targets: entries(newest!) }),
  });
}

export const wrongEcu: StandardAttack = {
  id: 'ATK-12',
  name: 'wrong-ecu',
  variants: [
    {
      position: 'director-keys',
      does: 'assigns an image to an ECU with other hardware',
      named: { by: 'primary', code: 'target-hardware', row: 'VIM-02' },
      attack: (arena) => forge(arena, (newest) => [assignedTo(newest, 'full')]),
    },
    {
      position: 'director-keys',
      does: 'assigns two images to one ECU',
      named: { by: 'primary', code: 'targets-ecu-repeated', row: 'CTG-07' },
      attack: (arena) =>
        forge(arena, (newest) => [
          assignedTo(newest, firmwareEcu),
          assignedTo(newest, firmwareEcu),
        ]),
    },
    {
      position: 'director-keys',
      does: 'assigns an image to an ECU of another vehicle',
      named: { by: 'primary', code: 'targets-ecu-unknown', row: 'CTG-08' },
      attack: (arena) => forge(arena, (newest) => [assignedTo(newest, 'somebody-else')]),
    },
  ],
  elsewhere: {
    outside: 'without keys nothing is assigned: ATK-10',
    inside: 'without keys nothing is assigned: ATK-10',
    'image-keys': 'what fits which hardware is signed by the offline Targets keys',
    primary: 'a Secondary takes what its own verified Targets assign to it: ATK-10',
    secondary: 'it assigns nothing',
  },
};
