/** ATK-03: sending so slowly that nothing ever arrives. Given up below the least rate, and told. */
import { setTimeout } from 'node:timers/promises';
import { slowWindowMilliseconds } from '../../../../agent/limits.ts';
import { slowRetrieval as drip } from '../../attacks/slow-retrieval.ts';
import { dripImages, honestFile } from '../attacker-tools.ts';
import type { StandardAttack } from '../variant.ts';

const tooSlow = { by: 'primary', code: 'net-too-slow', row: 'ECU-03' } as const;

export const slowRetrieval: StandardAttack = {
  id: 'ATK-03',
  name: 'slow-retrieval',
  variants: [
    {
      position: 'outside',
      does: "lets the Director's Timestamp drip",
      outcome: 'transfer given up',
      named: tooSlow,
      attack(arena) {
        arena.intercept = drip().intercept;
      },
    },
    {
      position: 'image-keys',
      does: 'lets the image drip',
      outcome: 'transfer given up',
      named: tooSlow,
      needsUpdate: true,
      attack(arena) {
        arena.intercept = dripImages('');
      },
    },
    {
      position: 'primary',
      does: 'keeps a Secondary waiting for metadata, but not silent',
      outcome: 'retrieval given up',
      named: { by: 'full', code: 'net-too-slow', row: 'ECU-03' },
      attack: (arena) =>
        arena.asPrimary((rogue) =>
          rogue.offer(rogue.full, async (repository, name) => {
            const file = await honestFile(arena, repository, name);
            // The session is kept meanwhile (TesterPresent): silence alone would end it.
            if (file !== undefined) await setTimeout(3 * slowWindowMilliseconds);
            return file;
          }),
        ),
    },
  ],
  elsewhere: {
    inside: 'frames held back are as good as dropped ones: ATK-02',
    'director-keys': 'keys sign, they slow nothing down: as from outside',
    secondary: 'it retrieves for itself alone; slow answers are given up like none: ATK-02',
  },
};
