/** ATK-09: combining what is signed, but not together. Bound by Snapshots, judged, compared. */
import {
  assignedTo,
  fileAnswer,
  firmwareEcu,
  honestFile,
  listedFirmware,
  meet,
  newestTargets,
} from '../attacker-tools.ts';
import { forgeChain } from '../stolen-keys.ts';
import type { StandardAttack } from '../variant.ts';

export const mixAndMatch: StandardAttack = {
  id: 'ATK-09',
  name: 'mix-and-match',
  variants: [
    {
      position: 'outside',
      does: 'pairs the new Snapshot with older Targets',
      named: { by: 'primary', code: 'targets-version-mismatch', row: 'CTG-02' },
      needsUpdate: true,
      async attack(arena) {
        const older = await newestTargets(arena, 'director');
        arena.intercept = meet('director', '.targets.cbor', () => fileAnswer(older.file));
      },
    },
    {
      position: 'director-keys',
      does: 'assigns an image without what it requires',
      named: { by: 'primary', code: 'bundle-incompatible', row: 'DIR-13' },
      async attack(arena) {
        await arena.updates.publishFirmware({
          requires: [{ hardwareId: 'emulated-gateway', min: 999 }],
        });
        const [newest] = await listedFirmware(arena);
        arena.intercept = forgeChain(arena, {
          repository: 'director',
          targets: (honest) => ({ ...honest, targets: [assignedTo(newest!, firmwareEcu)] }),
        });
      },
    },
    {
      position: 'director-keys',
      does: "gives an image's name to other content",
      named: { by: 'primary', code: 'target-mismatch', row: 'FV-13' },
      async attack(arena) {
        const [newest] = await listedFirmware(arena);
        const hashes = newest!.hashes.map((hash) => ({ ...hash, value: new Uint8Array(32) }));
        const target = assignedTo({ ...newest!, hashes }, firmwareEcu);
        arena.intercept = forgeChain(arena, {
          repository: 'director',
          targets: (honest) => ({ ...honest, targets: [target] }),
        });
      },
    },
    {
      position: 'image-keys',
      does: 'signs a Timestamp that names another Snapshot',
      named: { by: 'primary', code: 'snapshot-mismatch', row: 'CSN-02' },
      needsUpdate: true,
      attack(arena) {
        arena.intercept = forgeChain(arena, {
          repository: 'images',
          timestamp: (next) => {
            const hashes = next.snapshot.hashes.map((one) => ({
              ...one,
              value: new Uint8Array(32),
            }));
            return { ...next, snapshot: { ...next.snapshot, hashes } };
          },
        });
      },
      recover: (arena) => arena.updates.outrunImages(),
    },
    {
      position: 'primary',
      does: 'hands a Secondary older Targets beside the new Snapshot',
      named: { by: 'full', code: 'targets-version-mismatch', row: 'CTG-02' },
      async prepare(arena) {
        await arena.updates.awaitUpdate();
      },
      async attack(arena) {
        const older = await newestTargets(arena, 'director');
        await arena.healthyCycles(2);
        await arena.powerOff('primary');
        // The Secondary has not seen what comes now.
        await arena.updates.offerUpdate();
        await arena.inPlaceOfPrimary((rogue) =>
          rogue.offer(rogue.full, (repository, name) =>
            repository === 'director' && name.endsWith('.targets.cbor')
              ? older.file
              : honestFile(arena, repository, name),
          ),
        );
      },
    },
  ],
  elsewhere: {
    inside: "frames without the Primary's proof (0x29) reach no decoder",
    secondary: 'it hands metadata to nobody',
  },
};
