/** ATK-14: replaying or forging what a vehicle reports. The Director drops it whole, and notes it. */
import { decode, encode, unsigned } from '../../../../agent/codec/schema.ts';
import { isRefusal } from '../../../../agent/codes.ts';
import { signEnvelope } from '../../../../agent/crypto/sign-envelope.ts';
import { hashAlgorithms } from '../../../../agent/metadata/common.ts';
import { manifest, type Report, report } from '../../../../agent/metadata/report.ts';
import { createFileKeyValue } from '../../../../hal/emulated/key-value.ts';
import { createNodeCrypto } from '../../../../hal/node/crypto.ts';
import { generateKeyPair, type KeyPair, signerOf } from '../../../../hal/node/signing.ts';
import type { AgentName } from '../../vehicle-layout.ts';
import type { Arena } from '../arena.ts';
import { firmwareEcu } from '../attacker-tools.ts';
import { ecuKey } from '../rogue-primary.ts';
import type { Named, StandardAttack } from '../variant.ts';

const crypto = createNodeCrypto();

/** A report with the next counter of an ECU, unless `changes` say otherwise. */
function reportOf(
  arena: Arena,
  name: AgentName,
  ecuId: string,
  key: KeyPair,
  changes: Partial<Report> = {},
): Uint8Array {
  const ecu = arena.agent(name).ecus.find((one) => one.ecuId === ecuId)!;
  const payload = encode(report, {
    ecuId,
    vehicleId: arena.vehicleId,
    hardwareId: ecu.hardwareId,
    installed: {
      filename: 'forged.bin',
      length: 1,
      hashes: [{ key: hashAlgorithms['SHA-256'], value: new Uint8Array(32) }],
      releaseCounter: 999,
    },
    detections: [],
    time: 0,
    counter: lastCounter(arena, name, ecuId) + 1_000,
    ...(ecu.hostedBy && { hostedBy: ecu.hostedBy }),
    ...changes,
  });
  return signEnvelope(crypto, [signerOf(key)], 'report', payload, { payloadHash: true });
}

function lastCounter(arena: Arena, name: AgentName, ecuId: string): number {
  const stored = createFileKeyValue(arena.agent(name).keyValueFolder);
  const bytes = stored.read(`report-counter/${ecuId}`)!;
  const counter = decode(unsigned, bytes, bytes.length);
  if (isRefusal(counter)) throw new Error(counter.detail);
  return counter;
}

function sign(arena: Arena, reports: readonly Uint8Array[], key: KeyPair): Uint8Array {
  const { vehicleId } = arena;
  const payload = encode(manifest, { vehicleId, primaryEcuId: 'primary', reports });
  return signEnvelope(crypto, [signerOf(key)], 'manifest', payload, { payloadHash: true });
}

const replayed: Named = { by: 'director', code: 'report-replayed', row: 'DIR-12' };
const mismatch: Named = { by: 'director', code: 'report-mismatch', row: 'DIR-06' };

/** `partial` reports lies, signed with its own keys, through the real Primary, until it is noted. */
async function lieUntil(arena: Arena, lie: Partial<Report>, noted: Named): Promise<void> {
  const agent = arena.agent('partial');
  const reports = () =>
    ['partial', firmwareEcu].map((ecuId) =>
      reportOf(arena, 'partial', ecuId, ecuKey(agent, ecuId), lie),
    );
  const mark = await arena.mark();
  await arena.asSecondary(reports, async () => {
    await arena.expect(noted, mark);
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
        await arena.postManifest(sign(arena, [reportOf(arena, 'primary', 'primary', own)], own));
      },
    },
    {
      position: 'primary',
      does: 'signs the report of a Secondary itself',
      outcome: 'dropped by the Director',
      named: { by: 'director', code: 'signature-threshold', row: 'DIR-10' },
      async attack(arena) {
        const key = ecuKey(arena.agent('primary'), 'primary');
        await arena.postManifest(sign(arena, [reportOf(arena, 'full', 'full', key)], key));
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
};
