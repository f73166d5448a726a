/**
 * The client of `make bench-backend`, a process of its own: requests over kept connections, as fast
 * as they are answered or at a fixed rate. Over plain sockets, since Node's HTTP client would cost
 * more than the server.
 */
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import process from 'node:process';

export interface Load {
  readonly port: number;
  /** For each connection the requests that it sends, in order; encoded whole. */
  readonly requests: readonly (readonly Uint8Array[])[];
  /** Begins again with the first request when the last is answered. */
  readonly repeat: boolean;
  readonly milliseconds: number;
  /** Requests a second, whether answers come or not; as fast as answers come when absent. */
  readonly rate?: number;
}

export interface LoadResult {
  /** Answers by status; `error` for connections that broke. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** Milliseconds of the answers with status 2xx, from the time at which they were due. */
  readonly latencies: Float64Array;
  /** Requests that were due and found no free connection. */
  readonly unsent: number;
}

class Connection {
  readonly socket: Socket;
  busy = false;
  /** The server closes it after the last answer. */
  ended = false;
  private received = '';
  private missing = -1;
  private status = '';
  private readonly onAnswer: (status: string) => void;

  constructor(port: number, onAnswer: (status: string) => void) {
    this.onAnswer = onAnswer;
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text) => this.take(String(text)));
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.ended = true;
      if (this.busy) onAnswer('error');
    });
  }

  private take(text: string): void {
    if (this.missing < 0) {
      this.received += text;
      const end = this.received.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = this.received.slice(0, end);
      this.status = head.slice(9, 12);
      this.missing = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
      this.ended = /\r\nconnection: close/i.test(head);
      this.missing -= this.received.length - end - 4;
      this.received = '';
    } else this.missing -= text.length;
    if (this.missing > 0) return;
    this.missing = -1;
    this.onAnswer(this.status);
  }
}

/** Sends a load and counts what comes back. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const { port, requests, repeat, milliseconds, rate } = load;
  const statuses: Record<string, number> = {};
  const latencies: number[] = [];
  let started = performance.now();
  let ends = started + milliseconds;
  let unsent = 0;
  let open = requests.length;
  await new Promise<void>((resolve) => {
    const idle: number[] = [];
    const due: number[] = requests.map(() => 0);
    const finish = () => {
      open -= 1;
      if (open === 0) resolve();
    };
    const next: number[] = requests.map(() => 0);
    const take = (i: number, status: string) => {
      connections[i]!.busy = false;
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status.startsWith('2')) latencies.push(performance.now() - due[i]!);
      if (rate === undefined) sendNext(i);
      else if (performance.now() < ends) idle.push(i);
      else finish();
    };
    const connections = requests.map((_, i) => new Connection(port, (status) => take(i, status)));
    const send = (i: number, at: number) => {
      if (connections[i]!.ended) {
        connections[i] = new Connection(port, (status) => take(i, status));
      }
      const list = requests[i]!;
      due[i] = at;
      connections[i]!.busy = true;
      connections[i]!.socket.write(list[next[i]! % list.length]!);
      next[i]! += 1;
    };
    const sendNext = (i: number) => {
      const more = repeat || next[i]! < requests[i]!.length;
      if (!more || performance.now() >= ends) finish();
      else send(i, performance.now());
    };
    if (rate === undefined) {
      for (let i = 0; i < requests.length; i++) sendNext(i);
      return;
    }
    for (let i = 0; i < requests.length; i++) idle.push(i);
    let missing = connections.length;
    // Vehicles keep their connections: how fast new ones are taken is another question.
    for (const { socket } of connections) {
      socket.once('connect', () => {
        missing -= 1;
        if (missing > 0) return;
        started = performance.now();
        ends = started + milliseconds;
        tick();
      });
    }
    let sent = 0;
    const tick = () => {
      const now = performance.now();
      const wanted = Math.floor(((Math.min(now, ends) - started) * rate) / 1_000);
      for (; sent < wanted; sent++) {
        const i = idle.shift();
        if (i === undefined) unsent += 1;
        else send(i, started + (sent / rate) * 1_000);
      }
      if (now < ends) setTimeout(tick, 1);
      else for (const _ of idle.splice(0)) finish();
    };
  });
  return {
    statuses,
    seconds: (performance.now() - started) / 1_000,
    latencies: Float64Array.from(latencies),
    unsent,
  };
}

if (process.send !== undefined) {
  process.once('message', async (load: Load) => {
    process.send!(await runLoad(load));
    process.disconnect();
  });
}
