/** Admission as hooks of a listener (docs/dos.md): quotas, shedding, and what is measured. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { refuse } from '../../agent/codes.ts';
import type { Admission } from '../admission/admission.ts';
import { limitConnections } from '../admission/connections.ts';
import type { ShedReason } from '../admission/lanes.ts';
import type { QuotaRefusal, Sender } from '../admission/quotas.ts';
import { secondsAfterOverload, secondsAfterQuota } from '../admission/retry-after.ts';
import { chooseForm, sendFromMemory, sendRefusal } from './answers.ts';
import type { DevicePlane } from './device-plane.ts';
import type { Route } from './listener.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sends, on the device plane. */
    sender: Sender | undefined;
  }
}

export interface PlaneAdmission {
  readonly plane: 'director' | 'images' | 'operator';
  readonly admission: Admission;
  readonly maxConnectionsPerAddress: number;
  /** Who is who by their certificates; absent without TLS. */
  readonly devices?: DevicePlane | undefined;
  /** Counts every request against the sender's quotas. */
  readonly quotas: boolean;
  /** Unix seconds. */
  readonly now: () => number;
}

/** Adds to a listener, before its routes, what holds for each of its requests. */
export function addAdmission(app: FastifyInstance, options: PlaneAdmission): void {
  const { plane, admission, maxConnectionsPerAddress } = options;
  const { metrics } = admission;
  limitConnections(app.server, plane, maxConnectionsPerAddress, metrics);
  app.decorateRequest('sender', undefined);
  if (options.quotas) {
    app.addHook('onRequest', async (request, reply) => {
      const vehicleId = options.devices?.vehicleOf(request);
      request.sender = await admission.senderOf(vehicleId, request.ip);
      const refused = await admission.spend(request.sender);
      return refused === undefined ? undefined : sendOverQuota(request, reply, refused);
    });
  }
  app.addHook('onResponse', (request, reply, done) => {
    // The template of the route, not the path: paths hold identifiers.
    const route = `${request.method} ${request.routeOptions.url ?? '?'}`;
    const known = request.is404 ? 'none' : route;
    const status = String(reply.raw.statusCode);
    if (request.refusedBy !== undefined) {
      metrics.refusals.inc({ plane, code: request.refusedBy });
    }
    metrics.requestSeconds.observe({ plane, route: known, status }, reply.elapsedTime / 1_000);
    done();
  });
}

/** 429, and when the window ends. */
export function sendOverQuota(
  request: FastifyRequest,
  reply: FastifyReply,
  { scope, milliseconds }: QuotaRefusal,
): FastifyReply {
  reply.header('retry-after', secondsAfterQuota(milliseconds));
  closeAfter(request, reply);
  return sendRefusal(reply, refuse('quota-exceeded', `too many requests: quota ${scope}`));
}

/**
 * An unread body has to be received to its end before the connection is of use again: closing it is
 * cheaper where there is much of it. A short one has come with its head: reading over it costs less
 * than the handshake of the next connection, which overload would bring on top.
 */
export function closeAfter(request: FastifyRequest, reply: FastifyReply): void {
  if (request.body !== undefined) return;
  const { headers } = request;
  const chunked = headers['transfer-encoding'] !== undefined;
  const length = Number(headers['content-length'] ?? 0);
  if (chunked || !(length <= maxSkippedBodyBytes)) reply.header('connection', 'close');
}

/** A manifest of a few ECUs. */
const maxSkippedBodyBytes = 4_096;

/** What has no admission is answered at once: health, metrics, refusals. */
export function admissionOf(
  route: Route,
  options: PlaneAdmission | undefined,
): RouteAdmission | undefined {
  const { lane, priority } = route;
  if (options === undefined || lane === undefined || priority === undefined) return undefined;
  const { admission, now } = options;
  const prioritized = (request: FastifyRequest) => admission.priorityFor(priority, request.sender);
  const shed = (request: FastifyRequest, reply: FastifyReply, reason: ShedReason) => {
    if (answerFromMemory(admission, now, route, request, reply)) return;
    reply.header('retry-after', secondsAfterOverload());
    closeAfter(request, reply);
    const why = reason === 'full' ? 'too many requests wait' : 'requests wait for too long';
    sendRefusal(reply, refuse('overloaded', why));
  };
  return {
    judge(request, reply) {
      const reason = admission.judge(lane, prioritized(request));
      if (reason === undefined) return false;
      shed(request, reply, reason);
      return true;
    },
    async run(request, reply) {
      const reason = await admission.run(
        lane,
        prioritized(request),
        () => request.raw.socket.destroyed,
        () => route.handle(request, reply),
      );
      if (reason !== undefined) shed(request, reply, reason);
    },
  };
}

export interface RouteAdmission {
  /** True when the request was answered already: it is shed before its body is read. */
  judge(request: FastifyRequest, reply: FastifyReply): boolean;
  /** Handles the request when its turn comes, or sheds it. */
  run(request: FastifyRequest, reply: FastifyReply): Promise<void>;
}

function answerFromMemory(
  admission: Admission,
  now: () => number,
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
): boolean {
  if (!route.kept || chooseForm(request.headers.accept) !== 'cbor') return false;
  const bytes = admission.memory.find(keptName(request), now());
  if (bytes === undefined) return false;
  admission.metrics.servedFromMemory.inc();
  sendFromMemory(reply, bytes);
  return true;
}

/** The name under which an answer is kept: the path, which both repositories have of their own. */
export function keptName(request: FastifyRequest): string {
  return request.url.split('?')[0]!;
}
