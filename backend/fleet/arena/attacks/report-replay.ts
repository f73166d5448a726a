/** ATK-14: replaying or forging what a vehicle reports. The Director drops it whole, and notes it. */
import { encode } from '../../../../agent/codec/schema.ts';
import type { Report } from '../../../../agent/metadata/report.ts';
import { reportsMessage } from '../../../../agent/metadata/vehicle-messages.ts';
import { generateKeyPair } from '../../../../hal/node/signing.ts';
import type { Arena } from '../arena.ts';
import { firmwareEcu } from '../attacker-tools.ts';
import { forgedReport, manifestOf } from '../forged-reports.ts';
import { ecuKey } from '../rogue-primary.ts';
import type { Named, StandardAttack } from '../variant.ts';

const replayed: Named = { by: 'director', code: 'report-replayed', row: 'DIR-12' };
const mismatch: Named = { by: 'director', code: 'report-mismatch', row: 'DIR-06' };

/** `partial` reports lies, signed with its own keys, through the real Primary, until it is noted. */
async function lieUntil(arena: Arena, lie: Partial<Report>, noted: Named): Promise<void> {
  const agent = arena.agent('partial');
  const ecuIds = ['partial', firmwareEcu];
  const reports = () =>
    encode(
      reportsMessage,
      ecuIds.map((ecuId) => forgedReport(arena, 'partial', ecuId, ecuKey(agent, ecuId), lie)),
    );
  const mark = await arena.director.mark();
  await arena.asSecondary(reports, async () => {
    await arena.director.expect(noted, mark);
  });
}

export const reportReplay: StandardAttack = {
  id: 'ATK-14',
  name: 'report-replay',
  variants: [
    {
      position: 'outside',
      does: 'sends a recorded manifest again',
      outcome: 'dropped by the Director',
      named: { by: 'director', code: 'report-replayed', row: 'DIR-12' },
      async attack(arena) {
        await arena.postManifest(arena.recorded.manifests[0]!);
      },
    },
    {
      position: 'outside',
      does: 'sends a manifest signed by a key of its own',
      outcome: 'dropped by the Director',
      named: { by: 'director', code: 'signature-threshold', row: 'DIR-09' },
      async attack(arena) {
        const own = generateKeyPair('ESP256');
        await arena.postManifest(
          manifestOf(arena, [forgedReport(arena, 'primary', 'primary', own)], own),
        );
      },
    },
    {
      position: 'primary',
      does: 'signs the report of a Secondary itself',
      outcome: 'dropped by the Director',
      named: { by: 'director', code: 'signature-threshold', row: 'DIR-10' },
      async attack(arena) {
        const key = ecuKey(arena.agent('primary'), 'primary');
        await arena.postManifest(
          manifestOf(arena, [forgedReport(arena, 'full', 'full', key)], key),
        );
      },
    },
    {
      position: 'secondary',
      does: 'repeats an earlier report of its own',
      outcome: 'dropped by the Director',
      named: replayed,
      attack: (arena) => lieUntil(arena, { counter: 1 }, replayed),
    },
    {
      position: 'secondary',
      does: 'passes for other hardware',
      outcome: 'dropped by the Director',
      named: mismatch,
      attack: (arena) => lieUntil(arena, { hardwareId: 'emulated-gateway' }, mismatch),
    },
  ],
  elsewhere: {
    inside: 'a report that is no answer to the Primary is read by nobody',
    'director-keys': 'the Director receives reports, its keys sign none',
    'image-keys': 'the Image repository receives no report',
  },
};
