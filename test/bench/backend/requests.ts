/** Requests a second: manifests taken, metadata, polls; and what becomes of them in overload. */
import { encode } from '../../../agent/codec/schema.ts';
import { updateQuery } from '../../../agent/metadata/device-messages.ts';
import { timeRequest } from '../../../agent/metadata/time.ts';
import { manifestBatch } from '../../../backend/http/messages.ts';
import type { TestBackend, TestVehicle } from '../../scenario/backend-fixture.ts';
import type { Result } from '../measure.ts';
import { encodeRequest, quantile, ratePerSecond, sendLoad } from './load.ts';

const manifestsPerVehicle = 100;
const batches = 10;
const milliseconds = 3_000;
/** As few as keep the server at work: what waits for long would be shed. */
const connections = 16;
const overloadConnections = 900;
/** Requests a second of the system that this project takes its mission from, on such a machine. */
const peerPerSecond = 1_670;

/** Each vehicle sends its manifests over a connection of its own, one after the other. */
export async function benchManifests(
  backend: TestBackend,
  vehicles: readonly TestVehicle[],
): Promise<Result[]> {
  const { director: port } = backend.backend.ports;
  const requests = vehicles.slice(0, connections).map((vehicle) =>
    Array.from({ length: manifestsPerVehicle }, (_, i) => {
      const body = vehicle.manifest({ counter: i + 1 });
      return encodeRequest('POST', `/manifest/${vehicle.vehicleId}`, body);
    }),
  );
  const single = await sendLoad({ port, requests, repeat: false, milliseconds: 60_000 });
  const rate = ratePerSecond(single);
  const inBatches = Array.from({ length: batches }, (_, i) => {
    const items = vehicles.map((vehicle) => ({
      vehicleId: vehicle.vehicleId,
      manifest: vehicle.manifest({ counter: manifestsPerVehicle + i + 1 }),
    }));
    return encodeRequest('POST', '/manifests', encode(manifestBatch, items));
  });
  const many = await sendLoad({
    ...{ port, requests: [inBatches], repeat: false, milliseconds: 60_000 },
  });
  const batchRate = ratePerSecond(many) * vehicles.length;
  return [
    {
      name: 'manifests accepted, one a request',
      value: rate,
      unit: '/s',
      note: `${connections} connections; 3 signatures each, answered when durable`,
    },
    {
      name: 'manifests accepted, POST /manifests',
      value: batchRate,
      unit: '/s',
      note: `${vehicles.length} a request, one sender; ${(batchRate / rate).toFixed(1)}x`,
    },
  ];
}

/** What vehicles ask for when there is nothing new. */
export async function benchPolls(
  backend: TestBackend,
  vehicles: readonly TestVehicle[],
): Promise<Result[]> {
  const { director: port } = backend.backend.ports;
  const results: Result[] = [];
  const measure = async (name: string, request: (vehicleId: string) => Uint8Array) => {
    const some = vehicles.slice(0, connections);
    const requests = some.map(({ vehicleId }) => [request(vehicleId)]);
    const rate = ratePerSecond(await sendLoad({ port, requests, repeat: true, milliseconds }));
    const note = `${connections} connections; ${(rate / peerPerSecond).toFixed(1)}x the peer's published ${peerPerSecond}/s`;
    results.push({ name, value: rate, unit: '/s', note });
  };
  await measure('GET /manifest', (id) => encodeRequest('GET', `/manifest/${id}`));
  await measure('unchanged poll, timestamp.cbor', (id) =>
    encodeRequest('GET', `/metadata/${id}/timestamp.cbor`),
  );
  await measure('unchanged poll, POST /check_updates', (vehicleId) =>
    encodeRequest(
      'POST',
      '/check_updates',
      encode(updateQuery, { vehicleId, timestampVersion: 1 }),
    ),
  );
  return results;
}

/** Three times as many requests as there is time for, each of them a signature by the server. */
export async function benchOverload(backend: TestBackend): Promise<Result[]> {
  const { director: port } = backend.backend.ports;
  const request = encodeRequest('POST', '/time', encode(timeRequest, [new Uint8Array(16)]));
  const load = (count: number, rate?: number) =>
    sendLoad({
      port,
      requests: Array.from({ length: count }, () => [request]),
      repeat: true,
      milliseconds,
      ...(rate !== undefined && { rate }),
    });
  const capacity = ratePerSecond(await load(connections));
  const over = await load(overloadConnections, 3 * capacity);
  const { statuses, seconds, latencies, unsent } = over;
  const known = ['200', '429', '503'];
  const errors = Object.entries(statuses)
    .filter(([status]) => !known.includes(status))
    .reduce((sum, [, count]) => sum + count, 0);
  const share = ((statuses['200'] ?? 0) / seconds / capacity) * 100;
  const answers = JSON.stringify(statuses).replaceAll('"', '');
  return [
    {
      name: 'capacity, POST /time',
      value: capacity,
      unit: '/s',
      note: `${connections} connections; a composite signature each`,
    },
    {
      name: 'overload 3x: goodput',
      value: share,
      unit: '% of it',
      note: `${overloadConnections} connections; ${answers}${unsent > 0 ? `, ${unsent} without a free connection` : ''}`,
    },
    {
      name: 'overload 3x: p99 of what is served',
      value: quantile(latencies, 0.99),
      unit: 'ms',
      note: `median ${quantile(latencies, 0.5).toFixed(0)} ms`,
    },
    {
      name: 'overload 3x: errors',
      value: errors,
      unit: '',
      note: 'answers other than 200, 429, 503, and broken connections',
    },
  ];
}
