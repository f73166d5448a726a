/** Reports and manifests as an attacker makes them who holds the keys of an ECU, or none. */
import { decode, encode, unsigned } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { hashAlgorithms } from '../../../agent/metadata/common.ts';
import { manifest, type Report, report } from '../../../agent/metadata/report.ts';
import { createFileKeyValue } from '../../../hal/emulated/key-value.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { type KeyPair, signerOf } from '../../../hal/node/signing.ts';
import type { AgentName } from '../vehicle-layout.ts';
import type { Arena } from './arena.ts';
import { ecuKey, type RoguePrimary } from './rogue-primary.ts';
import { documentOf } from './stolen-keys.ts';

const crypto = createNodeCrypto();
const keyValueOf = (arena: Arena, name: AgentName) =>
  createFileKeyValue(arena.agent(name).keyValueFolder);
const counterKey = (ecuId: string) => `report-counter/${ecuId}`;

/** A report of what is not there, with a later counter of an ECU, unless `changes` say otherwise. */
export function forgedReport(
  arena: Arena,
  name: AgentName,
  ecuId: string,
  key: KeyPair,
  changes: Partial<Report> = {},
): Uint8Array {
  const ecu = arena.agent(name).ecus.find((one) => one.ecuId === ecuId)!;
  const forged: Report = {
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
  };
  return signedReport(forged, key);
}

function signedReport(document: Report, key: KeyPair): Uint8Array {
  const payload = encode(report, document);
  return signEnvelope(crypto, [signerOf(key)], 'report', payload, { payloadHash: true });
}

function lastCounter(arena: Arena, name: AgentName, ecuId: string): number {
  const bytes = keyValueOf(arena, name).read(counterKey(ecuId))!;
  const counter = decode(unsigned, bytes, bytes.length);
  if (isRefusal(counter)) throw new Error(counter.detail);
  return counter;
}

/** A manifest over reports, signed with what passes for the Primary's key. */
export function manifestOf(arena: Arena, reports: readonly Uint8Array[], key: KeyPair): Uint8Array {
  const { vehicleId } = arena;
  const payload = encode(manifest, { vehicleId, primaryEcuId: 'primary', reports });
  return signEnvelope(crypto, [signerOf(key)], 'manifest', payload, { payloadHash: true });
}

/**
 * What a compromised Primary has to send if it wants to be believed: true reports, since it cannot
 * sign those of others. It counts its own on, for its return to duty. What is refused on the way,
 * by an ECU that restarts or by the Director, stands in the arena's lines.
 */
export async function reportTruthfully(
  arena: Arena,
  { full, partial }: RoguePrimary,
): Promise<void> {
  const gathered: Uint8Array[] = [];
  for (const secondary of [full, partial]) {
    const reports = await secondary.reports();
    if (isRefusal(reports)) {
      arena.lines.push(`rogue primary: ${reports.refused}: ${reports.detail}`);
      return;
    }
    gathered.push(...reports.map((one) => one.slice()));
  }
  const key = ecuKey(arena.agent('primary'), 'primary');
  const counter = lastCounter(arena, 'primary', 'primary') + 1;
  keyValueOf(arena, 'primary').write(counterKey('primary'), encode(unsigned, counter));
  const [before] = documentOf(manifest, arena.recorded.manifests.at(-1)!).reports;
  const own = signedReport({ ...documentOf(report, before!), counter }, key);
  const status = await arena.postManifest(manifestOf(arena, [own, ...gathered], key));
  if (status !== 200) arena.lines.push(`rogue primary: manifest answered with ${status}`);
}
