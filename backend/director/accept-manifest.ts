/**
 * Taking a vehicle version manifest: whole or not at all (Uptane §5.3.2.1). What it says is stored,
 * logged and acted upon in one transaction; a dropped one leaves an anomaly (DIR-07, DBP-09).
 */
import { attackOf, isCode, isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import type { ManifestAnswer } from '../../agent/metadata/device-messages.ts';
import { BatchWindow } from '../batch-window.ts';
import { historyEntries } from '../http/messages.ts';
import type { Services } from '../services.ts';
import { forgetUnconfirmedImages } from '../store/images.ts';
import { forgetUrgentVehicle, isUrgentVehicle } from '../store/inventory.ts';
import {
  absenceOfEcu,
  forgetAbsence,
  insertDetection,
  insertManifest,
  storeAbsence,
  storeReport,
  trimManifests,
} from '../store/manifests.ts';
import { forgetAwaitedVehicle } from '../store/restores.ts';
import { changeVehicle, inTransaction } from '../transactions.ts';
import { judgeManifests, type ReceivedManifest } from './judge-manifests.ts';
import { recordAnomaly, recordDetection } from './log.ts';
import type { CheckedManifest } from './manifest-checks.ts';
import { latestMetadata } from './metadata.ts';
import { noticeMixedBundle } from './mixed-bundle.ts';
import { recoverFromRestore, withdrawOlderAssignments } from './recovery.ts';
import { freshenMetadata } from './signing.ts';
import { isUpdateAvailable } from './updates.ts';

/** Manifests that one commit makes durable. */
export const maxManifestsPerCommit = 64;

type Work = (services: Services) => Promise<Refusal | undefined>;

export type CommitWindow = BatchWindow<Work, Refusal | undefined>;

/** Group commit: those that come in the same turn share one transaction, each undone alone. */
export function createCommitWindow(services: () => Services): CommitWindow {
  return new BatchWindow({
    milliseconds: 0,
    maxItems: maxManifestsPerCommit,
    run: (works) => commitTogether(services(), works),
  });
}

async function commitTogether(
  services: Services,
  works: readonly Work[],
): Promise<readonly (Refusal | undefined)[]> {
  const results = await inTransaction(services, async (within) => {
    const refusals: (Refusal | undefined)[] = [];
    for (const work of works) refusals.push(await work(within));
    return refusals;
  });
  services.metrics.commitItems.observe(works.length);
  return results;
}

/** A server of many processes commits what its connections bring together by itself. */
async function makeDurable(services: Services, work: Work): Promise<Refusal | undefined> {
  if (!services.database.shared) return services.commits.add(work);
  const [refused] = await commitTogether(services, [work]);
  return refused;
}

/**
 * Takes a manifest and answers whether there is an update, once it is durable. A refusal leaves
 * nothing but an anomaly.
 * @param body encoded COSE_Sign as received
 * @returns codes of `checkManifest`, `report-replayed`
 */
export async function acceptManifest(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
): Promise<ManifestAnswer | Refusal> {
  const [result] = await acceptManifests(services, [{ vehicleId, body }]);
  return result!;
}

/** Takes manifests of any vehicles, each whole or not at all; one result each, in their order. */
export async function acceptManifests(
  services: Services,
  manifests: readonly ReceivedManifest[],
): Promise<readonly (ManifestAnswer | Refusal)[]> {
  const judged = await judgeManifests(services, manifests);
  return Promise.all(
    judged.map(async (checked, i) => {
      const { vehicleId, body } = manifests[i]!;
      const refused = await makeDurable(services, (within) =>
        commit(within, vehicleId, body, checked),
      );
      services.metrics.manifests.inc({ code: refused?.refused ?? 'ok' });
      return refused ?? answer(services, vehicleId);
    }),
  );
}

async function commit(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
  checked: CheckedManifest | Refusal,
): Promise<Refusal | undefined> {
  const refused = isRefusal(checked) ? checked : await take(services, vehicleId, body, checked);
  if (refused !== undefined) await recordAnomaly(services, vehicleId, refused);
  return refused;
}

async function answer(services: Services, vehicleId: string): Promise<ManifestAnswer> {
  await freshenMetadata(services, vehicleId);
  return {
    accepted: true,
    updateAvailable: await isUpdateAvailable(services, vehicleId),
    timestampVersion: (await latestMetadata(services, vehicleId, 'timestamp')).version,
  };
}

function take(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
  checked: CheckedManifest,
): Promise<Refusal | undefined> {
  return changeVehicle(services, vehicleId, async (within) => {
    const refused = await store(within, vehicleId, body, checked);
    if (refused !== undefined) return refused;
    const reports = checked.reports.map(({ report }) => report);
    if (within.restored > 0) await within.database.run(forgetAwaitedVehicle, vehicleId);
    await recoverFromRestore(within, vehicleId, checked.primaryEcuId, reports);
    await withdrawOlderAssignments(within, vehicleId, reports);
    // What was assigned since the last manifest is installed or not: this one says.
    await within.database.run(forgetUnconfirmedImages, vehicleId);
    await noticeMixedBundle(within, vehicleId, reports);
    await endUrgency(within, vehicleId);
    return undefined;
  });
}

/** A vehicle that runs what it shall waits like all others again. */
async function endUrgency(services: Services, vehicleId: string): Promise<void> {
  if ((await services.database.one(isUrgentVehicle, vehicleId)) === undefined) return;
  if (await isUpdateAvailable(services, vehicleId)) return;
  await services.database.run(forgetUrgentVehicle, vehicleId);
}

/** Counters are compared in the transaction that stores them, so that no replay slips between. */
async function store(
  services: Services,
  vehicleId: string,
  body: Uint8Array,
  { reports, absent }: CheckedManifest,
): Promise<Refusal | undefined> {
  const { database } = services;
  const inserted = await database.one(insertManifest, vehicleId, services.now(), body);
  const id = inserted!.id;
  let position = 0;
  for (const { report, bytes } of reports) {
    const { ecuId, counter } = report;
    const stored = (await database.run(storeReport, ecuId, counter, bytes)) === 1;
    // DIR-12, HRD-17: the counter was never used before
    if (!stored) return refuse('report-replayed', `${ecuId}: counter ${counter}`);
    for (const found of report.detections) {
      const { code, row, attack } = found;
      await database.run(insertDetection, id, position, ecuId, code, row, attack ?? null);
      await recordDetection(services, vehicleId, ecuId, found);
      position += 1;
    }
    await database.run(forgetAbsence, ecuId);
  }
  for (const { ecuId, code } of absent) {
    const known = isCode(code) ? refuse(code) : undefined;
    const found = { code, row: known?.row ?? 'DIR-08', attack: known && attackOf(known) };
    await database.run(insertDetection, id, position, ecuId, code, found.row, found.attack ?? null);
    // Said again in every manifest; recorded when it begins.
    if ((await database.one(absenceOfEcu, ecuId))?.code !== code) {
      await recordDetection(services, vehicleId, ecuId, found);
    }
    await database.run(storeAbsence, ecuId, code, services.now());
    position += 1;
  }
  await database.run(trimManifests, vehicleId, vehicleId, historyEntries);
  return undefined;
}
