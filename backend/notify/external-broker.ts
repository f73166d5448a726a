/**
 * A broker outside (`MQTT_URL`), for any number of backends: this process is one of its publishers,
 * known by a certificate of the enrolment CA. The broker may be away: what is rung meanwhile is not
 * kept. Each time it is back it is given the newest version of every vehicle, since it may have
 * forgotten what it retained.
 */
import { randomBytes } from 'node:crypto';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { type Refusal, refuse } from '../../agent/codes.ts';
import { doorbellTopic } from '../../agent/metadata/doorbell.ts';
import { latestMetadata } from '../director/metadata.ts';
import type { DevicePlane } from '../http/device-plane.ts';
import type { Services } from '../services.ts';
import { unlessUnavailable } from '../signer/online-keys.ts';
import { deviceOfVehicle, vehiclesAfter } from '../store/inventory.ts';
import { type Broker, doorbellMessage, type Rung } from './doorbell.ts';

const reconnectMilliseconds = 1_000;
const connectMilliseconds = 10_000;
const keepAliveSeconds = 30;
/** Messages that a broker has yet to acknowledge; beyond, a ring counts as lost. */
const maxUnanswered = 1_000;
/** §3.3.1.3: an empty message takes back the one that is retained. */
const takenBack = Buffer.alloc(0);
/** Vehicles whose messages are brought back together. */
const pageVehicles = 200;

/**
 * Codes `configuration-invalid`: `mqtts:` needs the enrolment CA, `mqtt:` is for this machine;
 * `signer-unavailable`: that CA cannot issue a certificate now.
 */
export async function openExternalBroker(
  services: Services,
  url: URL,
  devices: DevicePlane | undefined,
): Promise<Broker | Refusal> {
  if (url.protocol === 'mqtts:' && devices === undefined) {
    return refuse('configuration-invalid', 'MQTT_URL: mqtts needs OTA_DEVICE_TLS=on');
  }
  if (url.protocol === 'mqtts:' && devices !== undefined) {
    const refused = await unlessUnavailable(devices.becomePublisher());
    if (refused !== undefined) return refused;
  }
  return new ExternalBroker(services, url, devices);
}

class ExternalBroker implements Broker {
  private readonly services: Services;
  private readonly client: MqttClient;
  private unanswered = 0;
  /** Counts connections: what an earlier one has begun ends with it. */
  private connection = 0;

  constructor(services: Services, url: URL, devices: DevicePlane | undefined) {
    this.services = services;
    const { metrics } = services;
    const identity = (): IClientOptions =>
      url.protocol === 'mqtts:' ? devices!.publisherOptions() : {};
    this.client = connect(url.href, {
      protocolVersion: 4,
      clientId: `ota-backend-${randomBytes(8).toString('hex')}`,
      clean: true,
      keepalive: keepAliveSeconds,
      connectTimeout: connectMilliseconds,
      reconnectPeriod: reconnectMilliseconds,
      // Nothing waits for a broker that is away.
      queueQoSZero: false,
      ...identity(),
    });
    metrics.doorbellBroker.set(0);
    this.client.on('connect', () => {
      metrics.doorbellBroker.set(1);
      this.connection += 1;
      this.bringBack(this.connection).catch(() => this.client.reconnect());
    });
    this.client.on('close', () => {
      metrics.doorbellBroker.set(0);
      this.connection += 1;
    });
    // A certificate ends after some days; the next connection shows a fresh one.
    this.client.on('reconnect', () => Object.assign(this.client.options, identity()));
    this.client.on('error', () => undefined); // it tries again
  }

  async ring(vehicleId: string, message: Buffer): Promise<Rung> {
    if (await this.isRevoked(vehicleId)) return 'revoked';
    return await this.publish(vehicleId, message);
  }

  async silence(vehicleId: string): Promise<Rung> {
    return await this.publish(vehicleId, takenBack);
  }

  async close(): Promise<void> {
    await this.client.endAsync(true);
  }

  private async isRevoked(vehicleId: string): Promise<boolean> {
    const device = await this.services.database.one(deviceOfVehicle, vehicleId);
    return device?.revoked === 1;
  }

  private async publish(vehicleId: string, message: Buffer): Promise<Rung> {
    if (!this.client.connected || this.unanswered >= maxUnanswered) return 'away';
    this.unanswered += 1;
    try {
      await this.client.publishAsync(doorbellTopic(vehicleId), message, { qos: 1, retain: true });
      return 'sent';
    } catch {
      // Lost with its connection; the next one brings everything back.
      return 'away';
    } finally {
      this.unanswered -= 1;
    }
  }

  /** Publishes the newest version of every vehicle that may come in, page by page. */
  private async bringBack(connection: number): Promise<void> {
    const { database } = this.services;
    for (let after = ''; this.connection === connection; ) {
      const page = await database.all(vehiclesAfter, after, pageVehicles);
      for (const { vehicle_id: vehicleId } of page) {
        if (this.connection !== connection) return;
        const { version } = await latestMetadata(this.services, vehicleId, 'timestamp');
        const revoked = await this.isRevoked(vehicleId);
        await this.publish(vehicleId, revoked ? takenBack : doorbellMessage(version));
      }
      const last = page.at(-1);
      if (last === undefined) return;
      after = last.vehicle_id;
    }
  }
}
