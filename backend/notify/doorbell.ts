/**
 * The doorbell (docs/POUF.md §2.6): tells a vehicle that its Director Timestamp has risen. A hint that
 * costs nothing when it is lost: every function here returns at once and throws nothing; whoever is
 * not reached finds the same metadata at the next poll.
 */
import { encode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { doorbell as doorbellSchema } from '../../agent/metadata/doorbell.ts';
import type { DoorbellSetting } from '../configuration.ts';
import type { DevicePlane } from '../http/device-plane.ts';
import type { Services } from '../services.ts';

/** What became of one ring; `away`: an external broker is out of reach. */
export type Rung = 'sent' | 'nobody' | 'revoked' | 'away';

/** Where vehicles listen. */
export interface Broker {
  /** The port on which vehicles reach it, where it belongs to this process. */
  readonly port?: number;
  /** `message` is retained. A vehicle that may not come in is told nothing (DIR-05). */
  ring(vehicleId: string, message: Buffer): Promise<Rung>;
  /** The vehicle is to hear nothing any more. */
  silence(vehicleId: string): Promise<Rung>;
  close(): Promise<void>;
}

/** The retained message: version of the vehicle's newest Director Timestamp. */
export function doorbellMessage(timestampVersion: number): Buffer {
  return Buffer.from(encode(doorbellSchema, { timestampVersion }));
}

export class Doorbell {
  private readonly services: () => Services;
  private broker: Broker | undefined;

  constructor(services: () => Services) {
    this.services = services;
  }

  /** Port of the embedded broker, once it listens. */
  get port(): number | undefined {
    return this.broker?.port;
  }

  /**
   * Opens the broker that the configuration names.
   * @param devices TLS of the device plane, which the broker's is too; plain TCP when absent
   * @returns codes `port-taken`, `configuration-invalid`
   */
  async open(
    setting: DoorbellSetting,
    host: string,
    devices: DevicePlane | undefined,
  ): Promise<Refusal | undefined> {
    const services = this.services();
    // Loaded when it is needed: each brings a hundred files.
    const opened =
      'url' in setting
        ? await (await import('./external-broker.ts')).openExternalBroker(
            services,
            setting.url,
            devices,
          )
        : await (await import('./embedded-broker.ts')).openEmbeddedBroker(
            services,
            { host, port: setting.port },
            devices,
          );
    if (isRefusal(opened)) return opened;
    this.broker = opened;
    return undefined;
  }

  /** The vehicle's Timestamp has risen; to be called after the commit that raised it. */
  ring(vehicleId: string, timestampVersion: number): void {
    const rung = this.broker?.ring(vehicleId, doorbellMessage(timestampVersion));
    if (rung !== undefined) void this.settle(rung);
  }

  /** The vehicle was revoked. */
  silence(vehicleId: string): void {
    const done = this.broker?.silence(vehicleId);
    if (done !== undefined) void this.settle(done);
  }

  /** What fails here is a store that fails elsewhere too: counted, and left to the poll. */
  private async settle(work: Promise<Rung>): Promise<void> {
    const outcome = await work.catch(() => 'failed');
    this.services().metrics.doorbellRings.inc({ outcome });
  }

  async close(): Promise<void> {
    await this.broker?.close();
  }
}
