/** What the operator's tool needs to write a medium for offline updates (PURE-2). */
import { isRefusal, refuse } from '../../agent/codes.ts';
import { maxOfflineSnapshotBytes } from '../../agent/limits.ts';
import { keyObject } from '../../agent/metadata/key-object.ts';
import { offlineSnapshot } from '../../agent/metadata/offline.ts';
import { wrapForEcu } from '../director/assignments.ts';
import { currentOfflineSnapshot, publishOfflineSnapshot } from '../director/offline-snapshot.ts';
import type { Services } from '../services.ts';
import { sendAnswer, sendEncoded, sendRefusal, sendSigned } from './answers.ts';
import { downloadImage } from './images-routes.ts';
import { bodyOf, type Route, readBody } from './listener.ts';
import { keyObjectRequest, publishAnswer } from './messages.ts';

export function offlineRoutes(services: Services): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/offline/snapshot',
      says: { summary: 'The newest Offline Snapshot', gives: { signed: offlineSnapshot } },
      handle: async (_request, reply) => {
        const bytes = await currentOfflineSnapshot(services);
        if (bytes !== undefined) return sendSigned(reply, offlineSnapshot, bytes);
        return sendRefusal(reply, refuse('metadata-absent', 'no Offline Snapshot was published'));
      },
    },
    {
      method: 'PUT',
      path: '/offline/snapshot',
      says: {
        summary: 'Publishes an Offline Snapshot',
        takes: { signed: offlineSnapshot },
        gives: publishAnswer,
      },
      bodyBytes: maxOfflineSnapshotBytes,
      handle: async (request, reply) => {
        const published = await publishOfflineSnapshot(services, bodyOf(request));
        if (isRefusal(published)) return sendRefusal(reply, published);
        return sendAnswer(reply, publishAnswer, { version: published.version });
      },
    },
    {
      method: 'POST',
      path: '/offline/key-objects',
      says: {
        summary: 'A key object for an ECU that gets an image from a medium',
        takes: keyObjectRequest,
        gives: keyObject,
      },
      handle: async (request, reply) => {
        const body = readBody(request, keyObjectRequest);
        if (isRefusal(body)) return sendRefusal(reply, body);
        const wrapped = await wrapForEcu(services, body);
        if (isRefusal(wrapped)) return sendRefusal(reply, wrapped);
        return sendEncoded(reply, keyObject, wrapped);
      },
    },
    {
      ...downloadImage(services, 'GET', '/images/targets/:name'),
      says: {
        summary: 'The ciphertext of an image, for the writing of media',
        gives: { type: 'application/octet-stream' },
      },
    },
  ];
}
