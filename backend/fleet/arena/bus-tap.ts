/**
 * A wire of the emulated bus that an attacker holds: stands between one ECU and the hub, sees every
 * frame in both directions, and passes it on, changes it or drops it.
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { parseBusAddress } from '../../../hal/emulated/bus-address.ts';
import { handshake, incomplete, malformed, scanFrame } from '../../../hal/emulated/cannelloni.ts';

/** `to-ecu`: from the bus to the ECU behind the tap. */
export type Direction = 'to-ecu' | 'to-bus';

/** Gets one encoded frame, which it may change in place; false drops it. */
export type FrameHook = (frame: Uint8Array, direction: Direction) => boolean;

export class BusTap {
  /** Undefined passes everything on. */
  hook: FrameHook | undefined;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.server = server;
  }

  /** Listens at `address` (unix) for the ECU, and joins the bus at `hub` for it. */
  static async start(address: string, hub: string): Promise<BusTap> {
    const own = parseBusAddress(address)!;
    if ('path' in own) rmSync(own.path, { force: true });
    const server = createServer();
    const tap = new BusTap(server);
    server.on('connection', (ecu) => tap.join(ecu, connect(parseBusAddress(hub)!)));
    server.listen(own);
    await once(server, 'listening');
    return tap;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private join(ecu: Socket, bus: Socket): void {
    for (const socket of [ecu, bus]) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      // Either end gone: the wire is cut.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.sockets.delete(socket);
        ecu.destroy();
        bus.destroy();
      });
    }
    this.forward(ecu, bus, 'to-bus');
    this.forward(bus, ecu, 'to-ecu');
  }

  /** Hands frames on one by one; the handshake goes first, as it is. */
  private forward(from: Socket, to: Socket, direction: Direction): void {
    let rest: Uint8Array = new Uint8Array(0);
    let greeted = false;
    from.on('data', (chunk: Uint8Array) => {
      const bytes = Buffer.concat([rest, chunk]);
      let at = 0;
      if (!greeted) {
        if (bytes.length < handshake.length) {
          rest = bytes;
          return;
        }
        to.write(bytes.subarray(0, handshake.length));
        at = handshake.length;
        greeted = true;
      }
      const kept: Uint8Array[] = [];
      for (let size = scanFrame(bytes, at); size !== incomplete; size = scanFrame(bytes, at)) {
        if (size === malformed) throw new Error(`no frame from the ${direction}`);
        const frame = bytes.subarray(at, at + size);
        if (this.hook?.(frame, direction) !== false) kept.push(frame);
        at += size;
      }
      rest = bytes.subarray(at);
      if (kept.length > 0) to.write(Buffer.concat(kept));
    });
  }
}
