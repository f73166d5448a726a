/** ATK-03: sending so slowly that nothing ever arrives. Given up below the least rate, and told. */
import { slowRetrieval as drip } from '../../attacks/slow-retrieval.ts';
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
        const slow = drip();
        // The same drip, for another file: it looks at the end of the path.
        arena.intercept = async (exchange) =>
          exchange.path.startsWith('/targets/')
            ? slow.intercept({ ...exchange, repository: 'director', path: '/timestamp.cbor' })
            : undefined;
      },
    },
  ],
};
