/** Replays an older, properly signed Director Timestamp after the vehicle has seen a newer (CTS-03). */
import type { Attack } from './attack.ts';
import type { Answer } from './attacker-proxy.ts';

export function rollback(): Attack {
  let recorded: Answer | undefined;
  let attacking = false;
  return {
    name: 'rollback',
    position: 'outside the vehicle, in the middle',
    async prepare({ operator, vehicleId, healthyCycles }) {
      await healthyCycles(1);
      await operator.ota('metadata', 'refresh', '--vehicle', vehicleId);
      await healthyCycles(2);
      attacking = true;
    },
    async intercept({ repository, path, forward }) {
      if (repository !== 'director' || !path.endsWith('/timestamp.cbor')) return undefined;
      if (attacking) return recorded;
      recorded ??= await forward();
      return undefined;
    },
  };
}
