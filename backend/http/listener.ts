/**
 * How every plane listens: limits, timeouts, body parsers and error answers, set in this one place.
 */
import type { Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { decode, type Schema } from '../../agent/codec/schema.ts';
import { type Code, type Refusal, refuse } from '../../agent/codes.ts';
import { maxHttpHeaderBytes, maxSmallBodyBytes } from '../../agent/limits.ts';
import type { Lane, Priority } from '../admission/priorities.ts';
import { secondsAfterOverload } from '../admission/retry-after.ts';
import type { Metrics } from '../metrics.ts';
import { SignerUnavailable } from '../signer/online-keys.ts';
import { BlobsUnavailable } from '../store/blobs.ts';
import { DatabaseUnavailable } from '../store/database.ts';
import { admissionOf, closeAfter, type PlaneAdmission } from './admission-hooks.ts';
import { cborType, refusalBody, sendRefusal } from './answers.ts';
import type { CertificateUse, DevicePlane } from './device-plane.ts';
import type { RouteText } from './openapi.ts';

export interface ListenerOptions {
  readonly logLevel: string;
  readonly plane: PlaneAdmission['plane'];
  readonly metrics: Metrics;
  /** Longest time to receive one request with its body. */
  readonly requestMilliseconds: number;
  /** Longest silence on a connection, in either direction. */
  readonly idleMilliseconds: number;
  readonly maxConnections: number;
  /** Accepts `application/octet-stream` bodies as streams, without a limit of its own. */
  readonly streams?: boolean;
  /** Mutual TLS; plain HTTP when absent. */
  readonly devices?: DevicePlane | undefined;
}

const keepAliveMilliseconds = 30_000;
const headersMilliseconds = 5_000;
/** How often those two, and the time for a whole request, are looked at: Node's default is 30 s. */
const checkMilliseconds = 1_000;
const maxRequestsPerConnection = 10_000;

/** Makes a server with no routes yet; `addRoutes` fills it. */
export function createListener(options: ListenerOptions): FastifyInstance {
  const http = {
    maxHeaderSize: maxHttpHeaderBytes,
    headersTimeout: headersMilliseconds,
    connectionsCheckingInterval: checkMilliseconds,
  };
  const { devices } = options;
  const app: FastifyInstance = Fastify({
    logger: { level: options.logLevel, stream: process.stderr },
    logController: new LogController({ disableRequestLogging: true }),
    // A route that takes more says so; nothing takes an unbounded body into memory.
    bodyLimit: maxSmallBodyBytes,
    requestTimeout: options.requestMilliseconds,
    connectionTimeout: options.idleMilliseconds,
    keepAliveTimeout: keepAliveMilliseconds,
    maxRequestsPerSocket: maxRequestsPerConnection,
    // Typed as the plain server: nothing here depends on which of the two it is.
    ...(devices === undefined
      ? { http }
      : ({ https: { ...http, ...devices.serverOptions } } as unknown as { http: typeof http })),
    // Longer path parameters are judged, and refused, by their schemas.
    routerOptions: { maxParamLength: maxHttpHeaderBytes, caseSensitive: true },
    exposeHeadRoutes: false,
    requestIdHeader: false,
    trustProxy: false,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    frameworkErrors: (error, _request, reply) => sendError(error, reply as FastifyReply),
    clientErrorHandler: (error, socket) => {
      const reason = brokenBy(error.code);
      options.metrics.connectionsBroken.inc({ plane: options.plane, reason });
      answerBrokenRequest(error, socket);
    },
  });
  app.decorateRequest('refusedBy', undefined);
  devices?.serve(app.server as unknown as TlsServer);
  app.server.maxConnections = options.maxConnections;
  app.removeAllContentTypeParsers();
  // Raw bytes: only the strict decoder reads what came from outside.
  app.addContentTypeParser(cborType, { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  if (options.streams) {
    app.addContentTypeParser('application/octet-stream', (_request, payload, done) =>
      done(null, payload),
    );
  }
  app.setErrorHandler<FastifyError>((error, _request, reply) => sendError(error, reply));
  app.setNotFoundHandler((_request, reply) =>
    sendRefusal(reply, refuse('not-found', 'no such path')),
  );
  return app;
}

/** What fastify's own errors are in the catalogue. */
const frameworkCodes: Readonly<Record<string, Code>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'content-type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'body-incomplete',
  FST_ERR_CTP_EMPTY_TYPE: 'content-type',
  ECONNRESET: 'body-incomplete',
};

/** What works beside this process and does not answer now: the same may go well in a while. */
const unavailable = [
  [DatabaseUnavailable, 'the database does not answer: come again later'],
  [BlobsUnavailable, "the images' store does not answer; nothing was done"],
  [SignerUnavailable, 'the token with the online keys does not answer; nothing was done'],
] as const;

function sendError(error: FastifyError, reply: FastifyReply): FastifyReply {
  const code = frameworkCodes[error.code];
  if (code !== undefined) return sendRefusal(reply, refuse(code, error.message));
  if (isStorageFull(error)) {
    reply.log.error({ code: 'storage-full', err: error });
    return sendRefusal(reply, refuse('storage-full', 'the disk of the server is full'));
  }
  for (const [kind, detail] of unavailable) {
    if (!(error instanceof kind)) continue;
    reply.log.error({ code: error.code, err: error });
    reply.header('retry-after', secondsAfterOverload());
    if (kind === DatabaseUnavailable) closeAfter(reply.request, reply);
    return sendRefusal(reply, refuse(error.code, detail));
  }
  const status = error.statusCode ?? 500;
  if (status >= 400 && status < 500) {
    return sendRefusal(reply, refuse('request-malformed', error.message), status);
  }
  // A bug or a failing device: the log says what, the answer does not.
  reply.log.error({ code: 'internal-error', err: error });
  return sendRefusal(reply, refuse('internal-error', 'see the log of the server'));
}

/** What the file system and the databases say when nothing more can be written. */
function isStorageFull(error: Error): boolean {
  const { code, errcode } = error as { readonly code?: string; readonly errcode?: number };
  // SQLITE_FULL, and SQLITE_IOERR_WRITE, _SHMSIZE: the log or its index cannot grow.
  if (code === 'ERR_SQLITE_ERROR') return [13, 778, 4_874].includes(errcode ?? 0);
  // The last is PostgreSQL's disk_full.
  return code === 'ENOSPC' || code === 'EDQUOT' || code === '53100';
}

/** What was wrong with what came before any request, by Node's code. */
function brokenBy(code: string | undefined): keyof typeof brokenAnswers {
  if (code === 'HPE_HEADER_OVERFLOW') return 'large';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'slow' : 'broken';
}

/** Status line and code of the answer to each. */
const brokenAnswers = {
  large: ['431 Request Header Fields Too Large', 'body-too-large'],
  slow: ['408 Request Timeout', 'body-incomplete'],
  broken: ['400 Bad Request', 'request-malformed'],
} as const;

/** Requests that are no HTTP never reach a route: answered on the socket itself. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  // A handshake that failed leaves nothing to answer on.
  const isTls = /^(ERR_SSL_|ERR_TLS_|EPROTO)/.test(error.code ?? '');
  if (isTls || error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, code] = brokenAnswers[brokenBy(error.code)];
  const { cbor } = refusalBody(refuse(code, 'the request is not valid HTTP or came too slowly'));
  socket.write(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: ${cborType}\r\n` +
      `content-length: ${cbor.length}\r\n\r\n`,
  );
  socket.end(cbor);
}

export interface Route {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly path: string;
  /** Bytes of body that this route takes; absent: `maxSmallBodyBytes`. */
  readonly bodyBytes?: number;
  /** Where it waits for its turn, and before whom; without these it is answered at once. */
  readonly lane?: Lane;
  readonly priority?: Priority;
  /** Its answers are kept in memory (`LastSigned`), for the time of an overload. */
  readonly kept?: boolean;
  /** What the OpenAPI document says of it: every route of the operator plane has one. */
  readonly says?: RouteText;
  /** On the device plane with TLS; a `valid` one when absent. */
  readonly certificate?: CertificateUse;
  readonly handle: (
    request: FastifyRequest,
    reply: FastifyReply,
  ) => FastifyReply | Promise<FastifyReply>;
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/**
 * Adds routes, and for each path the refusal of every other method.
 * @param plane how requests are admitted
 * @param authorize judges a request before its body is read
 */
export function addRoutes(
  app: FastifyInstance,
  routes: readonly Route[],
  plane?: PlaneAdmission,
  authorize?: (request: FastifyRequest) => Refusal | undefined,
): void {
  for (const route of routes) {
    const { method, path, bodyBytes, handle } = route;
    const admission = admissionOf(route, plane);
    app.route({
      method,
      url: path,
      onRequest: async (request, reply) => {
        // DIR-05: who asks comes before what is asked
        const refused = authorize?.(request) ?? (await plane?.devices?.admit(request, route));
        if (refused !== undefined) {
          closeAfter(request, reply);
          return sendRefusal(reply, refused);
        }
        return admission?.judge(request, reply) ? reply : undefined;
      },
      ...(bodyBytes !== undefined && { bodyLimit: bodyBytes }),
      handler: async (request, reply) => {
        if (admission === undefined) await handle(request, reply);
        else await admission.run(request, reply);
        return reply;
      },
    });
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    const allowed = routes.filter((route) => route.path === path).map((route) => route.method);
    const others = methods.filter((method) => !allowed.some((one) => one === method));
    app.route({
      method: others,
      url: path,
      onRequest: (request, reply) => {
        reply.header('allow', allowed.join(', '));
        closeAfter(request, reply);
        sendRefusal(reply, refuse('method-not-allowed', `allowed: ${allowed.join(', ')}`));
      },
      handler: () => undefined,
    });
  }
}

/** The body's bytes; empty when none came. */
export function bodyOf(request: FastifyRequest): Uint8Array {
  const body = request.body;
  return body instanceof Uint8Array
    ? new Uint8Array(body.buffer, body.byteOffset, body.length)
    : new Uint8Array(0);
}

/** Decodes the body strictly. Codes `cbor-…`. */
export function readBody<T>(request: FastifyRequest, schema: Schema<T>): T | Refusal {
  const body = bodyOf(request);
  // Its size was bounded while it was received.
  return decode(schema, body, body.length);
}

/** A path parameter as text; what it may be is for a schema to say. */
export function parameterOf(request: FastifyRequest, name: string): string | undefined {
  return (request.params as Readonly<Record<string, string | undefined>>)[name];
}
