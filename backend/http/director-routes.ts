/** The Director's side of the device plane (docs/POUF.md §2). */
import type { FastifyInstance } from 'fastify';
import { isRefusal, refuse } from '../../agent/codes.ts';
import {
  maxManifestBatchBytes,
  maxManifestBytes,
  maxNoncesPerTimeRequest,
  maxRegistrationBytes,
  nonceBytes,
} from '../../agent/limits.ts';
import { identifier } from '../../agent/metadata/common.ts';
import {
  deviceCertificate,
  emptyAnswer,
  manifestAnswer,
  registration,
  registrationAnswer,
  serviceDescription,
  updateAnswer,
  updateQuery,
} from '../../agent/metadata/device-messages.ts';
import { keyObject } from '../../agent/metadata/key-object.ts';
import { offlineSnapshot } from '../../agent/metadata/offline.ts';
import { root } from '../../agent/metadata/root.ts';
import { snapshot } from '../../agent/metadata/snapshot.ts';
import { targets } from '../../agent/metadata/targets.ts';
import { timeAttestation, timeRequest } from '../../agent/metadata/time.ts';
import { timestamp } from '../../agent/metadata/timestamp.ts';
import { acceptManifest, acceptManifests } from '../director/accept-manifest.ts';
import { renewCertificate } from '../director/devices.ts';
import { findVehicle, registerVehicle } from '../director/inventory.ts';
import { latestMetadata } from '../director/metadata.ts';
import { currentOfflineSnapshot } from '../director/offline-snapshot.ts';
import { freshenMetadata } from '../director/signing.ts';
import { attestTime } from '../director/time.ts';
import { checkUpdates } from '../director/updates.ts';
import type { Services } from '../services.ts';
import { keyObjectBySha256 } from '../store/images.ts';
import { directorMetadataByVersion, rootByVersion } from '../store/metadata.ts';
import { type PlaneAdmission, sendOverQuota } from './admission-hooks.ts';
import {
  refusalRecord,
  sendAnswer,
  sendEncoded,
  sendRefusal,
  sendResult,
  sendSigned,
} from './answers.ts';
import { description } from './description.ts';
import type { DevicePlane } from './device-plane.ts';
import { fromJson } from './json-view.ts';
import { sendKept } from './kept-metadata.ts';
import { addRoutes, bodyOf, parameterOf, type Route, readBody } from './listener.ts';
import { manifestBatch, manifestBatchAnswer } from './messages.ts';
import { parseMetadataName } from './metadata-name.ts';

const payloads = { targets, snapshot, timestamp } as const;

function isDirectorRole(role: string): role is keyof typeof payloads {
  return Object.hasOwn(payloads, role);
}

export function addDirectorRoutes(
  app: FastifyInstance,
  services: Services,
  plane: PlaneAdmission,
): void {
  const routes: readonly Route[] = [
    {
      method: 'GET',
      path: '/',
      handle: (_request, reply) =>
        sendAnswer(reply, serviceDescription, description('ota-director')),
    },
    register(services),
    ...(plane.devices === undefined ? [] : [renew(services, plane.devices)]),
    currentTargets(services),
    takeManifest(services),
    takeManifests(services),
    checkForUpdates(services, plane.devices),
    getTime(services),
    getMetadata(services),
    getKeyObject(services),
  ];
  addRoutes(app, routes, plane);
}

function checkForUpdates(services: Services, devices: DevicePlane | undefined): Route {
  return {
    method: 'POST',
    path: '/check_updates',
    lane: 'metadata',
    priority: 'metadata',
    handle: async (request, reply) => {
      const query = readBody(request, updateQuery);
      if (isRefusal(query)) return sendRefusal(reply, query);
      const foreign = await devices?.admitFor(request, query.vehicleId);
      if (foreign !== undefined) return sendRefusal(reply, foreign);
      const answer = await checkUpdates(services, query);
      return sendResult(reply, updateAnswer, answer);
    },
  };
}

function getTime(services: Services): Route {
  return {
    method: 'POST',
    path: '/time',
    lane: 'metadata',
    priority: 'metadata',
    bodyBytes: maxNoncesPerTimeRequest * (nonceBytes + 1) + 16,
    handle: async (request, reply) => {
      const nonces = readBody(request, timeRequest);
      if (isRefusal(nonces)) return sendRefusal(reply, nonces);
      return sendSigned(reply, timeAttestation, await attestTime(services, nonces));
    },
  };
}

function register(services: Services): Route {
  return {
    method: 'POST',
    path: '/register',
    certificate: 'none',
    lane: 'reports',
    priority: 'report',
    bodyBytes: maxRegistrationBytes,
    handle: async (request, reply) => {
      const body = readBody(request, registration);
      if (isRefusal(body)) return sendRefusal(reply, body);
      const answer = await registerVehicle(services, body);
      if (isRefusal(answer)) return sendRefusal(reply, answer);
      return sendAnswer(reply, registrationAnswer, answer, 201);
    },
  };
}

