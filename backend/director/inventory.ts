/** Registration of vehicles, and what the Director knows of them (Uptane §5.3.2.2). */
import { createHash, randomBytes } from 'node:crypto';
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { sameBytes } from '../../agent/codec/reader.ts';
import { decode, encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import { maxHostedEcusPerAgent, maxVersionsRecovered } from '../../agent/limits.ts';
import {
  type EcuDescription,
  ecuDescription,
  ecuRoles,
  type Registration,
  type RegistrationAnswer,
  verifications,
} from '../../agent/metadata/device-messages.ts';
import { importPublicKey } from '../../hal/node/key-format.ts';
import { toBase64Url } from '../http/json-view.ts';
import type { Services } from '../services.ts';
import {
  consumeToken,
  ecuById,
  ecuByKeyId,
  ecusOfVehicle,
  insertEcu,
  insertEcuKey,
  insertToken,
  insertVehicle,
  tokenByHash,
  type VehicleRow,
  vehicleById,
} from '../store/inventory.ts';
import { changeVehicle, inTransaction, type WithinTransaction } from '../transactions.ts';
import { isDeviceKey, keepDeviceKey, provenDeviceKey } from './devices.ts';
import { recordDecision } from './log.ts';
import { issueMetadata } from './metadata.ts';

const tokenBytes = 32;

/** Tokens are looked up by their hash, so neither the store nor the time taken tells of them. */
function hashOf(token: string): Uint8Array {
  return createHash('sha256').update(token).digest();
}

/** The fleet of vehicles whose token named none. */
const defaultFleet = 'default';

/**
 * Makes a one-time enrolment token, for one vehicle or for any. Only its hash is kept.
 * @param fleet whose quota the vehicle's requests will count against
 */
export async function createEnrolmentToken(
  services: Services,
  vehicleId: string | undefined,
  fleet = defaultFleet,
): Promise<string> {
  const token = toBase64Url(randomBytes(tokenBytes));
  await inTransaction(services, async (within) => {
    const { database, now } = within;
    await database.run(insertToken, hashOf(token), vehicleId ?? null, now(), fleet);
    const detail = vehicleId === undefined ? 'for any vehicle' : 'for this vehicle';
    await recordDecision(within, 'enrolment-token-made', {
      ...(vehicleId && { vehicleId }),
      detail,
    });
  });
  return token;
}

/** The vehicle's row. Code `vehicle-unknown`. */
export async function findVehicle(
  services: Services,
  vehicleId: string,
): Promise<VehicleRow | Refusal> {
  return (
    (await services.database.one(vehicleById, vehicleId)) ??
    refuse('vehicle-unknown', `no vehicle ${vehicleId}`)
  );
}

/** The vehicle's ECUs in the order of their registration. */
export async function ecusOf(
  services: Services,
  vehicleId: string,
): Promise<readonly EcuDescription[]> {
  return (await services.database.all(ecusOfVehicle, vehicleId)).map((row) => {
    const ecu = decode(ecuDescription, row.description, row.description.length);
    if (isRefusal(ecu)) throw new Error(`stored ECU ${row.ecu_id}: ${ecu.detail}`);
    return ecu;
  });
}

/**
 * Registers a vehicle with all its ECUs, consumes the token and makes the vehicle's first metadata,
 * in one transaction; then issues the certificate of its device key.
 *
 * A vehicle whose answer was lost asks again, and is answered again when everything is as before. One
 * that was registered before it had a device key, or was revoked since, gets a key by a fresh token.
 * @returns codes `enrolment-token-invalid`, `vehicle-registered`, `ecu-registered`,
 *   `key-duplicate`, `key-malformed`, `request-malformed`, those of `provenDeviceKey`
 */
export async function registerVehicle(
  services: Services,
  request: Registration,
): Promise<RegistrationAnswer | Refusal> {
  const { enrolment } = services;
  const deviceKey = provenDeviceKey(services, request);
  if (isRefusal(deviceKey)) return deviceKey;
  const { vehicleId, primaryEcuId } = request;
  const refused = await changeVehicle(services, vehicleId, async (within) => {
    const fleet = await consume(within, request.token, vehicleId, deviceKey);
    if (isRefusal(fleet)) return fleet;
    const vehicle = await within.database.one(vehicleById, vehicleId);
    if (vehicle === undefined) {
      const refusal = await insertAll(within, request, fleet);
      if (refusal !== undefined) return refusal;
    } else if (deviceKey === undefined || !(await isRegisteredAs(within, vehicle, request))) {
      // INV-02: the vehicle's identifier is unique
      return refuse('vehicle-registered', `${vehicleId} is registered already`);
    }
    return deviceKey && keepDeviceKey(within, vehicleId, primaryEcuId, deviceKey);
  });
  if (refused !== undefined) return refused;
  if (deviceKey === undefined || enrolment === undefined) return {};
  const certificate = await enrolment.issueDevice(vehicleId, deviceKey.bytes, services.now());
  return { certificate };
}

async function insertAll(
  services: WithinTransaction,
  request: Registration,
  fleet: string,
): Promise<Refusal | undefined> {
  const { vehicleId, primaryEcuId, ecus } = request;
  const layout = checkLayout(request);
  if (layout !== undefined) return layout;
  await services.database.run(insertVehicle, vehicleId, primaryEcuId, services.now(), fleet);
  for (let position = 0; position < ecus.length; position++) {
    const refused = await insert(services, vehicleId, position, ecus[position]!);
    if (refused !== undefined) return refused;
  }
  // A vehicle without assignments is told so, by name and signed (TGT-03).
  // MET-07: one that was registered after the backup holds metadata that nobody remembers
  const lost = services.restored > 0 ? maxVersionsRecovered : 0;
  const floors = { targets: lost, snapshot: lost, timestamp: lost };
  await issueMetadata(services, vehicleId, 'targets', floors);
  const detail = `${ecus.length} ECUs, Primary ${primaryEcuId}`;
  await recordDecision(services, 'vehicle-registered', { vehicleId, detail });
  return undefined;
}

async function isRegisteredAs(
  services: Services,
  vehicle: VehicleRow,
  request: Registration,
): Promise<boolean> {
  const rows = await services.database.all(ecusOfVehicle, vehicle.vehicle_id);
  return (
    vehicle.primary_ecu_id === request.primaryEcuId &&
    rows.length === request.ecus.length &&
    rows.every((row, i) => sameBytes(row.description, encode(ecuDescription, request.ecus[i]!)))
  );
}

/** Uses the token up; returns the fleet that it enrols into. */
async function consume(
  services: WithinTransaction,
  token: string,
  vehicleId: string,
  deviceKey: PublicKey | undefined,
): Promise<string | Refusal> {
  const hash = hashOf(token);
  const row = await services.database.one(tokenByHash, hash);
  // One answer for unknown, used and foreign tokens: it must not help to find out which.
  const refused = refuse('enrolment-token-invalid', 'the token cannot enrol this vehicle');
  if (row === undefined || (row.vehicle_id ?? vehicleId) !== vehicleId) return refused;
  if (row.consumed !== null) {
    const again = deviceKey !== undefined && (await isDeviceKey(services, vehicleId, deviceKey));
    return again ? row.fleet : refused;
  }
  // Another process may have used it since it was read.
  const used = (await services.database.run(consumeToken, services.now(), hash)) === 1;
  return used ? row.fleet : refused;
}

function malformed(detail: string, row: string): Refusal {
  return refuse('request-malformed', detail, row);
}

/** How the ECUs stand to each other. */
function checkLayout({ primaryEcuId, ecus }: Registration): Refusal | undefined {
  const byId = new Map(ecus.map((ecu) => [ecu.ecuId, ecu]));
  // INV-08, PRI-03: one Primary, which verifies fully (GEN-03) and answers for every other ECU
  const primaries = ecus.filter((ecu) => ecu.role === ecuRoles.primary);
  const [primary] = primaries;
  if (primaries.length !== 1 || primary!.ecuId !== primaryEcuId) {
    return malformed(`${primaryEcuId} has to be the one primary`, 'INV-08');
  }
  if (primary!.verification !== verifications.full || primary!.hostedBy !== undefined) {
    return malformed('the primary verifies fully and is not hosted', 'ECU-06');
  }
  for (const ecu of ecus) {
    if (ecu.hostedBy === undefined) continue;
    const host = byId.get(ecu.hostedBy);
    if (host === undefined || host.hostedBy !== undefined) {
      return malformed(`${ecu.ecuId} is not hosted by an agent of this vehicle`, 'INV-08');
    }
    if (ecu.verification !== host.verification) {
      return malformed(`${ecu.ecuId} verifies otherwise than its host`, 'INV-08');
    }
    const siblings = ecus.filter((other) => other.hostedBy === ecu.hostedBy);
    if (siblings.length > maxHostedEcusPerAgent) {
      return malformed(`${ecu.hostedBy} hosts more than ${maxHostedEcusPerAgent}`, 'HRD-13');
    }
  }
  return undefined;
}

async function insert(
  services: WithinTransaction,
  vehicleId: string,
  position: number,
  ecu: EcuDescription,
): Promise<Refusal | undefined> {
  const { database, crypto } = services;
  // INV-03: ECU identifiers are unique, in this vehicle and among all
  if ((await database.one(ecuById, ecu.ecuId)) !== undefined) {
    return refuse('ecu-registered', `${ecu.ecuId} is registered already`);
  }
  const { signingKey, wrappingKey } = ecu;
  if (signingKey.algorithm !== 'ESP256' || !isPoint(signingKey.bytes)) {
    return refuse('key-malformed', `${ecu.ecuId}: the signing key is no P-256 key`, 'INV-05');
  }
  // Only a real encapsulation shows that content keys can be wrapped for this ECU.
  const wraps =
    wrappingKey.algorithm === 'MLKEM768-P256' &&
    crypto.encapsulate(wrappingKey.bytes) !== undefined;
  if (!wraps) {
    return refuse('key-malformed', `${ecu.ecuId}: the wrapping key is unusable`, 'KEY-06');
  }
  await database.run(insertEcu, ecu.ecuId, vehicleId, position, encode(ecuDescription, ecu));
  // KEY-05: a key is one ECU's; a shared one would let an ECU report for another
  for (const key of [signingKey, wrappingKey]) {
    const id = keyId(crypto, key);
    if ((await database.one(ecuByKeyId, id)) !== undefined) {
      return refuse('key-duplicate', `${ecu.ecuId}: another ECU has this key`, 'KEY-05');
    }
    await database.run(insertEcuKey, id, ecu.ecuId);
  }
  return undefined;
}

/** True for a point on P-256 in uncompressed form. */
function isPoint(bytes: Uint8Array): boolean {
  try {
    importPublicKey('ESP256', bytes);
    return true;
  } catch {
    // The import throws for what is no point.
    return false;
  }
}
