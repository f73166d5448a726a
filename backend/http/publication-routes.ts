/** What authorised users publish in the Image repository: images, their content keys, Root and Targets. */
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import {
  maxFilesPerPublication,
  maxKeyObjectBytes,
  maxRootBytes,
  maxSmallBodyBytes,
  maxTargetsBytes,
} from '../../agent/limits.ts';
import { filename as filenameSchema } from '../../agent/metadata/common.ts';
import { emptyAnswer } from '../../agent/metadata/device-messages.ts';
import { targets } from '../../agent/metadata/targets.ts';
import { acceptContentKey } from '../director/assignments.ts';
import { freshenImageMetadata } from '../images/metadata.ts';
import { publishTargets, publishTogether } from '../images/publish.ts';
import { receiveImage } from '../images/upload.ts';
import type { Services } from '../services.ts';
import { latestImageMetadata } from '../store/metadata.ts';
import { sendAnswer, sendRefusal, sendResult } from './answers.ts';
import { sendImageMetadata } from './images-routes.ts';
import { fromJson } from './json-view.ts';
import { bodyOf, parameterOf, type Route, readBody } from './listener.ts';
import {
  contentKeyRequest,
  type PublishAnswer,
  publicationAnswer,
  publicationRequest,
  publishAnswer,
  uploadAnswer,
} from './messages.ts';
import { parseMetadataName } from './metadata-name.ts';

/** What `POST /images/publications` does not take: Root has a way of its own. */
const serverRoles = ['root', 'snapshot', 'timestamp'];
const octets = 'application/octet-stream';

/** IMG-04: how authorised users write images and metadata. */
export function publicationRoutes(services: Services): readonly Route[] {
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
      handle: async (request, reply) => {
        const name = parameterOf(request, 'name') ?? '';
        const published = await publishImages(services, name, bodyOf(request));
        return sendResult(reply, publishAnswer, published);
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
      handle: async (request, reply) => {
        const body = readBody(request, publicationRequest);
        if (isRefusal(body)) return sendRefusal(reply, body);
        const online = body.files.find(({ role }) => serverRoles.includes(role));
        const published = online
          ? refuse('delegation-role', `${online.role} is not signed by operators`)
          : await publishTogether(services, body.files);
        return sendResult(reply, publicationAnswer, published);
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
      handle: async (request, reply) => {
        const body = readBody(request, contentKeyRequest);
        if (isRefusal(body)) return sendRefusal(reply, body);
        const refused = await acceptContentKey(services, body);
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
      return sendResult(reply, uploadAnswer, stored);
    },
  };
}

/** A Root, the top-level Targets or a delegated role, by its name. */
async function publishImages(
  services: Services,
  text: string,
  body: Uint8Array,
): Promise<PublishAnswer | Refusal> {
  const name = parseMetadataName(text);
  if (isRefusal(name)) return name;
  const { role, version } = name;
  if (version === undefined || role === 'timestamp' || role === 'snapshot') {
    return refuse('request-malformed', `${role} is signed by the server`);
  }
  if (role !== 'root') return publishTargets(services, role, version, body);
  const published = await services.roots.publish('images', version, body, services.now());
  if (isRefusal(published)) return published;
  await freshenImageMetadata(services);
  const { database } = services;
  const snapshotVersion = (await database.one(latestImageMetadata, 'snapshot'))?.version;
  const timestampVersion = (await database.one(latestImageMetadata, 'timestamp'))?.version;
  return {
    version,
    ...(snapshotVersion !== undefined && { snapshotVersion }),
    ...(timestampVersion !== undefined && { timestampVersion }),
  };
}
