/** A vehicle over mutual TLS that remembers what the backend has acknowledged to it. */
import { Agent } from 'node:https';
import { registrationAnswer } from '../../agent/metadata/device-messages.ts';
import type { HeldMetadata } from '../../agent/metadata/report.ts';
import { targets as targetsSchema } from '../../agent/metadata/targets.ts';
import { timestamp as timestampSchema } from '../../agent/metadata/timestamp.ts';
import { generateKeyPair, type KeyPair } from '../../hal/node/signing.ts';
import {
  type Answer,
  type Call,
  codeOf,
  crypto,
  expectValue,
  payloadOf,
  TestVehicle,
} from '../scenario/backend-fixture.ts';
import { callByTls, clientOptions, type Device, registrationBody } from '../scenario/tls-device.ts';
import type { ProcessBackend } from './process-backend.ts';

export class EnrolledVehicle {
  readonly vehicle: TestVehicle;
  /** The last manifest that was answered by 200. */
  acknowledged: Uint8Array | undefined;
  /** Sent since, and neither taken nor refused as far as the vehicle knows. */
  unanswered: Uint8Array[] = [];
  /** Of the last assignment that the operator was acknowledged. */
  targetsVersion = 0;
  private readonly backend: ProcessBackend;
  private readonly pair: KeyPair = generateKeyPair('ESP256');
  private token: string | undefined;
  private device: Device | undefined;
  private agent: Agent | undefined;
  /** Of its last manifest. */
  counter = 0;
  /** The metadata that it took last; its reports say so. */
  held: HeldMetadata = {};

  constructor(backend: ProcessBackend, vehicleId: string) {
    this.backend = backend;
    this.vehicle = new TestVehicle(vehicleId);
  }

  get vehicleId(): string {
    return this.vehicle.vehicleId;
  }

  get isEnrolled(): boolean {
    return this.device !== undefined;
  }

  /** Registers, with the same token and key however often the answer is lost. */
  async enrol(): Promise<void> {
    const { backend, vehicle, pair } = this;
    this.token ??= await backend.token(vehicle.vehicleId);
    const body = registrationBody(vehicle, this.token, pair);
    const options = { method: 'POST', body };
    const answer = await callByTls(backend.root, backend.ports.director, '/register', options);
    const { certificate } = expectValue(registrationAnswer, answer);
    this.device = { pair, chain: certificate!.chain };
    // One connection, kept, as an agent does.
    const tls = clientOptions(backend.root, this.device);
    this.agent = new Agent({ keepAlive: true, maxSockets: 1, ...tls });
  }

  ask(path: string, options: Call = {}, plane: 'director' | 'images' = 'director') {
    const { backend, agent } = this;
    const port = backend.ports[plane];
    return callByTls(backend.root, port, path, { ...options, tls: { agent } });
  }

  /** What its connections show. */
  get identity(): Device {
    return this.device!;
  }

  /** Sends a manifest as it is to one of the processes; numbers go round. */
  sendTo(number: number, body: Uint8Array): Promise<Answer> {
    const { backend, vehicleId, agent } = this;
    const all = backend.portsOfAll;
    const { director } = all[number % all.length]!;
    const options = { method: 'POST', body, tls: { agent } };
    return callByTls(backend.root, director, `/manifest/${vehicleId}`, options);
  }

  /** Sends a manifest as it is. */
  send(body: Uint8Array): Promise<Answer> {
    return this.ask(`/manifest/${this.vehicleId}`, { method: 'POST', body });
  }

  /** Sends the next manifest; true when it was taken, false when it has to be sent again later. */
  async report(): Promise<boolean> {
    this.counter += 1;
    const { counter, held, backend } = this;
    const body = this.vehicle.manifest({ counter, held, time: backend.now });
    this.unanswered.push(body);
    const code = codeOf(await this.send(body));
    if (code === '200') {
      this.acknowledged = body;
      this.unanswered = [];
      return true;
    }
    this.unanswered.pop();
    if (isBusy(code)) return false;
    throw new Error(`manifest ${this.counter} of ${this.vehicleId}: ${code}`);
  }

  /** Fetches the Timestamp as an agent does, and says when it is a rollback (CTS-03, CTS-04). */
  async poll(): Promise<string | undefined> {
    const answer = await this.ask(`/metadata/${this.vehicleId}/timestamp.cbor`);
    const code = codeOf(answer);
    if (isBusy(code)) return undefined;
    if (code !== '200') return `Timestamp of ${this.vehicleId}: ${code}`;
    const { version, snapshot } = payloadOf(timestampSchema, answer.body);
    const timestampSha256 = crypto.digest('SHA-256', answer.body);
    const { timestamp: last = 0, timestampSha256: lastSha256 = timestampSha256 } = this.held;
    if (version < last) return `${this.vehicleId}: Timestamp ${version} after ${last}`;
    if (version === last && Buffer.compare(timestampSha256, lastSha256) !== 0) {
      return `${this.vehicleId}: two Timestamps ${version}`;
    }
    this.held = { ...this.held, timestamp: version, snapshot: snapshot.version, timestampSha256 };
    return undefined;
  }

  /** The version of its Targets now. */
  async currentTargets(): Promise<number> {
    const answer = await this.ask(`/manifest/${this.vehicleId}`);
    if (answer.status !== 200) throw new Error(`Targets of ${this.vehicleId}: ${codeOf(answer)}`);
    const { version } = payloadOf(targetsSchema, answer.body);
    this.held = { ...this.held, targets: Math.max(version, this.held.targets ?? 0) };
    return version;
  }

  /** The token that `enrol` will show. */
  useToken(token: string): void {
    this.token = token;
  }

  /** Enrols as a vehicle that the Director has forgotten. */
  enrolAgain(): Promise<void> {
    this.leave();
    this.token = undefined;
    return this.enrol();
  }

  /** Closes its connection. */
  leave(): void {
    this.agent?.destroy();
  }
}

/** Refused for now, by quota or load: nothing was stored. */
export function isBusy(code: string): boolean {
  return code.startsWith('429') || code.startsWith('503');
}
