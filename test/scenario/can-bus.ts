/** What the bus scenarios share: a real hub process, its log, and raw third-party clients. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LinkDriver } from '../../agent/can/link-driver.ts';
import { parseBusAddress } from '../../hal/emulated/bus-address.ts';
import { handshake } from '../../hal/emulated/cannelloni.ts';

export interface Bus {
  readonly address: string;
  /** Lines that the hub has logged. */
  readonly log: string[];
  /** Lines that the hub has printed for its user, `listening` and later ones too. */
  readonly printed: string[];
  /** Folder of the bus, removed by `stop`. */
  readonly folder: string;
  /** The hub's port for a foreign format: `socketcand`, `slcan`. */
  port(format: string): number;
  readonly hub: ChildProcess;
  /** Starts a program of this folder on the bus. */
  start(program: string): ChildProcess;
  /** Ends every process of the bus; `keep` leaves the folder. */
  stop(keep?: 'keep'): Promise<void>;
}

/** Starts a hub on a socket file of its own, or on `listen`, with more options of its command line. */
export async function startBus(listen?: string, ...options: string[]): Promise<Bus> {
  const folder = mkdtempSync(join(tmpdir(), 'can-'));
  const hub = spawn(
    process.execPath,
    [
      'hal/emulated/can-hub.ts',
      ...['--listen', listen ?? `unix:${join(folder, 'bus')}`],
      ...options.map((option) => option.replace('FOLDER', folder)),
    ],
    { stdio: 'pipe' },
  );
  const log: string[] = [];
  const printed: string[] = [];
  hub.stderr.on('data', (chunk) => log.push(...String(chunk).trim().split('\n')));
  createInterface({ input: hub.stdout }).on('line', (line) => printed.push(line));
  const lineOf = (format: string) => printed.find((line) => line.startsWith(`${format} `));
  await until(() => lineOf('listening') !== undefined || hub.exitCode !== null);
  if (hub.exitCode !== null) {
    rmSync(folder, { recursive: true });
    throw new Error(`the hub ended: ${log.join(' ')}`);
  }
  const address = lineOf('listening')!.slice('listening '.length);
  const children: ChildProcess[] = [];
  return {
    address,
    log,
    printed,
    folder,
    hub,
    port: (format) => Number(/:(\d+)( |$)/.exec(lineOf(format)!)![1]),
    start(program) {
      const child = spawn(process.execPath, [join(import.meta.dirname, program), address], {
        stdio: ['pipe', 'inherit', 'inherit'],
      });
      children.push(child);
      return child;
    },
    async stop(keep) {
      for (const child of [...children, hub]) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        const ended = once(child, 'exit');
        child.stdin?.end();
        await ended;
      }
      if (keep === undefined) rmSync(folder, { recursive: true });
    },
  };
}

export interface RawClient {
  readonly socket: Socket;
  /** Everything received after the handshake. */
  readonly received: () => Buffer;
  /** Its length, without joining the pieces. */
  readonly receivedBytes: () => number;
  /** Resolves once the hub has closed the connection. */
  readonly closed: Promise<void>;
}

/** Joins the bus with bare bytes; another `greeting` than the handshake is not waited for. */
export async function joinRaw(address: string, greeting = handshake): Promise<RawClient> {
  const socket = connect(parseBusAddress(address)!);
  const chunks: Buffer[] = [];
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
  });
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  await once(socket, 'connect');
  socket.write(greeting);
  if (greeting === handshake) await until(() => bytes >= handshake.length);
  return {
    socket,
    closed,
    received: () => Buffer.concat(chunks).subarray(handshake.length),
    receivedBytes: () => Math.max(0, bytes - handshake.length),
  };
}

/** Far longer than anything here takes on a busy machine. */
const giveUpMilliseconds = 180_000;
/** Longer than P2, so that a busy ECU is not asked faster than it answers. */
const askAgainMilliseconds = 500;

/** Waits until `condition` holds; gives up with its text. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + giveUpMilliseconds;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`in vain: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Asks, and asks again whenever the answer is late, until `answered` holds; gives up like `until`. */
export async function askUntil(ask: () => void, answered: () => boolean): Promise<void> {
  const timer = setInterval(ask, askAgainMilliseconds);
  try {
    ask();
    await until(answered);
  } finally {
    clearInterval(timer);
  }
}

/** Resolves once the driver's port hears the bus: what is sent before does not reach it. */
export function joined(driver: LinkDriver): Promise<void> {
  return new Promise((resolve) => driver.whenJoined(resolve));
}
