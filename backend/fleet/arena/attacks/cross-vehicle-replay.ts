/** ATK-13: showing a vehicle what was signed for another one. Every Director file names its vehicle. */
import { crossVehicleReplay as replay } from '../../attacks/cross-vehicle-replay.ts';
import type { StandardAttack } from '../variant.ts';

const attacker = replay();

export const crossVehicleReplay: StandardAttack = {
  id: 'ATK-13',
  name: 'cross-vehicle-replay',
  variants: [
    {
      position: 'outside',
      does: "serves the empty bundle of the attacker's own vehicle",
      named: { by: 'primary', code: 'vehicle-mismatch', row: 'HRD-01' },
      prepare: (arena) => attacker.prepare!(arena),
      attack(arena) {
        arena.intercept = (exchange) => attacker.intercept(exchange);
      },
    },
    {
      position: 'primary',
      does: "hands a Secondary another vehicle's Targets",
      named: { by: 'partial', code: 'vehicle-mismatch', row: 'HRD-01' },
      async attack(arena) {
        const path = `${arena.directorUrl}/manifest/another-vehicle`;
        const other = new Uint8Array(await (await fetch(path)).arrayBuffer());
        await arena.asPrimary((rogue) =>
          rogue.offer(rogue.partial, (_repository, name) =>
            name === 'targets.cbor' ? other : undefined,
          ),
        );
      },
    },
  ],
  elsewhere: {
    inside: "frames without the Primary's proof (0x29) reach no decoder",
    'director-keys': 'who has them signs for each vehicle: ATK-09, ATK-10, ATK-12',
    'image-keys': 'Image metadata is the same for every vehicle',
    secondary: 'it hands metadata to nobody',
  },
};
