/** Pairs the new Snapshot with the Targets of before: both are signed, not together (CTG-02). */
import type { Attack } from './attack.ts';
import type { Answer } from './attacker-proxy.ts';

export function mixAndMatch(): Attack {
  let older: Answer | undefined;
  return {
    name: 'mix-and-match',
    position: 'outside the vehicle, in the middle',
    prepare: ({ healthyCycles }) => healthyCycles(1),
    async intercept({ repository, path, forward }) {
      if (repository !== 'director' || !path.endsWith('.targets.cbor')) return undefined;
      older ??= await forward();
      return older;
    },
  };
}
