/** Every answer of every plane: CBOR, or its JSON view where `Accept` prefers that. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { decode, encode, type Schema } from '../../agent/codec/schema.ts';
import { type Code, isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxRefusalDetailCharacters } from '../../agent/limits.ts';
import { type RefusalAnswer, refusalAnswer } from '../../agent/metadata/device-messages.ts';
import { envelopeToJson, type Json, toJson } from './json-view.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The code by which it was refused, for the metrics. */
    refusedBy: Code | undefined;
  }
}

export const cborType = 'application/cbor';
const jsonType = 'application/json; charset=utf-8';

/** HTTP statuses of the refusals that are not plain 400s. */
const statuses: Partial<Readonly<Record<Code, number>>> = {
  'token-missing': 401,
  'token-invalid': 403,
  'enrolment-token-invalid': 403,
  'wrong-plane': 403,
  'certificate-missing': 403,
  'certificate-untrusted': 403,
  'certificate-expired': 403,
  'certificate-unknown': 403,
  'certificate-revoked': 403,
  'certificate-vehicle': 403,
  'not-found': 404,
  'metadata-absent': 404,
  'vehicle-unknown': 404,
  'image-unknown': 404,
  'method-not-allowed': 405,
  'vehicle-registered': 409,
  'ecu-registered': 409,
  'image-exists': 409,
  'metadata-not-next': 409,
  'report-replayed': 409,
  'body-too-large': 413,
  'content-type': 415,
  'quota-exceeded': 429,
  'internal-error': 500,
  overloaded: 503,
  'database-unavailable': 503,
  'images-unavailable': 503,
  'signer-unavailable': 503,
  'storage-full': 507,
};

export function statusOf(refusal: Refusal): number {
  return statuses[refusal.refused] ?? 400;
}

/** The weight that an Accept header gives a media type (RFC 9110 §12.5.1); 0: not acceptable. */
function weightOf(accept: string, type: 'cbor' | 'json'): number {
  let best = { rank: -1, weight: 0 };
  for (const part of accept.split(',')) {
    const [range = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    const rank = [`*/*`, 'application/*', `application/${type}`].indexOf(range);
    const q = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    const weight = q === undefined ? 1 : Number(q);
    if (rank > best.rank) best = { rank, weight: weight >= 0 && weight <= 1 ? weight : 0 };
  }
  return best.weight;
}

/** How to answer; CBOR wherever both are equally welcome. */
export function chooseForm(accept: string | undefined): 'cbor' | 'json' | undefined {
  if (accept === undefined) return 'cbor';
  const cbor = weightOf(accept, 'cbor');
  const json = weightOf(accept, 'json');
  if (cbor === 0 && json === 0) return undefined;
  return json > cbor ? 'json' : 'cbor';
}

function send(
  reply: FastifyReply,
  status: number,
  cbor: Uint8Array,
  json: () => Json,
): FastifyReply {
  const form = chooseForm(reply.request.headers.accept);
  reply.code(status).header('vary', 'accept').header('x-content-type-options', 'nosniff');
  if (form === 'json') return reply.type(jsonType).send(JSON.stringify(json()));
  return reply.type(cborType).send(Buffer.from(cbor.buffer, cbor.byteOffset, cbor.length));
}

/** One line a decision, with its stable code; never a body, token or key. */
function log(request: FastifyRequest, status: number, code: string, row?: string, detail?: string) {
  request.log.info({
    code,
    ...(row && { row }),
    ...(detail && { detail }),
    method: request.method,
    path: request.url.split('?')[0]!.slice(0, 256),
    status,
  });
}

/** Answers with a record. */
export function sendAnswer<T>(
  reply: FastifyReply,
  schema: Schema<T>,
  value: T,
  status = 200,
): FastifyReply {
  if (refuseForm(reply)) return reply;
  log(reply.request, status, 'ok');
  return send(reply, status, encode(schema, value), () => toJson(schema, value));
}

/** Answers with a record, or with the refusal that stands in its place. */
export function sendResult<T>(
  reply: FastifyReply,
  schema: Schema<T>,
  result: T | Refusal,
): FastifyReply {
  return isRefusal(result) ? sendRefusal(reply, result) : sendAnswer(reply, schema, result);
}

/** Answers with a record that is kept in its encoded form. */
export function sendEncoded<T>(
  reply: FastifyReply,
  schema: Schema<T>,
  bytes: Uint8Array,
): FastifyReply {
  const value = decode(schema, bytes, bytes.length);
  if (isRefusal(value)) throw new Error(`stored record: ${value.detail}`);
  return sendAnswer(reply, schema, value);
}

/** Answers with signed bytes as they are stored. */
export function sendSigned(
  reply: FastifyReply,
  payload: Schema<unknown>,
  bytes: Uint8Array,
): FastifyReply {
  if (refuseForm(reply)) return reply;
  log(reply.request, 200, 'ok');
  return send(reply, 200, bytes, () => {
    const view = envelopeToJson(payload, bytes);
    if (isRefusal(view)) throw new Error(`stored file: ${view.detail}`);
    return view;
  });
}

/** Answers with signed bytes without looking at them again; for requests that take CBOR. */
export function sendFromMemory(reply: FastifyReply, bytes: Uint8Array): FastifyReply {
  log(reply.request, 200, 'ok', undefined, 'from memory');
  return send(reply, 200, bytes, () => {
    throw new Error('memory answers in CBOR only');
  });
}

/** 406: neither form is acceptable. */
function refuseForm(reply: FastifyReply): boolean {
  if (chooseForm(reply.request.headers.accept) !== undefined) return false;
  sendRefusal(reply, refuse('content-type', `${cborType} and application/json are offered`), 406);
  return true;
}

/** Texts in answers are printable ASCII (HRD-20); details may quote what was sent. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, maxRefusalDetailCharacters);
}

/** A refusal as answers state it. */
export function refusalRecord(refusal: Refusal): RefusalAnswer {
  const detail = printable(refusal.detail);
  return { code: refusal.refused, row: refusal.row, ...(detail !== '' && { detail }) };
}

/** The body of a refusal. */
export function refusalBody(refusal: Refusal) {
  const answer = refusalRecord(refusal);
  return { cbor: encode(refusalAnswer, answer), json: () => toJson(refusalAnswer, answer) };
}

/** Answers with a refusal; the one way in which any request is refused. */
export function sendRefusal(
  reply: FastifyReply,
  refusal: Refusal,
  status: number = statusOf(refusal),
): FastifyReply {
  const { cbor, json } = refusalBody(refusal);
  reply.request.refusedBy = refusal.refused;
  log(reply.request, status, refusal.refused, refusal.row, printable(refusal.detail));
  return send(reply, status, cbor, json);
}
