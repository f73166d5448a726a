/** Signed metadata that stays in memory after it was sent, for the time of an overload. */
import type { FastifyReply } from 'fastify';
import type { Schema } from '../../agent/codec/schema.ts';
import type { Services } from '../services.ts';
import { keptName } from './admission-hooks.ts';
import { sendSigned } from './answers.ts';

/** Sends a stored file and keeps it under the request's path; a Root has no end here. */
export function sendKept(
  services: Services,
  reply: FastifyReply,
  payload: Schema<unknown>,
  row: { readonly bytes: Uint8Array; readonly expires?: number },
): FastifyReply {
  const { bytes, expires = Number.MAX_SAFE_INTEGER } = row;
  services.memory.keep(keptName(reply.request), bytes, expires);
  return sendSigned(reply, payload, bytes);
}
