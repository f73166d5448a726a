/** What each ECU shall run: checked, with its key object, then signed into Targets (DIR-15). */
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { wrapContentKey } from '../../agent/crypto/key-wrap.ts';
import type { EcuDescription } from '../../agent/metadata/device-messages.ts';
import type { WrapContext } from '../../agent/metadata/key-object.ts';
import { type Target, target as targetSchema } from '../../agent/metadata/targets.ts';
import type { AssignmentRequest, ContentKeyRequest, KeyObjectRequest } from '../http/messages.ts';
import { sha256Of } from '../images/hashes.ts';
import { ImageSearch } from '../images/image-search.ts';
import { entriesOf } from '../images/listing.ts';
import type { Services } from '../services.ts';
import {
  contentKeyOf,
  imageByDigest,
  insertKeyObject,
  insertUnconfirmedImage,
  storeAssignment,
  storeBundlePolicy,
  storeContentKey,
  storeInstallStep,
} from '../store/images.ts';
import { insertUrgentVehicle } from '../store/inventory.ts';
import { recoveryOf } from '../store/metadata.ts';
import { changeVehicle, type WithinTransaction } from '../transactions.ts';
import { isClashRefusal, planBundle, type Wanted } from './bundle.ts';
import { ecusOf, findVehicle } from './inventory.ts';
import { recordDecision } from './log.ts';
import { isAwaited, issueMetadata, latestMetadata } from './metadata.ts';
import { describeResolution } from './resolution.ts';
import { signInWindow } from './signing.ts';
import { lastReport } from './updates.ts';
import { type EcuImages, imagesOfVehicle, publishedImages } from './vehicle-images.ts';

/** What a content key is bound to on its way from the CLI to the Director, and at rest. */
function sealContext(filename: string, ciphertextSha256: Uint8Array): WrapContext {
  return ['director', 'director', filename, ciphertextSha256];
}

/**
 * Keeps the content key of an uploaded image, sealed as it came. It is opened once to see that it
 * can be.
 * @returns codes `image-unknown`, `key-object-unwrap`, `cbor-…`
 */
export async function acceptContentKey(
  services: Services,
  request: ContentKeyRequest,
): Promise<Refusal | undefined> {
  const { database } = services;
  const { filename, ciphertextSha256, sealed } = request;
  const image = await database.one(imageByDigest, filename, ciphertextSha256, ciphertextSha256);
  if (image === undefined) return refuse('image-unknown', `${filename} was not uploaded`);
  const contentKey = services.keys.unseal(sealed, sealContext(filename, ciphertextSha256));
  if (isRefusal(contentKey)) return contentKey;
  contentKey.fill(0);
  await database.run(storeContentKey, filename, ciphertextSha256, sealed);
  return undefined;
}

/**
 * Assigns images to ECUs of one vehicle and makes its new Targets, Snapshot and Timestamp, in one
 * transaction: an urgent one at once, others together with those that come in the same window. ECUs
 * that are not named keep what they have. Taken or refused, the log says so.
 * @returns version of the new Targets; codes `vehicle-unknown`, `ecu-unknown`,
 *   `targets-ecu-repeated`, `image-not-listed`, `target-hardware`, `target-rollback`,
 *   `assignment-refused`
 */
export async function assign(
  services: Services,
  request: AssignmentRequest,
): Promise<number | Refusal> {
  const { vehicleId } = request;
  const prepare = async (within: WithinTransaction) =>
    (await assignBundle(within, request)) ?? ('targets' as const);
  const refused = request.urgent
    ? await changeVehicle(services, vehicleId, (within) => assignAtOnce(within, request))
    : await signInWindow(services, { vehicleId, prepare });
  if (refused !== undefined) {
    const result = await withAdvice(refused);
    const named = request.assignments.map(({ ecuId, filename }) => `${filename} for ${ecuId}`);
    const detail = `${result.refused} (${result.row}): ${named.join(', ')}: ${result.detail}`;
    await recordDecision(services, 'assignment-refused', { vehicleId, detail });
    return result;
  }
  const timestamp = await latestMetadata(services, vehicleId, 'timestamp');
  services.doorbell.ring(vehicleId, timestamp.version);
  return (await latestMetadata(services, vehicleId, 'targets')).version;
}

