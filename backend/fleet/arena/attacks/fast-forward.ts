/** ATK-11: driving versions or time so far ahead that nothing true follows. New keys bring it back. */
import { maxVersionsRecovered } from '../../../../agent/limits.ts';
import type { RepositoryName } from '../../../../agent/metadata/common.ts';
import type { Arena } from '../arena.ts';
import { attestTime, forgeChain } from '../stolen-keys.ts';
import type { StandardAttack } from '../variant.ts';

const jump = 5 * maxVersionsRecovered;
const expired = { by: 'primary', code: 'metadata-expired', row: 'CRT-06' } as const;
const aheadSeconds = 20 * 365 * 86_400;

/** The keys that were stolen are replaced by Root; vehicles then forget what those have signed. */
async function rotate(arena: Arena, repository: RepositoryName, roles: string[]): Promise<void> {
  for (const role of roles) {
    await arena.operator.ota('root', 'rotate', '--repository', repository, '--role', role);
  }
}

/** Lets the vehicle take a Timestamp with a version far ahead, properly signed. */
async function fastForward(arena: Arena, repository: RepositoryName): Promise<void> {
  let taken = false;
  const chain = forgeChain(arena, {
    repository,
    timestamp: (next) => ({ ...next, version: next.version + jump }),
  });
  arena.intercept = async (exchange) => {
    const { repository: asked, path } = exchange;
    if (asked !== repository || !path.endsWith('.snapshot.cbor')) return chain(exchange);
    // The vehicle asks for the Snapshot of a Timestamp that it has accepted.
    taken = true;
    // With this Snapshot the update would be installed, and the Image repository be asked no more.
    return repository === 'images' ? undefined : chain(exchange);
  };
  // The Image repository is asked only when there is something to install (FV-06).
  if (repository === 'images') await arena.updates.offerUpdate();
  await arena.until(async () => taken, 'the vehicle to take the forged Timestamp');
  arena.intercept = undefined;
}

export const fastForwardAttack: StandardAttack = {
  id: 'ATK-11',
  name: 'fast-forward',
  variants: [
    {
      position: 'director-keys',
      does: `signs a Timestamp with a version ${jump} ahead`,
      outcome: 'taken, then recovered by new keys',
      named: { by: 'primary', code: 'metadata-rollback', row: 'CTS-03' },
      attack: (arena) => fastForward(arena, 'director'),
      recover: (arena) => rotate(arena, 'director', ['timestamp', 'snapshot', 'targets']),
    },
    {
      position: 'director-keys',
      does: 'attests a time twenty years ahead',
      outcome: 'taken, then recovered by a new key, and told',
      named: { by: 'director', code: 'report-time', row: 'DIR-11' },
      attack(arena) {
        const future = () => Math.floor(Date.now() / 1_000) + aheadSeconds;
        arena.intercept = attestTime(arena, future);
      },
      async recover(arena) {
        const mark = await arena.director.mark();
        await rotate(arena, 'director', ['time']);
        // No manifest of that time was accepted: the first one after it names what was refused.
        await arena.director.expect(expired, mark);
      },
    },
    {
      position: 'image-keys',
      does: `signs a Timestamp with a version ${jump} ahead`,
      outcome: 'taken, then recovered by new keys',
      named: { by: 'primary', code: 'metadata-rollback', row: 'CTS-03' },
      attack: (arena) => fastForward(arena, 'images'),
      recover: (arena) => rotate(arena, 'images', ['timestamp', 'snapshot']),
    },
  ],
  elsewhere: {
    outside: 'without keys nothing is signed: ATK-10',
    inside: 'without keys nothing is signed: ATK-10',
    primary: 'without keys nothing is signed: ATK-10',
    secondary: 'without keys nothing is signed; its reported versions are bounded (MET-07)',
  },
};
