/**
 * Vehicles on the device plane for `make bench-backend`, in a process of their own: by mutual TLS,
 * with a connection for each request, over kept ones, or connected and silent.
 */
import { Agent, request } from 'node:https';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { connect, type TLSSocket } from 'node:tls';
import type { ClientOptions } from '../../scenario/tls-device.ts';

export interface DeviceLoad {
  readonly port: number;
  readonly tls: ClientOptions;
  readonly path: string;
  /** `full` and `resumed`: a handshake for each request; `kept`: none; `idle`: nothing but that. */
  readonly connections: 'full' | 'resumed' | 'kept' | 'idle';
  /** Requests; connections when idle. */
  readonly count: number;
}

export interface DeviceResult {
  readonly seconds: number;
  readonly bodyBytes: number;
  /** Connections whose session was resumed. */
  readonly resumed: number;
}

/** One request; the bytes of its body. Throws when the answer is no success. */
function get(load: DeviceLoad, agent: Agent, seen: { resumed: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    const { port, path, tls } = load;
    const outgoing = request({ host: '127.0.0.1', port, path, agent, ...tls });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      let bytes = 0;
      if ((response.socket as TLSSocket).isSessionReused()) seen.resumed += 1;
      response.on('data', (data: Buffer) => {
        bytes += data.length;
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(bytes);
        else reject(new Error(`answer ${response.statusCode}`));
      });
    });
    outgoing.end();
  });
}

async function runRequests(load: DeviceLoad): Promise<DeviceResult> {
  const agent = new Agent({
    keepAlive: load.connections === 'kept',
    maxCachedSessions: load.connections === 'full' ? 0 : 1,
  });
  const seen = { resumed: 0 };
  await get(load, agent, seen);
  seen.resumed = 0;
  const started = performance.now();
  let bodyBytes = 0;
  for (let i = 0; i < load.count; i++) bodyBytes += await get(load, agent, seen);
  const seconds = (performance.now() - started) / 1_000;
  agent.destroy();
  return { seconds, bodyBytes, resumed: seen.resumed };
}

/** Connects as many vehicles as asked for, tells the parent, and waits until it is told to end. */
async function stayConnected({ port, tls, count }: DeviceLoad): Promise<DeviceResult> {
  const sockets: TLSSocket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connect({ host: '127.0.0.1', port, ...tls });
    await new Promise((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    sockets.push(socket);
  }
  const released = new Promise((resolve) => process.once('message', resolve));
  process.send!('connected');
  await released;
  for (const socket of sockets) socket.destroy();
  return { seconds: 0, bodyBytes: 0, resumed: 0 };
}

process.once('message', async (load: DeviceLoad) => {
  process.send!(await (load.connections === 'idle' ? stayConnected(load) : runRequests(load)));
  process.disconnect();
});
