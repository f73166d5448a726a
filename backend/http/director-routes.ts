/** The Director's side of the device plane (docs/POUF.md §2). */
import type { FastifyInstance } from 'fastify';
import { isRefusal, refuse } from '../../agent/codes.ts';
import {
  maxManifestBytes,
  maxNoncesPerTimeRequest,
  maxRegistrationBytes,
  nonceBytes,
} from '../../agent/limits.ts';
import { identifier } from '../../agent/metadata/common.ts';
import {
  emptyAnswer,
  manifestAnswer,
  registration,
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
import { acceptManifest } from '../director/accept-manifest.ts';
import { findVehicle, registerVehicle } from '../director/inventory.ts';
import { freshenMetadata, latestMetadata } from '../director/metadata.ts';
import { currentOfflineSnapshot } from '../director/offline-snapshot.ts';
import { attestTime } from '../director/time.ts';
import { checkUpdates } from '../director/updates.ts';
import type { Services } from '../services.ts';
import { keyObjectBySha256 } from '../store/images.ts';
import { directorMetadataByVersion, rootByVersion } from '../store/metadata.ts';
import { sendAnswer, sendEncoded, sendRefusal, sendSigned } from './answers.ts';
import { description } from './description.ts';
import { fromJson } from './json-view.ts';
import { addRoutes, bodyOf, parameterOf, type Route, readBody } from './listener.ts';
import { parseMetadataName } from './metadata-name.ts';

const payloads = { targets, snapshot, timestamp } as const;

function isDirectorRole(role: string): role is keyof typeof payloads {
  return Object.hasOwn(payloads, role);
}

export function addDirectorRoutes(app: FastifyInstance, services: Services): void {
  addRoutes(app, [
    {
      method: 'GET',
      path: '/',
      handle: (_request, reply) =>
        sendAnswer(reply, serviceDescription, description('ota-director')),
    },
    register(services),
    currentTargets(services),
    takeManifest(services),
    {
      method: 'POST',
      path: '/check_updates',
      handle: (request, reply) => {
        const query = readBody(request, updateQuery);
        if (isRefusal(query)) return sendRefusal(reply, query);
        const answer = checkUpdates(services, query);
        if (isRefusal(answer)) return sendRefusal(reply, answer);
        return sendAnswer(reply, updateAnswer, answer);
      },
    },
    {
      method: 'POST',
      path: '/time',
      bodyBytes: maxNoncesPerTimeRequest * (nonceBytes + 1) + 16,
      handle: (request, reply) => {
        const nonces = readBody(request, timeRequest);
        if (isRefusal(nonces)) return sendRefusal(reply, nonces);
        return sendSigned(reply, timeAttestation, attestTime(services, nonces));
      },
    },
    getMetadata(services),
    getKeyObject(services),
  ]);
}

function register(services: Services): Route {
  return {
    method: 'POST',
    path: '/register',
    bodyBytes: maxRegistrationBytes,
    handle: (request, reply) => {
      const body = readBody(request, registration);
      if (isRefusal(body)) return sendRefusal(reply, body);
      const refused = registerVehicle(services, body);
      if (refused !== undefined) return sendRefusal(reply, refused);
      return sendAnswer(reply, emptyAnswer, {}, 201);
    },
  };
}

function currentTargets(services: Services): Route {
  return {
    method: 'GET',
    path: '/manifest/:vehicleId',
    handle: (request, reply) => {
      const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
      if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
      const vehicle = findVehicle(services, vehicleId);
      if (isRefusal(vehicle)) return sendRefusal(reply, vehicle);
      freshenMetadata(services, vehicleId);
      return sendSigned(reply, targets, latestMetadata(services, vehicleId, 'targets').bytes);
    },
  };
}

/** DIR-01, DIR-02: Primaries upload manifests here and download metadata below, without a token. */
function takeManifest(services: Services): Route {
  return {
    method: 'POST',
    path: '/manifest/:vehicleId',
    bodyBytes: maxManifestBytes,
    handle: (request, reply) => {
      const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
      if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
      const answer = acceptManifest(services, vehicleId, bodyOf(request));
      if (isRefusal(answer)) return sendRefusal(reply, answer);
      return sendAnswer(reply, manifestAnswer, answer);
    },
  };
}

function getMetadata(services: Services): Route {
  return {
    method: 'GET',
    path: '/metadata/:vehicleId/:name',
    handle: (request, reply) => {
      const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
      if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
      const text = parameterOf(request, 'name') ?? '';
      // OFF-05: the same for every vehicle
      if (text === 'offline-snapshot.cbor') {
        const bytes = currentOfflineSnapshot(services);
        if (bytes !== undefined) return sendSigned(reply, offlineSnapshot, bytes);
        return sendRefusal(reply, refuse('metadata-absent', 'no Offline Snapshot'));
      }
      const name = parseMetadataName(text);
      if (isRefusal(name)) return sendRefusal(reply, name);
      const vehicle = findVehicle(services, vehicleId);
      if (isRefusal(vehicle)) return sendRefusal(reply, vehicle);
      const { role, version } = name;
      if (version === undefined) {
        freshenMetadata(services, vehicleId);
        return sendSigned(reply, timestamp, latestMetadata(services, vehicleId, 'timestamp').bytes);
      }
      if (role === 'root') {
        const row = services.database.one(rootByVersion, 'director', version);
        if (row !== undefined) return sendSigned(reply, root, row.bytes);
      } else if (isDirectorRole(role)) {
        const row = services.database.one(directorMetadataByVersion, vehicleId, role, version);
        if (row !== undefined) return sendSigned(reply, payloads[role], row.bytes);
      }
      return sendRefusal(reply, refuse('metadata-absent', `no ${role} ${version}`));
    },
  };
}

function getKeyObject(services: Services): Route {
  return {
    method: 'GET',
    path: '/keys/:vehicleId/:sha256',
    handle: (request, reply) => {
      const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
      if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
      const hex = parameterOf(request, 'sha256') ?? '';
      if (!/^[0-9a-f]{64}$/.test(hex)) {
        return sendRefusal(reply, refuse('request-malformed', 'expected a SHA-256 in hex'));
      }
      const sha256 = Buffer.from(hex, 'hex');
      const row = services.database.one(keyObjectBySha256, vehicleId, sha256);
      if (row === undefined) return sendRefusal(reply, refuse('not-found', 'no such key object'));
      return sendEncoded(reply, keyObject, row.bytes);
    },
  };
}
