/** The operator plane: everything that changes what vehicles are told, behind a bearer token. */
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { unsigned } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { equalSecrets } from '../../agent/crypto/constant-time.ts';
import {
  maxFilesPerPublication,
  maxKeyObjectBytes,
  maxRootBytes,
  maxSmallBodyBytes,
  maxTargetsBytes,
} from '../../agent/limits.ts';
import { filename as filenameSchema, identifier } from '../../agent/metadata/common.ts';
import { emptyAnswer } from '../../agent/metadata/device-messages.ts';
import { root } from '../../agent/metadata/root.ts';
import { targets } from '../../agent/metadata/targets.ts';
import { acceptContentKey, assign } from '../director/assignments.ts';
import { setRevoked } from '../director/devices.ts';
import { createEnrolmentToken, findVehicle } from '../director/inventory.ts';
import { issueMetadata, latestMetadata, staleRole } from '../director/metadata.ts';
import {
  listVehicles,
  viewAnomalies,
  viewLog,
  viewManifests,
  viewVehicle,
} from '../director/views.ts';
import { freshenImageMetadata } from '../images/metadata.ts';
import { publishTargets, publishTogether } from '../images/publish.ts';
import { receiveImage } from '../images/upload.ts';
import type { Services } from '../services.ts';
import { countImages } from '../store/images.ts';
import { inventoryCounts } from '../store/inventory.ts';
import { countAnomalies } from '../store/log.ts';
import { imageMetadataVersions, latestImageMetadata, rootByVersion } from '../store/metadata.ts';
import type { PlaneAdmission } from './admission-hooks.ts';
import { sendAnswer, sendRefusal, sendSigned } from './answers.ts';
import { sendImageMetadata } from './images-routes.ts';
import { fromJson } from './json-view.ts';
import { addRoutes, bodyOf, parameterOf, type Route, readBody } from './listener.ts';
import {
  anomalyHistory,
  assignmentAnswer,
  assignmentRequest,
  contentKeyRequest,
  deviceRequest,
  enrolmentTokenAnswer,
  enrolmentTokenRequest,
  logPage,
  manifestHistory,
  type PublishAnswer,
  publicationAnswer,
  publicationRequest,
  publishAnswer,
  refreshAnswer,
  statusAnswer,
  uploadAnswer,
  vehicleList,
  vehicleView,
  wrappingKeyAnswer,
} from './messages.ts';
import { parseMetadataName } from './metadata-name.ts';
import { health, metricsRoute, openApi, readiness } from './observation-routes.ts';
import { offlineRoutes } from './offline-routes.ts';

/** What `POST /images/publications` does not take: Root has a way of its own. */
const serverRoles = ['root', 'snapshot', 'timestamp'];
const octets = 'application/octet-stream';
/** 1,024 assignments of two names each. */
const maxAssignmentBytes = 262_144;

