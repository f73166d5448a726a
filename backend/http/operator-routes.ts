/** The operator plane: everything that changes what vehicles are told, behind a bearer token. */
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { unsigned } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { equalSecrets } from '../../agent/crypto/constant-time.ts';
import { maxRootBytes } from '../../agent/limits.ts';
import { identifier } from '../../agent/metadata/common.ts';
import { root } from '../../agent/metadata/root.ts';
import { assign } from '../director/assignments.ts';
import { createEnrolmentToken } from '../director/inventory.ts';
import { viewAnomalies, viewLog } from '../director/views.ts';
import type { Services } from '../services.ts';
import { countImages } from '../store/images.ts';
import { inventoryCounts } from '../store/inventory.ts';
import { countAnomalies } from '../store/log.ts';
import { imageMetadataVersions, rootByVersion } from '../store/metadata.ts';
import type { PlaneAdmission } from './admission-hooks.ts';
import { sendAnswer, sendRefusal, sendSigned } from './answers.ts';
import { fromJson } from './json-view.ts';
import { addRoutes, bodyOf, parameterOf, type Route, readBody } from './listener.ts';
import {
  anomalyHistory,
  assignmentAnswer,
  assignmentRequest,
  enrolmentTokenAnswer,
  enrolmentTokenRequest,
  logPage,
  publishAnswer,
  statusAnswer,
  wrappingKeyAnswer,
} from './messages.ts';
import { parseMetadataName } from './metadata-name.ts';
import { health, metricsRoute, openApi, readiness } from './observation-routes.ts';
import { offlineRoutes } from './offline-routes.ts';
import { publicationRoutes } from './publication-routes.ts';
import { vehicleRoutes } from './vehicle-routes.ts';

/** 1,024 assignments of two names each. */
const maxAssignmentBytes = 262_144;

export function addOperatorRoutes(
  app: FastifyInstance,
  services: Services,
  plane: PlaneAdmission,
  token: string,
): void {
  const guarded = [
    ...publicationRoutes(services),
    ...directorRoutes(services),
    ...offlineRoutes(services),
    ...vehicleRoutes(services),
    status(services),
  ].map(inOperatorsLane);
  const waitless = [metricsRoute(services)];
  const open: readonly Route[] = [
    health(),
    readiness(services),
    openApi(() => [...guarded, ...waitless, ...open]),
  ];
  addRoutes(app, open);
  addRoutes(app, waitless, undefined, bearer(token));
  addRoutes(app, guarded, plane, bearer(token));
}

/** What changes something goes before what only shows it. */
function inOperatorsLane(route: Route): Route {
  return {
    ...route,
    lane: 'operators',
    priority: route.method === 'GET' ? 'dashboard' : 'operation',
  };
}

/** Compares the token in constant time; hashing first hides its length too. */
function bearer(token: string): (request: FastifyRequest) => Refusal | undefined {
  const hashOf = (text: string) => createHash('sha256').update(text).digest();
  const expected = hashOf(token);
  return (request) => {
    const [scheme, given, ...rest] = (request.headers.authorization ?? '').split(' ');
    if (scheme?.toLowerCase() !== 'bearer' || !given || rest.length > 0) {
      return refuse('token-missing', 'expected Authorization: Bearer TOKEN');
    }
    return equalSecrets(hashOf(given), expected)
      ? undefined
      : refuse('token-invalid', 'this token is not the operator token');
  };
}

/** `N.root.cbor`; the Director's other roles are made per vehicle. */
function rootVersionOf(request: FastifyRequest): number | Refusal {
  const name = parseMetadataName(parameterOf(request, 'name') ?? '');
  if (isRefusal(name)) return name;
  return name.role === 'root' && name.version !== undefined
    ? name.version
    : refuse('request-malformed', 'expected VERSION.root.cbor');
}