/** A certificate for the key of the one that the connection shows, which may have expired. */
function renew(services: Services, devices: DevicePlane): Route {
  return {
    method: 'POST',
    path: '/renew',
    lane: 'reports',
    priority: 'report',
    certificate: 'any-age',
    handle: async (request, reply) => {
      const body = readBody(request, emptyAnswer);
      if (isRefusal(body)) return sendRefusal(reply, body);
      const device = devices.deviceOf(request);
      if (isRefusal(device)) return sendRefusal(reply, device);
      return sendAnswer(reply, deviceCertificate, await renewCertificate(services, device));
    },
  };
}

function currentTargets(services: Services): Route {
  return {
    method: 'GET',
    path: '/manifest/:vehicleId',
    lane: 'metadata',
    priority: 'metadata',
    kept: true,
    handle: async (request, reply) => {
      const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
      if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
      const vehicle = await findVehicle(services, vehicleId);
      if (isRefusal(vehicle)) return sendRefusal(reply, vehicle);
      await freshenMetadata(services, vehicleId);
      const row = await latestMetadata(services, vehicleId, 'targets');
      return sendKept(services, reply, targets, row);
    },
  };
}

/** DIR-01, DIR-02: Primaries upload manifests here and download metadata below, without a token. */
function takeManifest(services: Services): Route {
  return {
    method: 'POST',
    path: '/manifest/:vehicleId',
    lane: 'reports',
    priority: 'report',
    bodyBytes: maxManifestBytes,
    handle: async (request, reply) => {
      const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
      if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
      const answer = await acceptManifest(services, vehicleId, bodyOf(request));
      return sendResult(reply, manifestAnswer, answer);
    },
  };
}

/** Manifests that a gateway or depot collected: each is judged by what its own vehicle signed. */
function takeManifests(services: Services): Route {
  return {
    method: 'POST',
    path: '/manifests',
    lane: 'reports',
    priority: 'report',
    bodyBytes: maxManifestBatchBytes,
    handle: async (request, reply) => {
      const batch = readBody(request, manifestBatch);
      if (isRefusal(batch)) return sendRefusal(reply, batch);
      // The request itself is counted already.
      const { sender } = request;
      const over = sender && (await services.admission.spend(sender, batch.length - 1));
      if (over !== undefined) return sendOverQuota(request, reply, over);
      const manifests = batch.map(({ vehicleId, manifest }) => ({ vehicleId, body: manifest }));
      const results = await acceptManifests(services, manifests);
      const answer = results.map((result) =>
        isRefusal(result) ? { refused: refusalRecord(result) } : { taken: result },
      );
      return sendAnswer(reply, manifestBatchAnswer, answer);
    },
  };
}

function getMetadata(services: Services): Route {
  return {
    method: 'GET',
    path: '/metadata/:vehicleId/:name',
    lane: 'metadata',
    priority: 'metadata',
    kept: true,
    handle: async (request, reply) => {
      const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
      if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
      const text = parameterOf(request, 'name') ?? '';
      // OFF-05: the same for every vehicle
      if (text === 'offline-snapshot.cbor') {
        const bytes = await currentOfflineSnapshot(services);
        if (bytes !== undefined) return sendSigned(reply, offlineSnapshot, bytes);
        return sendRefusal(reply, refuse('metadata-absent', 'no Offline Snapshot'));
      }
      const name = parseMetadataName(text);
      if (isRefusal(name)) return sendRefusal(reply, name);
      const vehicle = await findVehicle(services, vehicleId);
      if (isRefusal(vehicle)) return sendRefusal(reply, vehicle);
      const { role, version } = name;
      if (version === undefined) {
        await freshenMetadata(services, vehicleId);
        const row = await latestMetadata(services, vehicleId, 'timestamp');
        return sendKept(services, reply, timestamp, row);
      }
      if (role === 'root') {
        const row = await services.database.one(rootByVersion, 'director', version);
        if (row !== undefined) return sendKept(services, reply, root, row);
      } else if (isDirectorRole(role)) {
        const row = await services.database.one(
          directorMetadataByVersion,
          vehicleId,
          role,
          version,
        );
        if (row !== undefined) return sendKept(services, reply, payloads[role], row);
      }
      return sendRefusal(reply, refuse('metadata-absent', `no ${role} ${version}`));
    },
  };
}

function getKeyObject(services: Services): Route {
  return {
    method: 'GET',
    path: '/keys/:vehicleId/:sha256',
    lane: 'metadata',
    priority: 'metadata',
    handle: async (request, reply) => {
      const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
      if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
      const hex = parameterOf(request, 'sha256') ?? '';
      if (!/^[0-9a-f]{64}$/.test(hex)) {
        return sendRefusal(reply, refuse('request-malformed', 'expected a SHA-256 in hex'));
      }
      const sha256 = Buffer.from(hex, 'hex');
      const row = await services.database.one(keyObjectBySha256, vehicleId, sha256);
      if (row === undefined) return sendRefusal(reply, refuse('not-found', 'no such key object'));
      return sendEncoded(reply, keyObject, row.bytes);
    },
  };
}
