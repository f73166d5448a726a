/**
 * The emulated CAN bus: one process per bus that passes every frame on to all other clients, in
 * one order for all, without loss. Clients speak cannelloni's stream format.
 *
 * A client that sends a malformed frame is thrown out, with `can-frame-malformed` in the log; the
 * frames before it are passed on, nothing of it is. A client that reads slowly pauses the writers,
 * so that memory stays bounded; one that never reads stops the bus, as a shorted wire does.
 *
 *   node hal/emulated/can-hub.ts --listen unix:/path | tcp:[host:]port
 *
 * Prints `listening <address>` and ends on SIGTERM or when its standard input closes.
 */
import { lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type BusAddress, formatBusAddress, parseBusAddress } from './bus-address.ts';
import { handshake, incomplete, malformed, scanFrame } from './cannelloni.ts';

/** Bytes that may wait for one client before all others are paused. */
const maxWaitingBytes = 1_048_576;

interface Client {
  readonly socket: Socket;
  readonly name: string;
  /** The start of a frame, or of the handshake, whose rest has not arrived. */
  rest: Uint8Array;
  joined: boolean;
  slow: boolean;
}

export class CanHub {
  private readonly server: Server;
  private readonly log: (line: string) => void;
  private readonly clients = new Set<Client>();
  private slowClients = 0;
  private connections = 0;

  /** `log` gets one line per event, the code or event first. */
  constructor(log: (line: string) => void) {
    this.log = log;
    this.server = createServer({ noDelay: true }, (socket) => this.join(socket));
  }

  /** Listens and calls `onListening` with the address, its port filled in. */
  listen(
    address: BusAddress,
    onListening: (address: BusAddress) => void,
    onError: (error: Error) => void,
  ): void {
    this.server.on('error', onError);
    this.server.listen(address, () => {
      const bound = this.server.address();
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
      onListening('path' in address ? address : { host: address.host, port });
    });
  }

  /** Closes the bus and all its clients. */
  close(): void {
    this.server.close();
    for (const client of this.clients) client.socket.destroy();
  }

  private join(socket: Socket): void {
    this.connections++;
    const name = `client ${this.connections}`;
    const client: Client = { socket, name, rest: new Uint8Array(0), joined: false, slow: false };
    this.clients.add(client);
    socket.on('data', (chunk) => this.receive(client, chunk));
    socket.on('drain', () => this.drained(client));
    socket.on('end', () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.leave(client));
    socket.write(handshake);
    if (this.slowClients > 0) socket.pause();
  }

  private leave(client: Client): void {
    this.clients.delete(client);
    this.drained(client);
  }

  private receive(client: Client, chunk: Uint8Array): void {
    if (client.socket.destroyed) return;
    const bytes = client.rest.length === 0 ? chunk : Buffer.concat([client.rest, chunk]);
    let start = 0;
    if (!client.joined) {
      start = Math.min(handshake.length, bytes.length);
      if (Buffer.compare(bytes.subarray(0, start), handshake.subarray(0, start)) !== 0) {
        this.expel(client, 'no cannelloni handshake');
        return;
      }
      if (start < handshake.length) {
        client.rest = bytes;
        return;
      }
      client.joined = true;
    }
    let end = start;
    let size = scanFrame(bytes, end);
    while (size > 0) {
      end += size;
      size = scanFrame(bytes, end);
    }
    // One write carries all whole frames of the chunk: this is what makes the hub fast.
    if (end > start) this.forward(client, bytes.subarray(start, end));
    if (size === malformed) this.expel(client, `at its byte ${end - start} of ${bytes.length}`);
    else if (size === incomplete) client.rest = bytes.subarray(end);
  }

  private forward(from: Client, frames: Uint8Array): void {
    for (const client of this.clients) {
      if (client === from || !client.joined || client.socket.destroyed) continue;
      client.socket.write(frames);
      if (!client.slow && client.socket.writableLength > maxWaitingBytes) {
        client.slow = true;
        this.slowClients++;
        if (this.slowClients === 1) for (const other of this.clients) other.socket.pause();
      }
    }
  }

  private drained(client: Client): void {
    if (!client.slow) return;
    client.slow = false;
    this.slowClients--;
    if (this.slowClients === 0) for (const other of this.clients) other.socket.resume();
  }

  private expel(client: Client, detail: string): void {
    this.log(`can-frame-malformed ${client.name}: ${detail}`);
    client.socket.destroy();
  }
}

/** Removes the socket file of a hub that is gone; one that still answers is left alone. */
function removeStaleSocket(address: BusAddress, next: () => void): void {
  if (!('path' in address)) {
    next();
    return;
  }
  const probe = connect(address, () => {
    probe.destroy();
    next();
  });
  probe.on('error', (error: NodeJS.ErrnoException) => {
    // Only a socket is removed: connecting to any other file is refused in the same way.
    const stale = error.code === 'ECONNREFUSED' && lstatSync(address.path).isSocket();
    if (stale) unlinkSync(address.path);
    next();
  });
}

function main(argv: readonly string[]): void {
  const address = argv[0] === '--listen' ? parseBusAddress(argv[1] ?? '') : undefined;
  if (address === undefined || argv.length !== 2) {
    console.error('argument-invalid usage: can-hub.ts --listen unix:/path|tcp:[host:]port');
    process.exit(2);
  }
  const hub = new CanHub((line) => console.error(line));
  const end = () => {
    hub.close();
    process.exit(0);
  };
  process.on('SIGTERM', end);
  process.stdin.on('end', end).on('close', end).on('error', end).resume();
  removeStaleSocket(address, () =>
    hub.listen(
      address,
      (bound) => console.log(`listening ${formatBusAddress(bound)}`),
      (error) => {
        console.error(`port-taken ${formatBusAddress(address)}: ${error.message}`);
        process.exit(1);
      },
    ),
  );
}

if (import.meta.main) main(process.argv.slice(2));
