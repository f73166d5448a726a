/** How many connections one address may hold at once (docs/dos.md, layer 1). */
import type { Server } from 'node:net';
import type { Metrics } from '../metrics.ts';
import { networkOf } from './quotas.ts';

/**
 * Closes what one address opens beyond its share, before a byte of it is read, and counts it.
 * The table holds an entry for each address with an open connection, so `maxConnections` bounds it.
 */
export function limitConnections(
  server: Server,
  plane: string,
  maxPerAddress: number,
  metrics: Metrics,
): void {
  const open = new Map<string, number>();
  server.on('drop', () => metrics.connectionsRefused.inc({ plane, limit: 'all' }));
  server.on('connection', (socket) => {
    const network = networkOf(socket.remoteAddress ?? '');
    const count = (open.get(network) ?? 0) + 1;
    if (count > maxPerAddress) {
      metrics.connectionsRefused.inc({ plane, limit: 'address' });
      socket.destroy();
      return;
    }
    open.set(network, count);
    socket.once('close', () => {
      const left = open.get(network)! - 1;
      if (left === 0) open.delete(network);
      else open.set(network, left);
    });
  });
}
