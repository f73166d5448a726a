/** Many requests from addresses of an attacker's choice, over few connections. */
import { Agent, request } from 'node:http';
import { windowSeconds } from '../../backend/admission/quotas.ts';

export interface FloodOptions {
  readonly port: number;
  readonly count: number;
  /** Source address of a request. */
  readonly from: (i: number) => string;
  readonly path: (i: number) => string;
  readonly method?: string;
  readonly body?: (i: number) => Uint8Array;
}

/** How many answers of each status came; `error` counts requests without one. */
export type Statuses = Readonly<Record<string, number>>;

export interface Flood {
  readonly statuses: Statuses;
  /** Answers 429 and 503 that say when to come back. */
  readonly retryAfter: number;
  /** Windows of a quota that it touched. */
  readonly windows: number;
}

const concurrent = 32;

export async function flood(options: FloodOptions): Promise<Flood> {
  const { port, count, from, path, method = 'GET', body } = options;
  const statuses: Record<string, number> = {};
  let retryAfter = 0;
  const started = performance.now();
  const agent = new Agent({ keepAlive: true, maxSockets: concurrent });
  let next = 0;
  const one = (i: number) =>
    new Promise<void>((resolve) => {
      const content = body?.(i);
      const outgoing = request(
        {
          ...{ host: '127.0.0.1', port, agent, method, localAddress: from(i), path: path(i) },
          headers: content
            ? { 'content-type': 'application/cbor', 'content-length': String(content.length) }
            : {},
        },
        (response) => {
          const status = String(response.statusCode);
          statuses[status] = (statuses[status] ?? 0) + 1;
          if (response.headers['retry-after'] !== undefined) retryAfter += 1;
          response.resume();
          response.on('close', () => resolve());
        },
      );
      outgoing.on('error', () => {
        statuses['error'] = (statuses['error'] ?? 0) + 1;
        resolve();
      });
      outgoing.end(content);
    });
  const worker = async () => {
    while (next < count) {
      next += 1;
      await one(next - 1);
    }
  };
  await Promise.all(Array.from({ length: concurrent }, worker));
  agent.destroy();
  const seconds = (performance.now() - started) / 1_000;
  return { statuses, retryAfter, windows: 1 + Math.ceil(seconds / windowSeconds) };
}

/** `404 × 300, 429 × 250`, for the table. */
export function describeStatuses(statuses: Statuses): string {
  return Object.entries(statuses)
    .map(([status, count]) => `${status} × ${count.toLocaleString('en')}`)
    .join(', ');
}
