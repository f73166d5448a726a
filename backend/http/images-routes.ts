/** The Image repository's side of the device plane: public and read-only (IMG-01, IMG-02). */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { isRefusal, refuse } from '../../agent/codes.ts';
import { serviceDescription } from '../../agent/metadata/device-messages.ts';
import { root } from '../../agent/metadata/root.ts';
import { snapshot } from '../../agent/metadata/snapshot.ts';
import { targets } from '../../agent/metadata/targets.ts';
import { timestamp } from '../../agent/metadata/timestamp.ts';
import { freshenImageMetadata } from '../images/metadata.ts';
import { findImage, planDownload, sendDownload } from '../images/serve.ts';
import type { Services } from '../services.ts';
import { imageMetadataByVersion, latestImageMetadata, rootByVersion } from '../store/metadata.ts';
import { closeAfter, type PlaneAdmission } from './admission-hooks.ts';
import { sendAnswer, sendRefusal } from './answers.ts';
import { description } from './description.ts';
import { sendKept } from './kept-metadata.ts';
import { addRoutes, parameterOf, type Route } from './listener.ts';
import { parseMetadataName } from './metadata-name.ts';

export function addImagesRoutes(
  app: FastifyInstance,
  services: Services,
  plane: PlaneAdmission,
): void {
  const routes: readonly Route[] = [
    {
      method: 'GET',
      path: '/',
      handle: (_request, reply) => sendAnswer(reply, serviceDescription, description('ota-images')),
    },
    {
      method: 'GET',
      path: '/metadata/:name',
      lane: 'metadata',
      priority: 'metadata',
      kept: true,
      handle: (request, reply) =>
        sendImageMetadata(services, reply, parameterOf(request, 'name') ?? ''),
    },
    downloadImage(services, 'GET', '/targets/:name'),
    downloadImage(services, 'HEAD', '/targets/:name'),
  ];
  addRoutes(app, routes, plane);
  // IMG-03: refused before any byte of the body is read.
  app.route({
    method: 'POST',
    url: '/upload',
    onRequest: (request, reply, _next) => {
      closeAfter(request, reply);
      sendRefusal(reply, refuse('wrong-plane', 'uploads belong to the operator plane'));
    },
    handler: () => undefined,
  });
}

/** Sends a metadata file of the Image repository by its name; both planes offer this. */
export async function sendImageMetadata(
  services: Services,
  reply: FastifyReply,
  text: string,
): Promise<FastifyReply> {
  const { database } = services;
  const name = parseMetadataName(text);
  if (isRefusal(name)) return sendRefusal(reply, name);
  const { role, version } = name;
  if (version === undefined) {
    await freshenImageMetadata(services);
    const latest = await database.one(latestImageMetadata, 'timestamp');
    if (latest !== undefined) return sendKept(services, reply, timestamp, latest);
    return sendRefusal(reply, refuse('metadata-absent', 'nothing was published yet'));
  }
  const row =
    role === 'root'
      ? await database.one(rootByVersion, 'images', version)
      : await database.one(imageMetadataByVersion, role, version);
  if (row === undefined) {
    return sendRefusal(reply, refuse('metadata-absent', `no ${role} ${version}`));
  }
  if (role === 'root') return sendKept(services, reply, root, row);
  if (role === 'snapshot') return sendKept(services, reply, snapshot, row);
  if (role === 'timestamp') return sendKept(services, reply, timestamp, row);
  return sendKept(services, reply, targets, row);
}

/** Sends an image by `HASH.filename`; on the operator plane for the writing of media. */
export function downloadImage(services: Services, method: 'GET' | 'HEAD', path: string): Route {
  return {
    method,
    path,
    lane: 'downloads',
    priority: 'download',
    handle: async (request, reply) => {
      const image = await findImage(services, parameterOf(request, 'name') ?? '');
      if (isRefusal(image)) return sendRefusal(reply, image);
      const plan = planDownload(image, request.headers);
      if (plan === 'unsatisfiable') {
        reply.header('content-range', `bytes */${image.length}`);
        const detail = `the image has ${image.length} bytes`;
        return sendRefusal(reply, refuse('request-malformed', detail), 416);
      }
      // Opened before the headers go out: a store that is away can still be answered as an error.
      const bytes =
        method === 'HEAD' || plan.range === undefined
          ? undefined
          : await services.blobs.read(image.sha256, plan.range.start, plan.range.end);
      request.log.info({ code: 'ok', method, path: request.url, status: plan.status });
      // From here on the bytes go straight from the store to the socket.
      reply.hijack();
      try {
        await sendDownload(services, plan, bytes, reply.raw);
      } catch (error) {
        request.log.error({ code: 'internal-error', err: error });
        reply.raw.destroy();
      }
      return reply;
    },
  };
}
