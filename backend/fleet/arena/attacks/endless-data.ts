/** ATK-08: sending without end. Everything is cut at the signed or configured bound. */
import { maxTimestampBytes, maxUdsMessageBytes } from '../../../../agent/limits.ts';
import { endlessData as endlessTimestamp } from '../../attacks/endless-data.ts';
import type { StandardAttack } from '../variant.ts';

const endlessReports = { by: 'partial', code: 'iso-tp-overflow', row: 'HRD-13' } as const;

export const endlessData: StandardAttack = {
  id: 'ATK-08',
  name: 'endless-data',
  variants: [
    {
      position: 'outside',
      does: 'answers with a Timestamp without end',
      outcome: 'cut at the bound',
      named: { by: 'primary', code: 'net-endless', row: 'CTS-01' },
      attack(arena) {
        arena.intercept = endlessTimestamp().intercept;
      },
    },
    {
      position: 'image-keys',
      does: 'appends to the image',
      outcome: 'cut at the signed length',
      named: { by: 'primary', code: 'net-endless', row: 'INS-09' },
      needsUpdate: true,
      attack(arena) {
        arena.intercept = async ({ path, forward }) => {
          if (!path.startsWith('/targets/')) return undefined;
          const answer = await forward();
          const body = Buffer.concat([answer.body, new Uint8Array(50_000)]);
          return {
            status: 200,
            headers: { 'content-type': answer.headers['content-type']! },
            body,
          };
        };
      },
    },
    {
      position: 'primary',
      does: 'hands a Secondary a Timestamp above the bound',
      outcome: 'refused by its size',
      named: { by: 'full', code: 'net-endless', row: 'CTS-01' },
      attack: (arena) =>
        arena.asPrimary((rogue) =>
          rogue.offer(rogue.full, (_repository, name) =>
            name === 'timestamp.cbor' ? new Uint8Array(maxTimestampBytes + 1) : undefined,
          ),
        ),
    },
    {
      position: 'secondary',
      does: 'answers with reports beyond the bound',
      outcome: 'refused as it is announced, the others go on',
      named: endlessReports,
      async attack(arena) {
        const mark = await arena.director.mark();
        const endless = new Uint8Array(maxUdsMessageBytes + 1);
        await arena.asSecondary(
          () => endless,
          async () => {
            await arena.director.expect(endlessReports, mark);
          },
        );
      },
    },
  ],
  elsewhere: {
    inside: "frames without the Primary's proof (0x29) reach no decoder",
    'director-keys': 'lengths are bounded before signatures are looked at: as from outside',
  },
};
