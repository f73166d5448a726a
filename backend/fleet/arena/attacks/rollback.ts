/** ATK-07: going back to old metadata or an old image. Versions and release counters only rise. */
import { MetadataStore } from '../../../../agent/verify/metadata-store.ts';
import { createFileKeyValue } from '../../../../hal/emulated/key-value.ts';
import {
  assignedTo,
  fileAnswer,
  firmwareEcu,
  listedFirmware,
  meet,
  newestTargets,
} from '../attacker-tools.ts';
import { forgeChain } from '../stolen-keys.ts';
import type { StandardAttack } from '../variant.ts';

export const rollback: StandardAttack = {
  id: 'ATK-07',
  name: 'rollback',
  variants: [
    {
      position: 'outside',
      does: 'replays an older signed Timestamp',
      named: { by: 'primary', code: 'metadata-rollback', row: 'CTS-03' },
      async prepare(arena) {
        await arena.updates.refresh();
        await arena.healthyCycles(2);
      },
      attack(arena) {
        const older = arena.recorded.timestamps[0]!;
        arena.intercept = meet('director', '/timestamp.cbor', () => fileAnswer(older));
      },
    },
    {
      position: 'director-keys',
      does: 'assigns an older release that is still listed',
      named: { by: 'primary', code: 'target-rollback', row: 'FV-15' },
      prepare: async (arena) => {
        await arena.updates.awaitUpdate();
        await arena.updates.awaitUpdate();
      },
      async attack(arena) {
        const older = (await listedFirmware(arena)).at(-1)!;
        arena.intercept = forgeChain(arena, {
          repository: 'director',
          targets: (honest) => ({ ...honest, targets: [assignedTo(older, firmwareEcu)] }),
        });
      },
    },
    {
      position: 'director-keys',
      does: 'signs a Snapshot that lists older Targets',
      named: { by: 'primary', code: 'metadata-rollback', row: 'CSN-05' },
      attack(arena) {
        arena.intercept = forgeChain(arena, {
          repository: 'director',
          snapshot: (next) => ({ ...next, versions: [{ key: 'targets', value: 1 }] }),
        });
      },
    },
    {
      position: 'image-keys',
      does: 'signs a Snapshot that lists older Targets',
      named: { by: 'primary', code: 'metadata-rollback', row: 'CSN-05' },
      needsUpdate: true,
      attack(arena) {
        arena.intercept = forgeChain(arena, {
          repository: 'images',
          snapshot: (next) => ({ ...next, versions: [{ key: 'targets', value: 1 }] }),
        });
      },
      recover: (arena) => arena.updates.outrunImages(),
    },
    {
      position: 'primary',
      does: 'hands a Secondary older Director Targets',
      named: { by: 'partial', code: 'metadata-rollback', row: 'CTG-04' },
      prepare: async (arena) => {
        await arena.updates.awaitUpdate();
      },
      async attack(arena) {
        const { document } = await newestTargets(arena, 'director');
        const older = await arena.fetch('director', `${document.version - 1}.targets.cbor`);
        const store = new MetadataStore(createFileKeyValue(arena.agent('primary').keyValueFolder));
        await arena.asPrimary((rogue) =>
          rogue.offer(rogue.partial, (repository, name) =>
            name === 'targets.cbor' ? older : store.read(repository, name),
          ),
        );
      },
    },
  ],
  elsewhere: {
    inside: "old frames fail the Primary's proof (0x29), as in ATK-10",
    secondary: 'it hands metadata to nobody; its old reports are ATK-14',
  },
};
