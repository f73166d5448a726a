/** The vehicle that a connection belongs to: what its certificate says, never a path or a body. */
import { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';

/** The vehicle id of the client certificate that was verified; undefined without one. */
export function authenticatedVehicle({ socket }: FastifyRequest): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { CN } = socket.getPeerCertificate().subject ?? {};
  return typeof CN === 'string' ? CN : undefined;
}