export function addOperatorRoutes(
  app: FastifyInstance,
  services: Services,
  plane: PlaneAdmission,
  token: string,
): void {
  const guarded = [
    ...imageRoutes(services),
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

/** IMG-04: how authorised users write images and metadata. */
function imageRoutes(services: Services): readonly Route[] {
  return [
    upload(services),
    {
      method: 'GET',
      path: '/images/metadata/:name',
      says: {
        summary: 'A metadata file of the Image repository, by its name',
        gives: { signed: targets },
      },
      handle: (request, reply) =>
        sendImageMetadata(services, reply, parameterOf(request, 'name') ?? ''),
    },
    {
      method: 'PUT',
      path: '/images/metadata/:name',
      says: {
        summary: 'Publishes Root or Targets of the Image repository',
        takes: { signed: targets },
        gives: publishAnswer,
      },
      bodyBytes: maxRootBytes,
      handle: (request, reply) => {
        const name = parameterOf(request, 'name') ?? '';
        const published = publishImages(services, name, bodyOf(request));
        if (isRefusal(published)) return sendRefusal(reply, published);
        return sendAnswer(reply, publishAnswer, published);
      },
    },
    {
      method: 'POST',
      path: '/images/publications',
      says: {
        summary: 'Publishes several Targets files together',
        takes: publicationRequest,
        gives: publicationAnswer,
      },
      bodyBytes: maxFilesPerPublication * (maxTargetsBytes + maxSmallBodyBytes),
      handle: (request, reply) => {
        const body = readBody(request, publicationRequest);
        if (isRefusal(body)) return sendRefusal(reply, body);
        const online = body.files.find(({ role }) => serverRoles.includes(role));
        const published = online
          ? refuse('delegation-role', `${online.role} is not signed by operators`)
          : publishTogether(services, body.files);
        if (isRefusal(published)) return sendRefusal(reply, published);
        return sendAnswer(reply, publicationAnswer, published);
      },
    },
    {
      method: 'POST',
      path: '/content-keys',
      says: {
        summary: 'Hands over the sealed content key of an image',
        takes: contentKeyRequest,
        gives: emptyAnswer,
      },
      bodyBytes: maxKeyObjectBytes + maxSmallBodyBytes,
      handle: (request, reply) => {
        const body = readBody(request, contentKeyRequest);
        if (isRefusal(body)) return sendRefusal(reply, body);
        const refused = acceptContentKey(services, body);
        if (refused !== undefined) return sendRefusal(reply, refused);
        return sendAnswer(reply, emptyAnswer, {});
      },
    },
  ];
}

function upload(services: Services): Route {
  return {
    method: 'POST',
    path: '/upload',
    says: {
      summary: 'Uploads the ciphertext of an image',
      takes: { type: octets },
      gives: uploadAnswer,
      headers: { 'Upload-Filename': filenameSchema },
    },
    handle: async (request, reply) => {
      const name = fromJson(filenameSchema, request.headers['upload-filename']);
      if (isRefusal(name)) {
        return sendRefusal(reply, refuse('request-malformed', `Upload-Filename ${name.detail}`));
      }
      const body = request.body as AsyncIterable<Uint8Array> | Uint8Array | undefined;
      if (body === undefined || body instanceof Uint8Array) {
        return sendRefusal(reply, refuse('content-type', 'expected application/octet-stream'));
      }
      const stored = await receiveImage(services, name, body);
      if (isRefusal(stored)) return sendRefusal(reply, stored);
      return sendAnswer(reply, uploadAnswer, stored);
    },
  };
}

/** A Root, the top-level Targets or a delegated role, by its name. */
function publishImages(
  services: Services,
  text: string,
  body: Uint8Array,
): PublishAnswer | Refusal {
  const name = parseMetadataName(text);
  if (isRefusal(name)) return name;
  const { role, version } = name;
  if (version === undefined || role === 'timestamp' || role === 'snapshot') {
    return refuse('request-malformed', `${role} is signed by the server`);
  }
  if (role !== 'root') return publishTargets(services, role, version, body);
  const published = services.roots.publish('images', version, body, services.now());
  if (isRefusal(published)) return published;
  freshenImageMetadata(services);
  const { database } = services;
  const snapshotVersion = database.one(latestImageMetadata, 'snapshot')?.version;
  const timestampVersion = database.one(latestImageMetadata, 'timestamp')?.version;
  return {
    version,
    ...(snapshotVersion !== undefined && { snapshotVersion }),
    ...(timestampVersion !== undefined && { timestampVersion }),
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
      handle: (request, reply) => {
        const version = rootVersionOf(request);
        if (isRefusal(version)) return sendRefusal(reply, version);
        const row = services.database.one(rootByVersion, 'director', version);
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
      handle: (request, reply) => {
        const version = rootVersionOf(request);
        if (isRefusal(version)) return sendRefusal(reply, version);
        const body = bodyOf(request);
        const published = services.roots.publish('director', version, body, services.now());
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
      handle: (request, reply) => {
        const body = readBody(request, enrolmentTokenRequest);
        if (isRefusal(body)) return sendRefusal(reply, body);
        const token = createEnrolmentToken(services, body.vehicleId, body.fleet);
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
      handle: (_request, reply) => sendAnswer(reply, anomalyHistory, viewAnomalies(services)),
    },
    {
      method: 'GET',
      path: '/log',
      says: {
        summary: 'A page of the log of the Director',
        gives: logPage,
        query: { after: unsigned, vehicle: identifier },
      },
      handle: (request, reply) => {
        const { after, vehicle } = request.query as Readonly<Record<string, unknown>>;
        const from = after === undefined ? 0 : fromJson(unsigned, Number(after));
        if (isRefusal(from)) return sendRefusal(reply, from);
        const vehicleId = vehicle === undefined ? undefined : fromJson(identifier, vehicle);
        if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
        return sendAnswer(reply, logPage, viewLog(services, from, vehicleId));
      },
    },
  ];
}

function vehicleRoutes(services: Services): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/vehicles',
      says: { summary: 'A page of vehicles', gives: vehicleList, query: { after: identifier } },
      handle: (request, reply) => {
        const { after } = request.query as { readonly after?: unknown };
        const from = after === undefined ? '' : fromJson(identifier, after);
        if (isRefusal(from)) return sendRefusal(reply, from);
        return sendAnswer(reply, vehicleList, listVehicles(services, from));
      },
    },
    {
      method: 'GET',
      path: '/vehicles/:vehicleId',
      says: { summary: 'A vehicle with all its ECUs', gives: vehicleView },
      handle: (request, reply) => {
        const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
        if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
        const view = viewVehicle(services, vehicleId);
        if (isRefusal(view)) return sendRefusal(reply, view);
        return sendAnswer(reply, vehicleView, view);
      },
    },
    {
      method: 'GET',
      path: '/vehicles/:vehicleId/manifests',
      says: { summary: 'The last manifests of a vehicle', gives: manifestHistory },
      handle: (request, reply) => {
        const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
        if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
        const manifests = viewManifests(services, vehicleId);
        if (isRefusal(manifests)) return sendRefusal(reply, manifests);
        return sendAnswer(reply, manifestHistory, manifests);
      },
    },
    {
      method: 'POST',
      path: '/vehicles/:vehicleId/device',
      says: {
        summary: 'Revokes the device certificates of a vehicle, or takes that back',
        takes: deviceRequest,
        gives: emptyAnswer,
      },
      handle: (request, reply) => {
        const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
        if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
        const body = readBody(request, deviceRequest);
        if (isRefusal(body)) return sendRefusal(reply, body);
        const refused = setRevoked(services, vehicleId, body.revoked);
        if (refused !== undefined) return sendRefusal(reply, refused);
        return sendAnswer(reply, emptyAnswer, {});
      },
    },
    {
      method: 'POST',
      path: '/vehicles/:vehicleId/refresh',
      says: { summary: 'Signs a new Timestamp of a vehicle', gives: refreshAnswer },
      handle: (request, reply) => {
        const vehicleId = fromJson(identifier, parameterOf(request, 'vehicleId'));
        if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
        const vehicle = findVehicle(services, vehicleId);
        if (isRefusal(vehicle)) return sendRefusal(reply, vehicle);
        const timestampVersion = refresh(services, vehicleId);
        return sendAnswer(reply, refreshAnswer, { timestampVersion });
      },
    },
  ];
}

/** A new Timestamp always, at once; what else is old comes with it. */
function refresh(services: Services, vehicleId: string): number {
  const from = staleRole(services, vehicleId) ?? 'timestamp';
  services.database.transaction(() => issueMetadata(services, vehicleId, from));
  return latestMetadata(services, vehicleId, 'timestamp').version;
}

function status(services: Services): Route {
  return {
    method: 'GET',
    path: '/status',
    says: { summary: 'Counts and versions', gives: statusAnswer },
    handle: (_request, reply) => {
      const { database, roots } = services;
      const counts = database.one(inventoryCounts) ?? { vehicles: 0, ecus: 0 };
      return sendAnswer(reply, statusAnswer, {
        vehicles: counts.vehicles,
        ecus: counts.ecus,
        images: database.one(countImages)?.count ?? 0,
        anomalies: database.one(countAnomalies)?.count ?? 0,
        directorRootVersion: roots.latest('director').version,
        imagesRootVersion: roots.latest('images').version,
        imagesVersions: database
          .all(imageMetadataVersions)
          .map(({ role, version }) => ({ key: role, value: version })),
      });
    },
  };
}
