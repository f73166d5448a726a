/** What watches the backend: health, readiness, metrics, and the description of its interface. */
import { refuse } from '../../agent/codes.ts';
import { serviceDescription } from '../../agent/metadata/device-messages.ts';
import type { Services } from '../services.ts';
import { latestRoot } from '../store/metadata.ts';
import { sendAnswer, sendRefusal } from './answers.ts';
import { description } from './description.ts';
import type { Route } from './listener.ts';
import { openApiDocument } from './openapi.ts';

/** With less than this the store is full soon: an image, a checkpoint of the database. */
const minFreeBytes = 16_777_216;

/** The process answers; whether it can work is for `/readyz` to say. */
export function health(): Route {
  return {
    method: 'GET',
    path: '/healthz',
    says: { summary: 'The process is alive', gives: serviceDescription, open: true },
    handle: (_request, reply) => sendAnswer(reply, serviceDescription, description('ota-operator')),
  };
}

/** The store answers and has room, and it is not being stopped. */
export function readiness(services: Services): Route {
  return {
    method: 'GET',
    path: '/readyz',
    says: { summary: 'The backend can do its work', gives: serviceDescription, open: true },
    handle: async (_request, reply) => {
      const { database, blobs, admission } = services;
      if (admission.draining) return sendRefusal(reply, refuse('overloaded', 'being stopped'));
      // Throws, and is answered 500 or 503, when the database or the images' store does not.
      await database.one(latestRoot, 'director');
      if ((await blobs.freeBytes()) < minFreeBytes) {
        return sendRefusal(
          reply,
          refuse('storage-full', `less than ${minFreeBytes} bytes are free`),
        );
      }
      return sendAnswer(reply, serviceDescription, description('ota-operator'));
    },
  };
}

export function metricsRoute({ metrics }: Services): Route {
  return {
    method: 'GET',
    path: '/metrics',
    says: { summary: 'Counters in the text format of Prometheus', gives: { type: 'text/plain' } },
    handle: async (_request, reply) => {
      const text = await metrics.registry.metrics();
      return reply.type(metrics.registry.contentType).send(text);
    },
  };
}

/** @param routes all of the plane */
export function openApi(routes: () => readonly Route[]): Route {
  return {
    method: 'GET',
    path: '/openapi.json',
    says: { summary: 'This document', gives: { type: 'application/json' }, open: true },
    handle: (_request, reply) => {
      const { version } = description('ota-operator');
      const document = openApiDocument(version, routes());
      return reply.type('application/json; charset=utf-8').send(JSON.stringify(document));
    },
  };
}
