/** Loads for the client process, and what their results come to. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { QuotaLimits } from '../../../backend/admission/quotas.ts';
import type { Load, LoadResult } from './load-client.ts';

const unlimited = 1_000_000_000;
/** The vehicles of a bench share an address, and ask for more than vehicles do. */
export const unlimitedQuotas: QuotaLimits = {
  ...{ vehicle: unlimited, fleet: unlimited, address: unlimited },
  ...{ anonymous: unlimited, global: unlimited, connections: unlimited },
};

const program = fileURLToPath(new URL('load-client.ts', import.meta.url));

/** Runs a load in a process of its own, so that it does not share the server's loop. */
export function sendLoad(load: Load): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    const child = fork(program, [], { serialization: 'advanced', execArgv: [] });
    child.once('message', (result) => resolve(result as LoadResult));
    child.once('error', reject);
    child.once('exit', (status) => reject(new Error(`the client ended with status ${status}`)));
    child.send(load);
  });
}

/** One HTTP/1.1 request, whole. */
export function encodeRequest(method: string, path: string, body?: Uint8Array): Uint8Array {
  const content = body
    ? `content-type: application/cbor\r\ncontent-length: ${body.length}\r\n`
    : '';
  const head = Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: x\r\n${content}\r\n`, 'latin1');
  return Buffer.concat([head, body ?? new Uint8Array(0)]);
}

/** Answers with status 200 a second; all but those and 503 are a bug of the bench and throw. */
export function ratePerSecond({ statuses, seconds }: LoadResult): number {
  const others = Object.keys(statuses).filter((status) => status !== '200' && status !== '503');
  if (others.length > 0) throw new Error(`answers ${JSON.stringify(statuses)}`);
  return statuses['200']! / seconds;
}

/** The value below which the share `part` of the values lies. */
export function quantile(values: Float64Array, part: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
