/** What each ECU shall run: checked, with its key object, then signed into Targets (DIR-15). */
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { wrapContentKey } from '../../agent/crypto/key-wrap.ts';
import type { EcuDescription } from '../../agent/metadata/device-messages.ts';
import type { WrapContext } from '../../agent/metadata/key-object.ts';
import { type Target, target as targetSchema } from '../../agent/metadata/targets.ts';
import type { AssignmentRequest, ContentKeyRequest } from '../http/messages.ts';
import { sha256Of } from '../images/hashes.ts';
import { entriesOf, findTarget } from '../images/listing.ts';
import type { Services } from '../services.ts';
import {
  contentKeyOf,
  imageByDigest,
  insertKeyObject,
  storeAssignment,
  storeBundlePolicy,
  storeContentKey,
} from '../store/images.ts';
import { ecusOf, findVehicle } from './inventory.ts';
import { issueMetadata, latestMetadata } from './metadata.ts';
import { lastReport } from './updates.ts';

/** What a content key is bound to on its way from the CLI to the Director, and at rest. */
function sealContext(filename: string, ciphertextSha256: Uint8Array): WrapContext {
  return ['director', 'director', filename, ciphertextSha256];
}

/**
 * Keeps the content key of an uploaded image, sealed as it came. It is opened once to see that it
 * can be.
 * @returns codes `image-unknown`, `key-object-unwrap`, `cbor-…`
 */
export function acceptContentKey(
  services: Services,
  request: ContentKeyRequest,
): Refusal | undefined {
  const { filename, ciphertextSha256, sealed } = request;
  const image = services.database.one(imageByDigest, filename, ciphertextSha256, ciphertextSha256);
  if (image === undefined) return refuse('image-unknown', `${filename} was not uploaded`);
  const contentKey = services.keys.unseal(sealed, sealContext(filename, ciphertextSha256));
  if (isRefusal(contentKey)) return contentKey;
  contentKey.fill(0);
  services.database.run(storeContentKey, filename, ciphertextSha256, sealed);
  return undefined;
}

/**
 * Assigns images to ECUs of one vehicle and makes its new Targets, Snapshot and Timestamp, in one
 * transaction. ECUs that are not named keep what they have.
 * @returns version of the new Targets; codes `vehicle-unknown`, `ecu-unknown`,
 *   `targets-ecu-repeated`, `image-not-listed`, `target-hardware`, `target-rollback`,
 *   `assignment-refused`
 */
export function assign(services: Services, request: AssignmentRequest): number | Refusal {
  const { vehicleId, assignments, bundlePolicy } = request;
  return services.database.transaction(() => {
    const vehicle = findVehicle(services, vehicleId);
    if (isRefusal(vehicle)) return vehicle;
    const ecus = new Map(ecusOf(services, vehicleId).map((ecu) => [ecu.ecuId, ecu]));
    const named = new Set<string>();
    for (const { ecuId, filename, installStep = 0 } of assignments) {
      const ecu = ecus.get(ecuId);
      if (ecu === undefined) return refuse('ecu-unknown', `${ecuId} is not in this vehicle`);
      // CTG-07: never two images for one ECU
      if (named.has(ecuId)) return refuse('targets-ecu-repeated', `${ecuId} is named twice`);
      named.add(ecuId);
      const refused = assignOne(services, vehicleId, ecu, filename, installStep);
      if (refused !== undefined) return refused;
    }
    if (bundlePolicy !== undefined) {
      const { onFailure, attempts } = bundlePolicy;
      services.database.run(storeBundlePolicy, vehicleId, onFailure, attempts);
    }
    issueMetadata(services, vehicleId, 'targets');
    return latestMetadata(services, vehicleId, 'targets').version;
  });
}

function assignOne(
  services: Services,
  vehicleId: string,
  ecu: EcuDescription,
  filename: string,
  installStep: number,
): Refusal | undefined {
  const target = chooseTarget(services, ecu, filename);
  if (isRefusal(target)) return target;
  const keyObject = makeKeyObject(services, vehicleId, ecu, target);
  if (isRefusal(keyObject)) return keyObject;
  const { database, crypto } = services;
  const sha256 = crypto.digest('SHA-256', keyObject);
  database.run(insertKeyObject, vehicleId, sha256, keyObject);
  const encoded = encode(targetSchema, target);
  database.run(
    storeAssignment,
    ecu.ecuId,
    vehicleId,
    encoded,
    sha256,
    keyObject.length,
    installStep,
    services.now(),
  );
  return undefined;
}

function chooseTarget(services: Services, ecu: EcuDescription, filename: string): Target | Refusal {
  // TGT-01: only what verified Image-repository Targets list, as this hardware will find it
  const target = findTarget(services, filename, ecu.hardwareId);
  if (target === undefined) {
    return entriesOf(services, filename).length === 0
      ? refuse('image-not-listed', `${filename} is not published`)
      : refuse('image-not-listed', `${filename} is not published for ${ecu.hardwareId}`);
  }
  // INV-09: firmware is never directed to other hardware
  if (!target.mustMatch.hardwareIds.includes(ecu.hardwareId)) {
    return refuse('target-hardware', `${filename} is not for ${ecu.hardwareId}`, 'INV-09');
  }
  // CUS-02: the ECU would refuse a release older than the one it runs
  const installed = lastReport(services, ecu.ecuId)?.installed.releaseCounter ?? 0;
  const { releaseCounter } = target.mustMatch;
  if (releaseCounter < installed) {
    const found = `${filename} is release ${releaseCounter}, ${ecu.ecuId} runs ${installed}`;
    return refuse('target-rollback', found, 'CUS-02');
  }
  return target;
}

/** CUS-05: opens the content key with the Director's key and wraps it for this one ECU. */
function makeKeyObject(
  services: Services,
  vehicleId: string,
  ecu: EcuDescription,
  target: Target,
): Uint8Array | Refusal {
  const { filename } = target;
  const ciphertextSha256 = sha256Of(target.hashes);
  if (ciphertextSha256 === undefined) {
    return refuse('assignment-refused', `${filename} is listed without SHA-256`, 'CUS-05');
  }
  const row = services.database.one(contentKeyOf, filename, ciphertextSha256);
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
