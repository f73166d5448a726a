/** Replays the attacks one after the other; the slow ones wait side by side. */
import { defaultQuotas } from '../../backend/settings.ts';
import { TestBackend, TestVehicle } from '../scenario/backend-fixture.ts';
import { type Attack, addressQuota, type Outcome } from './attack.ts';
import { identityAttacks } from './identity-attacks.ts';
import { resourceAttacks } from './resource-attacks.ts';

export const attacks: readonly Attack[] = [...identityAttacks, ...resourceAttacks];

export interface Replayed extends Outcome {
  readonly attack: Attack;
}

/** Replays every attack against a backend of its own: none meets a quota that another has used up. */
export async function replayAttacks(): Promise<readonly Replayed[]> {
  const slow = resourceAttacks.filter(({ name }) => name.startsWith('slow drip'));
  const waiting = slow.map(replay);
  const results: Replayed[] = [];
  for (const attack of attacks) {
    if (!slow.includes(attack)) results.push(await replay(attack));
  }
  results.push(...(await Promise.all(waiting)));
  const position = ({ attack }: Replayed) => attacks.indexOf(attack);
  return results.sort((a, b) => position(a) - position(b));
}

async function replay(attack: Attack): Promise<Replayed> {
  const backend = await TestBackend.start({ quotas: { ...defaultQuotas, address: addressQuota } });
  const victim = new TestVehicle('victim');
  let counter = 0;
  const manifest = () => {
    counter += 1;
    return victim.manifest({ counter });
  };
  try {
    await backend.register(victim);
    return { attack, ...(await attack.replay({ backend, victim, manifest })) };
  } finally {
    await backend.stop();
  }
}
