/** ATK-04: showing old metadata for ever. It expires, and time never goes back. */
import { freeze as freezeTimestamp } from '../../attacks/freeze.ts';
import { attestTime, forgeChain } from '../stolen-keys.ts';
import type { StandardAttack } from '../variant.ts';

const anHourAgo = () => Math.floor(Date.now() / 1_000) - 3_600;

export const freeze: StandardAttack = {
  id: 'ATK-04',
  name: 'freeze',
  variants: [
    {
      position: 'outside',
      does: 'serves the same signed Timestamp until it expires',
      slow: true,
      named: { by: 'primary', code: 'metadata-expired', row: 'CTS-04' },
      attack(arena) {
        arena.intercept = freezeTimestamp().intercept;
      },
    },
    {
      position: 'director-keys',
      does: 'signs Targets that have expired',
      named: { by: 'primary', code: 'metadata-expired', row: 'CTG-05' },
      attack(arena) {
        arena.intercept = forgeChain(arena, {
          repository: 'director',
          targets: (honest) => ({ ...honest, expires: anHourAgo() }),
        });
      },
    },
    {
      position: 'director-keys',
      does: 'attests a time of an hour ago',
      named: { by: 'primary', code: 'time-backwards', row: 'TIM-04' },
      attack(arena) {
        arena.intercept = attestTime(arena, anHourAgo);
      },
    },
    {
      position: 'image-keys',
      does: 'signs a Timestamp that has expired',
      named: { by: 'primary', code: 'metadata-expired', row: 'CTS-04' },
      needsUpdate: true,
      attack(arena) {
        arena.intercept = forgeChain(arena, {
          repository: 'images',
          timestamp: (next) => ({ ...next, expires: anHourAgo() }),
        });
      },
    },
    {
      position: 'primary',
      does: 'hands a Secondary the time of an earlier cycle',
      named: { by: 'full', code: 'time-nonce', row: 'HRD-03' },
      attack: (arena) =>
        arena.asPrimary(async ({ full }) => {
          await full.nonce();
          const taken = await full.checkTime(arena.recorded.times.at(-1)!);
          if (taken === undefined) throw new Error('full took an old time');
        }),
    },
  ],
  elsewhere: {
    inside: "old frames fail the Primary's proof (0x29), as in ATK-10",
    secondary: 'it hands metadata to nobody',
  },
};