function directorRoutes(services: Services): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/director/metadata/:name',
      says: { summary: 'A Root of the Director, VERSION.root.cbor', gives: { signed: root } },
      handle: async (request, reply) => {
        const version = rootVersionOf(request);
        if (isRefusal(version)) return sendRefusal(reply, version);
        const row = await services.database.one(rootByVersion, 'director', version);
        if (row !== undefined) return sendSigned(reply, root, row.bytes);
        return sendRefusal(reply, refuse('metadata-absent', `no Director Root ${version}`));
      },
    },
    {
      method: 'PUT',
      path: '/director/metadata/:name',
      says: {
        summary: 'Publishes the next Root of the Director',
        takes: { signed: root },
        gives: publishAnswer,
      },
      bodyBytes: maxRootBytes,
      handle: async (request, reply) => {
        const version = rootVersionOf(request);
        if (isRefusal(version)) return sendRefusal(reply, version);
        const body = bodyOf(request);
        const published = await services.roots.publish('director', version, body, services.now());
        if (isRefusal(published)) return sendRefusal(reply, published);
        return sendAnswer(reply, publishAnswer, { version });
      },
    },
    {
      method: 'GET',
      path: '/director/wrapping-key',
      says: { summary: 'The key to which content keys are sealed', gives: wrappingKeyAnswer },
      handle: (_request, reply) => sendAnswer(reply, wrappingKeyAnswer, services.keys.wrappingKey),
    },
    {
      method: 'POST',
      path: '/enrolment-tokens',
      says: {
        summary: 'Makes a one-time enrolment token',
        takes: enrolmentTokenRequest,
        gives: enrolmentTokenAnswer,
      },
      handle: async (request, reply) => {
        const body = readBody(request, enrolmentTokenRequest);
        if (isRefusal(body)) return sendRefusal(reply, body);
        const token = await createEnrolmentToken(services, body.vehicleId, body.fleet);
        reply.header('cache-control', 'no-store');
        return sendAnswer(reply, enrolmentTokenAnswer, { token });
      },
    },
    {
      method: 'POST',
      path: '/assignments',
      says: {
        summary: 'Assigns images to ECUs of a vehicle',
        takes: assignmentRequest,
        gives: assignmentAnswer,
      },
      bodyBytes: maxAssignmentBytes,
      handle: async (request, reply) => {
        const body = readBody(request, assignmentRequest);
        if (isRefusal(body)) return sendRefusal(reply, body);
        const version = await assign(services, body);
        if (isRefusal(version)) return sendRefusal(reply, version);
        return sendAnswer(reply, assignmentAnswer, { version });
      },
    },
    {
      method: 'GET',
      path: '/anomalies',
      says: { summary: 'The last anomalies', gives: anomalyHistory },
      handle: async (_request, reply) =>
        sendAnswer(reply, anomalyHistory, await viewAnomalies(services)),
    },
    {
      method: 'GET',
      path: '/log',
      says: {
        summary: 'A page of the log of the Director',
        gives: logPage,
        query: { after: unsigned, vehicle: identifier },
      },
      handle: async (request, reply) => {
        const { after, vehicle } = request.query as Readonly<Record<string, unknown>>;
        const from = after === undefined ? 0 : fromJson(unsigned, Number(after));
        if (isRefusal(from)) return sendRefusal(reply, from);
        const vehicleId = vehicle === undefined ? undefined : fromJson(identifier, vehicle);
        if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
        return sendAnswer(reply, logPage, await viewLog(services, from, vehicleId));
      },
    },
  ];
}

function status(services: Services): Route {
  return {
    method: 'GET',
    path: '/status',
    says: { summary: 'Counts and versions', gives: statusAnswer },
    handle: async (_request, reply) => {
      const { database, roots } = services;
      await roots.follow(database);
      const counts = (await database.one(inventoryCounts)) ?? { vehicles: 0, ecus: 0 };
      return sendAnswer(reply, statusAnswer, {
        vehicles: counts.vehicles,
        ecus: counts.ecus,
        images: (await database.one(countImages))?.count ?? 0,
        anomalies: (await database.one(countAnomalies))?.count ?? 0,
        directorRootVersion: roots.latest('director').version,
        imagesRootVersion: roots.latest('images').version,
        imagesVersions: (await database.all(imageMetadataVersions)).map(({ role, version }) => ({
          key: role,
          value: version,
        })),
      });
    },
  };
}
