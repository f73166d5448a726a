/**
 * The emulated CAN bus: one process per bus that passes every frame on to all other clients, in
 * one order for all, without loss. The project's ECUs speak cannelloni's stream format; other
 * programs join by socketcand's text protocol and SLCAN (docs/can-bus.md).
 *
 * A client that sends what is no frame is thrown out, with `can-frame-malformed` in the log; the
 * frames before it are passed on, nothing of it is. An ECU that reads slowly pauses the writers,
 * so that memory stays bounded; one that never reads stops the bus, as a shorted wire does. A
 * foreign tool that reads slowly is thrown out instead (`can-client-slow`).
 *
 * Prints the addresses of the foreign formats, last `listening <address>`, and ends on SIGTERM,
 * SIGINT, or when the pipe that is its standard input closes.
 */
import { fstatSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { isRefusal } from '../../agent/codes.ts';
import { type BusAddress, formatBusAddress } from './bus-address.ts';
import { FaultSource } from './can-faults.ts';
import { type CanHubOptions, readHubOptions, usage } from './can-hub-options.ts';
import { CanLog, logPaths } from './can-log.ts';
import { CanWire } from './can-wire.ts';
import { CannelloniStation } from './cannelloni-station.ts';
import { SlcanStation } from './slcan-station.ts';
import type { Log } from './socket-station.ts';
import { busNames, SocketcandStation } from './socketcand-station.ts';

type Format = 'cannelloni' | 'socketcand' | 'slcan';

export class CanHub {
  private readonly options: CanHubOptions;
  private readonly print: Log;
  private readonly log: Log;
  private readonly wire: CanWire;
  private readonly faults: FaultSource | undefined;
  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();
  private readonly canLog: CanLog | undefined;
  private connections = 0;

  /**
   * `print` gets what a user wants to know, `log` one line per event, its code first. Throws what
   * the file system says when the log's files cannot be made.
   */
  constructor(options: CanHubOptions, print: Log, log: Log) {
    this.options = options;
    this.print = print;
    this.log = log;
    this.faults = options.faults && new FaultSource(options.faults);
    this.wire = new CanWire(this.faults);
    if (options.log === undefined) return;
    const paths = logPaths(options.log);
    this.canLog = new CanLog(options.log, options.name, (error) =>
      log(`file-unwritable ${paths.text}, ${paths.capture}: ${error.message}; the log ends here`),
    );
    this.wire.join(this.canLog);
    print(`log ${paths.text} ${paths.capture}`);
  }

  /** Listens on every address of the options; rejects with what the first one says that fails. */
  async listen(): Promise<void> {
    const { name, socketcand, slcan, listen } = this.options;
    if (socketcand !== undefined) {
      const bound = await this.serve('socketcand', socketcand);
      this.print(`socketcand ${formatBusAddress(bound)} (${busNames(name).join(', ')})`);
    }
    for (const address of slcan) {
      this.print(`slcan ${formatBusAddress(await this.serve('slcan', address))}`);
    }
    this.print(`listening ${formatBusAddress(await this.serve('cannelloni', listen))}`);
  }

  /** Closes the bus and all its clients; prints how many faults happened. */
  close(): void {
    for (const server of this.servers) server.close();
    for (const socket of this.sockets) socket.destroy();
    this.canLog?.close();
    if (this.faults === undefined) return;
    const counts = Object.entries(this.faults.counts).map(([name, count]) => `${name}=${count}`);
    this.print(`faults ${counts.join(' ')}`);
  }

  private async serve(format: Format, address: BusAddress): Promise<BusAddress> {
    if ('path' in address) await removeStaleSocket(address.path);
    const server = createServer({ noDelay: true }, (socket) => this.join(format, socket));
    this.servers.push(server);
    return new Promise((resolve, reject) => {
      server.on('error', (error) => {
        const advice =
          'port' in address ? 'choose another port, or 0 for a free one' : 'choose another path';
        reject(new Error(`port-taken ${formatBusAddress(address)}: ${error.message}; ${advice}`));
      });
      server.listen(address, () => {
        const bound = server.address();
        const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
        resolve('path' in address ? address : { host: address.host, port });
      });
    });
  }

  private join(format: Format, socket: Socket): void {
    this.connections++;
    const name = `client ${this.connections}`;
    const { wire, log } = this;
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    if (format === 'cannelloni') new CannelloniStation(socket, wire, name, log);
    else if (format === 'slcan') new SlcanStation(socket, wire, `slcan ${name}`, log);
    else new SocketcandStation(socket, wire, this.options.name, `socketcand ${name}`, log);
  }
}

/** Removes the socket file of a hub that is gone; one that still answers is left alone. */
function removeStaleSocket(path: string): Promise<void> {
  return new Promise((resolve) => {
    const probe = connect({ path }, () => {
      probe.destroy();
      resolve();
    });
    probe.on('error', (error: NodeJS.ErrnoException) => {
      // Only a socket is removed: connecting to any other file is refused in the same way.
      const stale = error.code === 'ECONNREFUSED' && lstatSync(path).isSocket();
      if (stale) unlinkSync(path);
      resolve();
    });
  });
}

/** Calls back when whoever started this program is gone: its end of the pipe is closed then. */
function whenStarterEnds(end: () => void): void {
  const input = fstatSync(0);
  // A terminal or /dev/null is no starter that waits for us.
  if (!input.isFIFO() && !input.isSocket()) return;
  process.stdin.on('end', end).on('close', end).on('error', end).resume();
}

async function main(argv: readonly string[]): Promise<void> {
  const options = readHubOptions(argv);
  if (isRefusal(options)) {
    console.error(`${options.refused} ${options.detail}\n${usage}`);
    process.exit(2);
  }
  let hub: CanHub;
  try {
    hub = new CanHub(options, console.log, console.error);
  } catch (error) {
    console.error(`file-unwritable ${(error as Error).message}`);
    process.exit(1);
  }
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    hub.close();
    process.exit(0);
  };
  process.on('SIGTERM', end).on('SIGINT', end);
  whenStarterEnds(end);
  await hub.listen().catch((error) => {
    console.error((error as Error).message);
    process.exit(1);
  });
}

if (import.meta.main) await main(process.argv.slice(2));
