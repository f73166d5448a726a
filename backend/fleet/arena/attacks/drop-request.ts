/** ATK-02: dropping requests. Old software runs on, it is tried again, and the Director learns of it. */
import { failedCyclesReported } from '../../../../agent/limits.ts';
import { failedCycles } from '../attacker-tools.ts';
import type { StandardAttack } from '../variant.ts';

export const dropRequest: StandardAttack = {
  id: 'ATK-02',
  name: 'drop-request',
  variants: [
    {
      position: 'outside',
      does: 'drops every request of the vehicle',
      slow: true,
      outcome: 'tried again with growing pauses',
      named: { by: 'primary', code: 'net-closed', row: 'VER-01' },
      async attack(arena) {
        arena.intercept = async () => {
          throw new Error('dropped');
        };
        await failedCycles(arena, failedCyclesReported);
        arena.intercept = undefined;
        await arena.restartPrimary();
      },
    },
    {
      position: 'inside',
      does: 'drops every frame to and from one Secondary',
      outcome: 'the others go on',
      named: { by: 'partial', code: 'secondary-silent', row: 'PRI-15' },
      attack(arena) {
        arena.tap.hook = () => false;
      },
    },
    {
      position: 'secondary',
      does: 'does not answer its Primary',
      outcome: 'the others go on',
      named: { by: 'full', code: 'secondary-silent', row: 'PRI-15' },
      attack: (arena) => arena.powerOff('full'),
      recover: async (arena) => arena.powerOn('full'),
    },
    {
      position: 'primary',
      does: 'sends nothing any more',
      outcome: 'missed by the Director',
      named: { by: 'director', code: 'vehicle-silent', row: 'DIR-08' },
      attack: (arena) => arena.powerOff('primary'),
      recover: async (arena) => arena.powerOn('primary'),
    },
  ],
  elsewhere: {
    'director-keys': 'keys sign, they drop nothing: as from outside',
    'image-keys': 'keys sign, they drop nothing: as from outside',
  },
};
