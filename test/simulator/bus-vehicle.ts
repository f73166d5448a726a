/**
 * A Secondary with its shipped program and the Primary's side of the link, on a virtual bus and, if
 * wanted, a flash part with the times of a real one. What a cycle of the Primary does with one
 * Secondary can be done step by step, in virtual time.
 */
import '../unit/ecu/agent-release.ts';
import { LinkDriver } from '../../agent/can/link-driver.ts';
import { UdsClient } from '../../agent/can/uds-client.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { maxUdsMessageBytes } from '../../agent/limits.ts';
import { repositoryName } from '../../agent/metadata/common.ts';
import { SecondaryClient } from '../../agent/primary/secondary-client.ts';
import { start } from '../../agent/secondary.ts';
import { seededRandom } from '../../hal/emulated/faulty-flash.ts';
import { createNodeRandom } from '../../hal/node/random.ts';
import type { Can, CanPort } from '../../hal/types.ts';
import { EcuRig, ecuId } from '../unit/ecu/ecu-rig.ts';
import { signerOf } from '../unit/ecu/uds-tester.ts';
import { createRig, crypto, makeImage } from '../unit/install/rig.ts';
import { vehicleId } from './repository-simulator.ts';
import { type PartTimes, TimedFlash } from './timed-flash.ts';
import { type BitRates, VirtualBus } from './virtual-bus.ts';
import { VirtualClock } from './virtual-clock.ts';

const leapMilliseconds = 0.5;
const address = { requestId: 0x700, responseId: 0x701, extended: false };

export interface BusVehicleOptions {
  readonly rates: BitRates;
  readonly flexibleData: boolean;
  readonly imageBytes: number;
  /** Erase block of the part, in bytes. */
  readonly blockLength?: number;
  /** Absent: the part is never busy. */
  readonly part?: PartTimes;
  readonly seed?: number;
  /** Largest TransferData that the Secondary takes; the usual one when absent. */
  readonly maxBlockBytes?: number;
}

export class BusVehicle {
  readonly clock = new VirtualClock();
  readonly bus: VirtualBus;
  readonly ecu: EcuRig;
  readonly secondary: SecondaryClient;
  /** What `secondary` asks with. */
  readonly client: UdsClient;
  readonly flash: TimedFlash | undefined;
  restarts = 0;
  /** Called with every block count of a running download. */
  onProgress: (sent: number) => void = () => undefined;
  private readonly keyObject: Uint8Array;
  private ports: CanPort[] = [];

  constructor(options: BusVehicleOptions) {
    const { flexibleData, imageBytes, blockLength = 4096, part, rates, seed = 1 } = options;
    const { maxBlockBytes } = options;
    this.bus = new VirtualBus(this.clock, rates, seededRandom(seed));
    const rig = createRig({
      slotBlocks: Math.ceil(imageBytes / blockLength) + 1,
      geometry: { blockLength, writeAlign: 4 },
    });
    this.flash = part && new TimedFlash(rig.flash, part, this.clock);
    this.ecu = new EcuRig({
      rig,
      update: makeImage('app-2.bin', imageBytes, 2),
      can: { flexibleData, address, ...(maxBlockBytes !== undefined && { maxBlockBytes }) },
      hal: {
        can: this.secondaryCan(),
        clock: this.clock,
        ...(this.flash && { flash: this.flash }),
      },
    });
    this.keyObject = this.ecu.publish();
    this.client = new UdsClient({
      transmitId: address.requestId,
      receiveId: address.responseId,
      extended: false,
      flexibleData,
      maxMessageBytes: maxUdsMessageBytes,
    });
    const filters = [address.responseId];
    new LinkDriver({ can: this.bus.node(), clock: this.clock, port: 'can0', filters }).add(
      this.client,
    );
    this.secondary = new SecondaryClient(this.client, [ecuId], {
      vehicleId,
      signer: signerOf(this.ecu.primaryKey),
      crypto,
      random: createNodeRandom(),
    });
    this.powerOn();
  }

  /** Starts the Secondary's program; one that runs is cut off at once, as by a loss of power. */
  powerOn(): void {
    this.powerOff();
    start(this.ecu.hal());
    this.restarts++;
  }

  powerOff(): void {
    for (const port of this.ports.splice(0)) port.close();
  }

  /** Lets virtual time pass until `promise` is settled; throws when nothing is left to happen. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    watched.catch(() => undefined);
    while (!settled) {
      const { now, next } = this.clock;
      // Before time makes a leap, everything that waits for a promise has its turn.
      const turns = next !== undefined && next - now < leapMilliseconds ? 1 : 50;
      for (let turn = 0; turn < turns && !settled; turn++) await undefined;
      if (!settled && !this.clock.step()) throw new Error(`nothing happens any more at ${now} ms`);
    }
    return watched;
  }

  /** Time and metadata, as the Primary hands them over. */
  async verify(): Promise<Refusal | undefined> {
    const { secondary, ecu } = this;
    const nonce = await secondary.nonce();
    if (isRefusal(nonce)) return nonce;
    const late = await secondary.checkTime(ecu.attest(nonce));
    if (late !== undefined) return late;
    let step = await secondary.startVerification();
    while (!isRefusal(step) && step.ask !== undefined) {
      const { repository, name, maxBytes } = step.ask;
      const ask = { repository: repositoryName(repository), name, maxBytes };
      step = await secondary.supplyFile(ecu.sim.fetch(ask));
    }
    if (isRefusal(step)) return step;
    if (step.refusal !== undefined) throw new Error(`${step.refusal.code}: ${step.refusal.detail}`);
    return undefined;
  }

  /** Where the Secondary wants the image from. */
  prepare(): Promise<number | Refusal> {
    return this.secondary.prepare(ecuId, this.keyObject);
  }

  /** The image from `offset`, until it is checked in the slot. */
  download(offset: number): Promise<Refusal | undefined> {
    const { ciphertext } = this.ecu.update;
    return this.secondary.download(
      ecuId,
      offset,
      ciphertext.length,
      (buffer, at) => buffer.set(ciphertext.subarray(at, at + buffer.length)),
      (sent) => this.onProgress(sent),
    );
  }

  private secondaryCan(): Can {
    return {
      open: (options) => {
        const port = this.bus.node().open(options);
        this.ports.push(port);
        return port;
      },
    };
  }
}
