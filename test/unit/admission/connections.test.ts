/** Connections of one address: its share and not one more, before a byte is read. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { limitConnections } from '../../../backend/admission/connections.ts';
import { Metrics } from '../../../backend/metrics.ts';

const test = suite('connections');

test('one address has its share, another its own, and a closed one makes room', async () => {
  const metrics = new Metrics();
  const server = createServer();
  limitConnections(server, 'director', 2, metrics);
  server.on('connection', (socket) => {
    socket.on('error', () => undefined);
    if (!socket.destroyed) socket.write('x');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const open: Socket[] = [];
  const attempt = (localAddress: string) =>
    new Promise<'taken' | 'refused'>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress });
      open.push(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => resolve('taken'));
      socket.once('close', () => resolve('refused'));
    });
  assert.is(await attempt('127.0.0.2'), 'taken');
  assert.is(await attempt('127.0.0.2'), 'taken');
  assert.is(await attempt('127.0.0.2'), 'refused');
  assert.is(await attempt('127.0.0.3'), 'taken');
  assert.is(
    await metrics.valueOf('ota_connections_refused_total', { plane: 'director', limit: 'address' }),
    1,
  );
  open[0]!.destroy();
  let later: string = 'refused';
  for (let i = 0; i < 200 && later === 'refused'; i++) later = await attempt('127.0.0.2');
  assert.is(later, 'taken');
  for (const socket of open) socket.destroy();
  server.close();
  metrics.close();
});

test.run();
