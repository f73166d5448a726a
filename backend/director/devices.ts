/**
 * Devices of the device plane: the key by which a vehicle shows who it is, the certificates over it,
 * and whether it may still come in. What counts is the key in the inventory: certificates are not
 * kept, so that a restored backup knows every vehicle that it lists.
 */
import type { PublicKey } from '../../agent/codec/cose-key.ts';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { sameBytes } from '../../agent/codec/reader.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { maxEnrolmentProofBytes } from '../../agent/limits.ts';
import {
  type DeviceCertificate,
  enrolmentProof,
  type Registration,
} from '../../agent/metadata/device-messages.ts';
import type { Services } from '../services.ts';
import type { DeviceIdentity } from '../signer/enrolment-authority.ts';
import {
  deviceOfVehicle,
  ecuByKeyId,
  insertDeviceKey,
  insertEcuKey,
  insertRevocation,
  vehicleById,
} from '../store/inventory.ts';
import { changeVehicle, type WithinTransaction } from '../transactions.ts';
import { recordAnomaly, recordDecision } from './log.ts';

/**
 * The device key of a registration, whose possession it proves; undefined where the plane needs
 * none and none was sent. Codes `key-unproven`, `key-malformed`, `cbor-…`, `signature-…`.
 */
export function provenDeviceKey(
  { crypto, enrolment }: Services,
  { token, vehicleId, deviceKey, proof }: Registration,
): PublicKey | undefined | Refusal {
  if (deviceKey === undefined || proof === undefined) {
    const absent = deviceKey === undefined && proof === undefined;
    if (absent && enrolment === undefined) return undefined;
    return refuse('key-unproven', 'a device key and the proof of its possession are needed');
  }
  if (deviceKey.algorithm !== 'ESP256') {
    return refuse('key-malformed', 'the device key is no P-256 key', 'INV-05');
  }
  const envelope = decodeEnvelope(proof, maxEnrolmentProofBytes);
  if (isRefusal(envelope)) return envelope;
  const authority = { keys: [deviceKey], threshold: 1 };
  const options = { domain: 'enrolment', payloadHash: 'forbidden' } as const;
  const refused = verifyEnvelope(crypto, envelope, authority, options);
  if (refused !== undefined) return refuse('key-unproven', refused.detail || refused.refused);
  const said = decode(enrolmentProof, envelope.payload, maxEnrolmentProofBytes);
  if (isRefusal(said)) return said;
  return said.token === token && said.vehicleId === vehicleId
    ? deviceKey
    : refuse('key-unproven', 'the proof was made for another enrolment');
}

/** True when `key` is the vehicle's device key already. */
export async function isDeviceKey(
  { database }: Services,
  vehicleId: string,
  key: PublicKey,
): Promise<boolean> {
  const row = await database.one(deviceOfVehicle, vehicleId);
  return row !== undefined && sameBytes(row.public_key, key.bytes);
}

/**
 * Makes `key` the vehicle's device key, within the transaction of its registration. A vehicle that was
 * revoked gets a new one by a fresh token, and is accepted with it.
 * Codes `vehicle-registered` (it has another one), `key-duplicate`.
 */
export async function keepDeviceKey(
  services: WithinTransaction,
  vehicleId: string,
  primaryEcuId: string,
  key: PublicKey,
): Promise<Refusal | undefined> {
  const { database, crypto } = services;
  const before = await database.one(deviceOfVehicle, vehicleId);
  if (before !== undefined && sameBytes(before.public_key, key.bytes)) return undefined;
  if (before !== undefined && before.revoked !== 1) {
    const advice = 'revoke it before it enrols by another';
    return refuse('vehicle-registered', `${vehicleId} has another device key; ${advice}`);
  }
  const id = keyId(crypto, key);
  // KEY-05: no key is an ECU's signing key, or another vehicle's device key, as well
  if ((await database.one(ecuByKeyId, id)) !== undefined) {
    return refuse('key-duplicate', `${vehicleId}: the device key is in use`, 'KEY-05');
  }
  await database.run(insertEcuKey, id, primaryEcuId);
  await database.run(insertDeviceKey, vehicleId, key.bytes);
  if (before !== undefined) await writeRevoked(services, vehicleId, false);
  return undefined;
}

/**
 * DIR-05: judges a request by the certificate of its connection.
 * @param about `renewing`: an expired certificate will do; `vehicleId`: whom the request is about
 * @returns codes `certificate-unknown`, `certificate-revoked`, `certificate-expired`,
 *   `certificate-vehicle`
 */
export async function admitDevice(
  services: Services,
  identity: DeviceIdentity,
  about: { readonly renewing?: boolean; readonly vehicleId?: string | undefined },
): Promise<Refusal | undefined> {
  const { vehicleId, publicKey, notAfter } = identity;
  const device = await services.database.one(deviceOfVehicle, vehicleId);
  if (device === undefined || !sameBytes(device.public_key, publicKey)) {
    return refuse('certificate-unknown', 'no vehicle of the inventory has this key');
  }
  if (device.revoked === 1) return refuse('certificate-revoked', `${vehicleId} was revoked`);
  if (notAfter < services.now() && about.renewing !== true) {
    return refuse('certificate-expired', `since ${notAfter}; only POST /renew takes it`);
  }
  if (about.vehicleId !== undefined && about.vehicleId !== vehicleId) {
    const detail = `${vehicleId} asked as ${about.vehicleId}`;
    const refused = refuse('certificate-vehicle', detail);
    await recordAnomaly(services, vehicleId, refused);
    return refused;
  }
  return undefined;
}

/** A fresh certificate over the device's own key; `admitDevice` has judged it. */
export async function renewCertificate(
  { enrolment, now }: Services,
  { vehicleId, publicKey }: DeviceIdentity,
): Promise<DeviceCertificate> {
  if (enrolment === undefined) throw new Error('no enrolment CA: only with TLS is there a renewal');
  return await enrolment.issueDevice(vehicleId, publicKey, now());
}

/**
 * Revokes a vehicle's certificates, or accepts them again; nothing changes when that is so already.
 * Code `vehicle-unknown`.
 */
export function setRevoked(
  services: Services,
  vehicleId: string,
  revoked: boolean,
): Promise<Refusal | undefined> {
  return changeVehicle(services, vehicleId, async (within) => {
    const { database } = within;
    if ((await database.one(vehicleById, vehicleId)) === undefined) {
      return refuse('vehicle-unknown', `no vehicle ${vehicleId}`);
    }
    const before = (await database.one(deviceOfVehicle, vehicleId))?.revoked === 1;
    if (before === revoked) return undefined;
    await writeRevoked(within, vehicleId, revoked);
    return undefined;
  });
}

async function writeRevoked(
  services: WithinTransaction,
  vehicleId: string,
  revoked: boolean,
): Promise<void> {
  await services.database.run(insertRevocation, vehicleId, revoked ? 1 : 0, services.now());
  const code = revoked ? 'device-revoked' : 'device-accepted';
  await recordDecision(services, code, { vehicleId, detail: 'certificates of its device key' });
}
