/** Keeps serving the Timestamp of before the update, properly signed, until it expires (CTS-04). */
import type { Attack } from './attack.ts';
import type { Answer } from './attacker-proxy.ts';

export function freeze(): Attack {
  let frozen: Answer | undefined;
  return {
    name: 'freeze',
    position: 'outside the vehicle, in the middle',
    // The Director's metadata lives for seconds instead of a day, so that a person sees the end.
    backend: { TIMESTAMP_SECONDS: '10' },
    prepare: ({ healthyCycles }) => healthyCycles(1),
    async intercept({ repository, path, forward }) {
      if (repository !== 'director' || !path.endsWith('/timestamp.cbor')) return undefined;
      frozen ??= await forward();
      return frozen;
    },
  };
}