/** DIR-14: says what would resolve a clash, once nothing waits for the transaction any more. */
async function withAdvice(refusal: Refusal): Promise<Refusal> {
  if (!isClashRefusal(refusal)) return refusal;
  const { refused, row, detail, bundle } = refusal;
  return refuse(refused, `${detail}. ${await describeResolution(bundle)}`, row);
}

/** The vehicle goes before all others until it reports that it runs what it shall. */
async function assignAtOnce(
  services: WithinTransaction,
  request: AssignmentRequest,
): Promise<Refusal | undefined> {
  const refused = await assignBundle(services, request);
  if (refused !== undefined) return refused;
  await services.database.run(insertUrgentVehicle, request.vehicleId);
  await issueMetadata(services, request.vehicleId, 'targets');
  return undefined;
}

async function assignBundle(
  services: WithinTransaction,
  request: AssignmentRequest,
): Promise<Refusal | undefined> {
  const { vehicleId, assignments, bundlePolicy } = request;
  const { database } = services;
  const vehicle = await findVehicle(services, vehicleId);
  if (isRefusal(vehicle)) return vehicle;
  if (await isAwaited(services, vehicleId)) {
    const wait = `${vehicleId} has yet to report what it holds, since the restore: wait for it`;
    return refuse('assignment-refused', wait, 'MET-07');
  }
  const recovery = await database.one(recoveryOf, vehicleId);
  // MET-07: what the vehicle holds of a lost past ends with the Targets that it has to fetch first
  if (recovery !== undefined) {
    const wait = `${vehicleId} has yet to report that it holds Targets ${recovery.targets_version}`;
    return refuse('assignment-refused', `${wait}, issued after a restore: wait for it`, 'MET-07');
  }
  const ecus = await ecusOf(services, vehicleId);
  const published = await publishedImages(services);
  const images = await imagesOfVehicle(services, vehicleId, ecus, published);
  const search = await ImageSearch.open(services);
  const wanted = new Map<string, Wanted>();
  for (const { ecuId, filename, installStep = 0 } of assignments) {
    const place = ecus.findIndex((ecu) => ecu.ecuId === ecuId);
    if (place < 0) return refuse('ecu-unknown', `${ecuId} is not in this vehicle`);
    // CTG-07: never two images for one ECU
    if (wanted.has(ecuId)) return refuse('targets-ecu-repeated', `${ecuId} is named twice`);
    const target = await chooseTarget(services, search, ecus[place]!, filename, images[place]!);
    if (isRefusal(target)) return target;
    wanted.set(ecuId, { target, installStep });
  }
  const steps = planBundle({ ecus: images, wanted, published });
  if (isRefusal(steps)) return steps;
  for (const [ecuId, step] of steps) await database.run(storeInstallStep, step, ecuId);
  for (const [ecuId, { target }] of wanted) {
    const ecu = ecus.find((one) => one.ecuId === ecuId)!;
    const refused = await storeWanted(services, vehicleId, ecu, target, steps.get(ecuId)!);
    if (refused !== undefined) return refused;
  }
  if (bundlePolicy !== undefined) {
    const { onFailure, attempts } = bundlePolicy;
    await database.run(storeBundlePolicy, vehicleId, onFailure, attempts);
  }
  return undefined;
}

async function storeWanted(
  services: Services,
  vehicleId: string,
  ecu: EcuDescription,
  target: Target,
  installStep: number,
): Promise<Refusal | undefined> {
  const keyObject = await makeKeyObject(services, vehicleId, ecu, target);
  if (isRefusal(keyObject)) return keyObject;
  const { database, crypto } = services;
  const { ecuId } = ecu;
  const sha256 = crypto.digest('SHA-256', keyObject);
  await database.run(insertKeyObject, vehicleId, sha256, keyObject);
  const encoded = encode(targetSchema, target);
  const { length } = keyObject;
  const now = services.now();
  await database.run(storeAssignment, ecuId, vehicleId, encoded, sha256, length, installStep, now);
  await database.run(insertUnconfirmedImage, ecuId, vehicleId, encoded, ecuId);
  const { releaseCounter } = target.mustMatch;
  const detail = `${target.filename}, release ${releaseCounter}, step ${installStep}`;
  await recordDecision(services, 'image-assigned', { vehicleId, ecuId, detail });
  return undefined;
}

