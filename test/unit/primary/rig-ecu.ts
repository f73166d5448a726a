/**
 * One agent with its ECUs in this process: real flash rules, boot blocks, crypto and metadata, and
 * real restarts; no bus.
 */
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import { type EcuState, openState, settleTrials } from '../../../agent/ecu/start-up.ts';
import { UpdateSession } from '../../../agent/ecu/update-session.ts';
import { profiles } from '../../../agent/metadata/common.ts';
import {
  type Configuration,
  configuration,
  storedKeyPair,
} from '../../../agent/metadata/configuration.ts';
import { verifications } from '../../../agent/metadata/device-messages.ts';
import { imageKinds } from '../../../agent/metadata/targets.ts';
import type { Secondary } from '../../../agent/primary/secondary-client.ts';
import { MetadataStore } from '../../../agent/verify/metadata-store.ts';
import { createFlash, norGeometry } from '../../../hal/emulated/flash.ts';
import { createMemoryStorage } from '../../../hal/emulated/flash-storage.ts';
import { createNodeRandom } from '../../../hal/node/random.ts';
import { generateKeyPair, type KeyPair } from '../../../hal/node/signing.ts';
import type { Clock, FlashPartition, Hal, VehicleInterface } from '../../../hal/types.ts';
import { basicMap } from '../../simulator/basic-map.ts';
import {
  MemoryKeyValue,
  type RepositorySimulator,
  vehicleId,
} from '../../simulator/repository-simulator.ts';
import {
  createRig,
  crypto,
  hostedPair,
  makeImage,
  manufacture,
  openBoot,
  type Rig,
  type TestImage,
} from '../install/rig.ts';

const images = new Map<string, TestImage>();

/** Made once for all vehicles of a test file: a test that cuts everywhere makes hundreds. */
export function imageOf(name: string, length: number, release: number): TestImage {
  const image = images.get(name) ?? makeImage(name, length, release);
  images.set(name, image);
  return image;
}

/** What a board's `reboot` throws here: control does not return to the program. */
export class Restart extends Error {}

export class RigEcu {
  readonly ecuIds: readonly string[];
  readonly hardwareIds: readonly string[];
  readonly keyValue = new MemoryKeyValue();
  readonly rigs: readonly Rig[];
  readonly signing: readonly KeyPair[];
  readonly wrapping: readonly KeyPair[];
  readonly lines: string[] = [];
  starts = 0;
  /** Releases whose self-test fails, per ECU. */
  readonly failing: Readonly<Record<string, number | undefined>>;
  vehicle: VehicleInterface | undefined;
  private readonly clock: Clock;
  private readonly download = createFlash(
    { download: { offset: 0, size: 128 * 4_096 } },
    norGeometry,
    () => this.downloadStorage,
  );
  private readonly downloadStorage = createMemoryStorage(new Uint8Array(128 * 4_096).fill(0xff));
  private current: EcuState | undefined;
  private updates: UpdateSession | undefined;

  /** @param hosted id of an ECU that this agent hosts beside its own */
  constructor(
    ecuId: string,
    hosted: string | undefined,
    sim: RepositorySimulator,
    clock: Clock,
    failing: Readonly<Record<string, number | undefined>>,
  ) {
    this.clock = clock;
    this.failing = failing;
    this.ecuIds = hosted === undefined ? [ecuId] : [ecuId, hosted];
    this.hardwareIds = this.ecuIds.map((id) => `hw-${id}`);
    const rig = createRig({ slotBlocks: 16 });
    this.rigs = hosted === undefined ? [rig] : [rig, hostedPair(rig)];
    this.signing = this.ecuIds.map(() => generateKeyPair('ESP256'));
    this.wrapping = this.ecuIds.map(() => generateKeyPair('MLKEM768-P256'));
    this.ecuIds.forEach((id, i) => {
      manufacture(this.rigs[i]!, imageOf(`${id}-1.bin`, 5_000, 1));
      this.keyValue.write(`signing-key/${id}`, encode(storedKeyPair, this.signing[i]!));
      this.keyValue.write(`wrapping-key/${id}`, encode(storedKeyPair, this.wrapping[i]!));
    });
    const store = new MetadataStore(this.keyValue);
    store.writeRoot('director', 1, sim.director.publishedRoots[0]!);
    store.writeRoot('images', 1, sim.images.publishedRoots[0]!);
  }

  configure(more: Partial<Configuration>): void {
    const value: Configuration = {
      vehicleId,
      profile: profiles.ecdsa,
      verification: verifications.full,
      ecus: this.ecuIds.map((ecuId, i) => ({
        ecuId,
        hardwareId: this.hardwareIds[i]!,
        kinds: [imageKinds.opaque],
        slots: i === 0 ? ['slot-a', 'slot-b'] : ['hosted-slot-a', 'hosted-slot-b'],
        journal: i === 0 ? 'journal' : 'hosted-journal',
        filenamePattern: `${ecuId}-*`,
        ...(i > 0 && { state: 'hosted-state' }),
      })),
      can: { port: 'can0', flexibleData: true },
      trialBoots: 1,
      repositoryMap: basicMap,
      ...more,
    };
    this.keyValue.write('configuration', encode(configuration, value));
  }

