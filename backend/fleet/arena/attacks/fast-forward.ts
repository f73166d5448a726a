/** ATK-11: driving versions or time so far ahead that nothing true follows. New keys bring it back. */
import { maxVersionsRecovered } from '../../../../agent/limits.ts';
import type { RepositoryName } from '../../../../agent/metadata/common.ts';
import type { Arena } from '../arena.ts';
import { forgeChain } from '../stolen-keys.ts';
import type { StandardAttack } from '../variant.ts';

const jump = 5 * maxVersionsRecovered;

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
    // The vehicle asks for the Snapshot of a Timestamp that it has accepted.
    if (exchange.repository === repository && exchange.path.endsWith('.snapshot.cbor')) {
      taken = true;
    }
    return chain(exchange);
  };
  // The Image repository is asked only when there is something to install (FV-06).
  if (repository === 'images') await arena.offerUpdate();
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
      position: 'image-keys',
      does: `signs a Timestamp with a version ${jump} ahead`,
      outcome: 'taken, then recovered by new keys',
      named: { by: 'primary', code: 'metadata-rollback', row: 'CTS-03' },
      attack: (arena) => fastForward(arena, 'images'),
      recover: (arena) => rotate(arena, 'images', ['timestamp', 'snapshot']),
    },
  ],
};