/** The Image repository's entry of a filename, as this ECU's hardware will find it. */
async function listedFor(
  services: Services,
  search: ImageSearch,
  ecu: EcuDescription,
  filename: string,
): Promise<Target | Refusal> {
  // TGT-01: only what verified Image-repository Targets list, as this hardware will find it
  const target = await search.find(filename, ecu.hardwareId);
  if (target === undefined) {
    return (await entriesOf(services, filename)).length === 0
      ? refuse('image-not-listed', `${filename} is not published`)
      : refuse('image-not-listed', `${filename} is not published for ${ecu.hardwareId}`);
  }
  const fits = target.mustMatch.hardwareIds.includes(ecu.hardwareId);
  // INV-09: firmware is never directed to other hardware
  if (!fits) return refuse('target-hardware', `${filename} is not for ${ecu.hardwareId}`, 'INV-09');
  return target;
}

async function chooseTarget(
  services: Services,
  search: ImageSearch,
  ecu: EcuDescription,
  filename: string,
  images: EcuImages,
): Promise<Target | Refusal> {
  const target = await listedFor(services, search, ecu, filename);
  if (isRefusal(target)) return target;
  const { releaseCounter } = target.mustMatch;
  const report = await lastReport(services, ecu.ecuId);
  const installed = report?.installed.releaseCounter ?? 0;
  const lower = `${filename} is release ${releaseCounter}, ${ecu.ecuId}`;
  // CUS-02: the ECU would refuse a release older than the one it runs
  if (releaseCounter < installed) {
    return refuse('target-rollback', `${lower} runs ${installed}`, 'CUS-02');
  }
  const told = Math.max(images.assigned?.releaseCounter ?? 0, report?.held?.releaseCounter ?? 0);
  // FV-15: nor one older than the Targets name that it may have fetched
  if (releaseCounter < told) return refuse('target-rollback', `${lower} was told ${told}`, 'FV-15');
  return target;
}

/**
 * A key object for an ECU that gets an image from a medium: nothing is assigned and nothing kept.
 * Codes `vehicle-unknown`, `ecu-unknown`, `image-not-listed`, `target-hardware`,
 * `assignment-refused`.
 */
export async function wrapForEcu(
  services: Services,
  { vehicleId, ecuId, filename }: KeyObjectRequest,
): Promise<Uint8Array | Refusal> {
  const vehicle = await findVehicle(services, vehicleId);
  if (isRefusal(vehicle)) return vehicle;
  const ecu = (await ecusOf(services, vehicleId)).find((one) => one.ecuId === ecuId);
  if (ecu === undefined) return refuse('ecu-unknown', `${ecuId} is not in this vehicle`);
  const target = await listedFor(services, await ImageSearch.open(services), ecu, filename);
  return isRefusal(target) ? target : makeKeyObject(services, vehicleId, ecu, target);
}

/** CUS-05: opens the content key with the Director's key and wraps it for this one ECU. */
async function makeKeyObject(
  services: Services,
  vehicleId: string,
  ecu: EcuDescription,
  target: Target,
): Promise<Uint8Array | Refusal> {
  const { filename } = target;
  const ciphertextSha256 = sha256Of(target.hashes);
  if (ciphertextSha256 === undefined) {
    return refuse('assignment-refused', `${filename} is listed without SHA-256`, 'CUS-05');
  }
  const row = await services.database.one(contentKeyOf, filename, ciphertextSha256);
  if (row === undefined) {
    return refuse('assignment-refused', `the content key of ${filename} is missing`, 'CUS-05');
  }
  const contentKey = services.keys.unseal(row.sealed, sealContext(filename, ciphertextSha256));
  if (isRefusal(contentKey)) return contentKey;
  const context: WrapContext = [vehicleId, ecu.ecuId, filename, ciphertextSha256];
  const keyObject = wrapContentKey(services.crypto, ecu.wrappingKey, contentKey, context);
  contentKey.fill(0);
  return keyObject;
}