  get state(): EcuState {
    if (this.current === undefined) throw new Error(`${this.ecuIds[0]} is switched off`);
    return this.current;
  }

  get session(): UpdateSession {
    this.updates ??= new UpdateSession(this.state);
    return this.updates;
  }

  /** What runs on each ECU: its release, and `!` while it is on trial. */
  running(): string {
    return this.state.ecus
      .map((ecu) => `${ecu.running?.releaseCounter}${ecu.trial() === 'none' ? '' : '!'}`)
      .join('+');
  }

  /** Bootloader and program, until the program runs and does not restart itself. */
  powerOn(): void {
    for (;;) {
      this.starts += 1;
      try {
        this.current = this.startOnce();
        this.updates = undefined;
        return;
      } catch (error) {
        if (!(error instanceof Restart)) throw error;
      }
    }
  }

  powerOff(): void {
    this.current = undefined;
    this.updates = undefined;
  }

  restart(): void {
    this.powerOff();
    this.powerOn();
  }

  private startOnce(): EcuState {
    const boot = openBoot(this.rigs[0]!);
    boot.selectSlot(false);
    const release = boot.status().slots[boot.status().active]!.releaseCounter;
    // The program in the slot is of the release that the slot is said to hold, unless it fails.
    const wrong = this.failing[this.ecuIds[0]!] === release;
    (globalThis as unknown as { AGENT_RELEASE: number }).AGENT_RELEASE = wrong ? 0 : release;
    const state = openState(this.hal(boot));
    if (isRefusal(state)) throw new Error(`${state.refused}: ${state.detail}`);
    settleTrials(state);
    return state;
  }

  private hal(boot: Hal['boot']): Hal {
    const unused = (): never => {
      throw new Error('not on this rig');
    };
    const { vehicle } = this;
    return {
      flash: {
        open: ({ path }): FlashPartition =>
          path === 'download' ? this.download.open({ path }) : this.rigs[0]!.flash.open({ path }),
      },
      boot,
      keyValue: this.keyValue,
      can: { open: unused },
      net: { connect: unused },
      crypto,
      random: createNodeRandom(),
      clock: this.clock,
      watchdog: { expired: false, open: () => ({ feed: () => {}, close: () => {} }) },
      hosted: {
        selfTest: (ecuId, slot) => {
          const image = openBoot(this.rigs[1]!, slot).status().slots[slot]!;
          return this.failing[ecuId] !== image.releaseCounter;
        },
      },
      board: {
        bytecodeVersion: 0,
        halVersion: 1,
        reboot: () => {
          throw new Restart();
        },
        log: (line) => this.lines.push(line),
      },
      ...(vehicle && { vehicle }),
    };
  }
}

/** What a test does to the link of a Secondary; `answers` counts what was asked. */
export interface Link {
  down: boolean;
  asked: string[];
  /** Called before each request; may switch things off. */
  before: (request: string) => void;
}

/** A Secondary as the Primary drives it, without the bus: every call is one request. */
export function secondaryOn(ecu: RigEcu, link: Link): Secondary {
  const silent = refuse('secondary-silent', `${ecu.ecuIds[0]} does not answer`);
  async function ask<T>(request: string, act: () => T): Promise<T | Refusal> {
    link.asked.push(request);
    link.before(request);
    return link.down ? silent : act();
  }
  const result = async (request: string, act: () => Refusal | undefined) =>
    (await ask(request, act)) as Refusal | undefined;
  return {
    ecuIds: ecu.ecuIds,
    release: async () => {},
    nonce: () => ask('nonce', () => ecu.session.newNonce()),
    reports: () => ask('reports', () => ecu.session.reports()),
    status: () => ask('status', () => ecu.session.status()),
    checkTime: (attestation) => result('checkTime', () => ecu.session.checkTime(attestation)),
    startVerification: () => ask('startVerification', () => ecu.session.startVerification()),
    startOfflineVerification: () =>
      ask('startOfflineVerification', () => ecu.session.startOfflineVerification()),
    supplyFile: (content) => ask('supplyFile', () => ecu.session.supplyFile(content)),
    prepare: (ecuId, keyObject) =>
      ask(`prepare ${ecuId}`, () => ecu.session.prepare(ecuId, keyObject)),
    async download(ecuId, offset, length, read, onProgress) {
      for (let at = offset; at < length; at += 16_400) {
        const piece = new Uint8Array(Math.min(16_400, length - at));
        read(piece, at);
        const refusal = await result(`transfer ${ecuId}`, () => ecu.session.write(piece));
        if (refusal !== undefined) return refusal;
        onProgress(at + piece.length);
      }
      return result(`exit ${ecuId}`, () => ecu.session.finish());
    },
    activate: (ecuId, hold) => result(`activate ${ecuId}`, () => ecu.session.activate(ecuId, hold)),
    commitTrial: (ecuId) => result(`commit ${ecuId}`, () => ecu.session.commitTrial(ecuId)),
    withdrawTrial: (ecuId) => result(`withdraw ${ecuId}`, () => ecu.session.withdrawTrial(ecuId)),
    reset: () =>
      result('reset', () => {
        ecu.restart();
        return undefined;
      }),
    acknowledge: (reports) =>
      result('acknowledge', () => {
        ecu.session.acknowledge(reports);
        return undefined;
      }),
  };
}
