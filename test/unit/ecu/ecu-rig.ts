/** A Secondary in this process: real flash rules, boot block, crypto and metadata; no bus. */
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal } from '../../../agent/codes.ts';
import { wrapContentKey } from '../../../agent/crypto/key-wrap.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { type EcuState, openState } from '../../../agent/ecu/start-up.ts';
import { profiles } from '../../../agent/metadata/common.ts';
import {
  type Configuration,
  configuration,
  storedKeyPair,
} from '../../../agent/metadata/configuration.ts';
import { verifications } from '../../../agent/metadata/device-messages.ts';
import { imageKinds, type Target } from '../../../agent/metadata/targets.ts';
import { timeAttestation } from '../../../agent/metadata/time.ts';
import { MetadataStore } from '../../../agent/verify/metadata-store.ts';
import { createNodeClock } from '../../../hal/node/clock.ts';
import { createNodeRandom } from '../../../hal/node/random.ts';
import { generateKeyPair } from '../../../hal/node/signing.ts';
import type { Hal } from '../../../hal/types.ts';
import { basicMap } from '../../simulator/basic-map.ts';
import {
  MemoryKeyValue,
  now,
  RepositorySimulator,
  vehicleId,
} from '../../simulator/repository-simulator.ts';
import {
  createRig,
  crypto,
  makeImage,
  manufacture,
  openBoot,
  type Rig,
  type TestImage,
} from '../install/rig.ts';

export const ecuId = 'ecu-1';
export const hardwareId = 'hw-a';

export interface EcuRigOptions {
  readonly rig?: Rig;
  /** The image that `publish` lists. */
  readonly update?: TestImage;
  /** Differences from a classic configuration without an address. */
  readonly can?: Partial<Configuration['can']>;
  /** Of a larger rig: its repositories, this ECU's name, and what else differs. */
  readonly sim?: RepositorySimulator;
  readonly ecuId?: string;
  readonly configuration?: Partial<Configuration>;
  /** Parts of the platform in place of the rig's own. */
  readonly hal?: Partial<Hal>;
}

export class EcuRig {
  readonly sim: RepositorySimulator;
  readonly keyValue = new MemoryKeyValue();
  readonly rig: Rig;
  readonly lines: string[] = [];
  readonly signingKey = generateKeyPair('ESP256');
  readonly wrappingKey = generateKeyPair('MLKEM768-P256');
  /** The Primary's signing key, whose public half this Secondary was given. */
  readonly primaryKey = generateKeyPair('ESP256');
  readonly factory = makeImage('app-1.bin', 5_000, 1);
  readonly update: TestImage;
  private readonly options: EcuRigOptions;
  reboots = 0;
  /** What became of the watchdog, and whether it ended the run before. */
  readonly watchdog: string[] = [];
  byWatchdog = false;
  hostedSelfTest: (ecuId: string, slot: number) => boolean = () => true;

  constructor(options: EcuRigOptions = {}) {
    this.options = options;
    this.sim = options.sim ?? new RepositorySimulator('ecdsa');
    const own = options.ecuId ?? ecuId;
    this.rig = options.rig ?? createRig({ slotBlocks: 16 });
    this.update = options.update ?? makeImage('app-2.bin', 40_000, 2);
    manufacture(this.rig, this.factory);
    const store = new MetadataStore(this.keyValue);
    store.writeRoot('director', 1, this.sim.director.publishedRoots[0]!);
    store.writeRoot('images', 1, this.sim.images.publishedRoots[0]!);
    this.keyValue.write(`signing-key/${own}`, encode(storedKeyPair, this.signingKey));
    this.keyValue.write(`wrapping-key/${own}`, encode(storedKeyPair, this.wrappingKey));
    this.keyValue.write(
      'configuration',
      encode(configuration, {
        vehicleId,
        profile: profiles.ecdsa,
        verification: verifications.full,
        ecus: [
          {
            ecuId: own,
            hardwareId,
            kinds: [imageKinds.opaque],
            slots: ['slot-a', 'slot-b'],
            journal: 'journal',
            filenamePattern: 'app-*',
          },
        ],
        can: { port: 'can0', flexibleData: true, ...options.can },
        trialBoots: 1,
        primaryKey: this.primaryKey.key,
        repositoryMap: basicMap,
        ...options.configuration,
      }),
    );
  }

  /** What the program sees after a start: the bootloader has chosen a slot. */
  start(): EcuState {
    const state = openState(this.hal());
    if (isRefusal(state)) throw new Error(`${state.refused}: ${state.detail}`);
    return state;
  }

  /** The platform at a start. */
  hal(): Hal {
    const boot = openBoot(this.rig);
    boot.selectSlot(this.byWatchdog);
    const unused = () => {
      throw new Error('not on this rig');
    };
    return {
      flash: this.rig.flash,
      boot,
      keyValue: this.keyValue,
      can: { open: unused },
      net: { connect: unused },
      crypto,
      random: createNodeRandom(),
      clock: createNodeClock(),
      watchdog: {
        expired: this.byWatchdog,
        open: ({ timeout }) => {
          this.watchdog.push(`opened ${timeout}`);
          const feed = () => void this.watchdog.push('fed');
          return { feed, close: () => void this.watchdog.push('closed') };
        },
      },
      hosted: { selfTest: (...trial) => this.hostedSelfTest(...trial) },
      board: {
        bytecodeVersion: 0,
        halVersion: 1,
        reboot: () => {
          this.reboots += 1;
        },
        log: (line) => this.lines.push(line),
      },
      ...this.options.hal,
    };
  }

  /** Lists `image` in both repositories for this ECU; returns the key object that goes with it. */
  publish(image: TestImage = this.update): Uint8Array {
    const { request } = image;
    const keyObject = wrapContentKey(crypto, this.wrappingKey.key, request.contentKey, [
      vehicleId,
      ecuId,
      request.filename,
      request.ciphertextSha256,
    ]);
    if (isRefusal(keyObject)) throw new Error(keyObject.detail);
    const template = this.sim.target({
      filename: request.filename,
      releaseCounter: request.releaseCounter,
    });
    const target: Target = {
      ...template,
      length: request.ciphertextLength,
      hashes: [{ key: -16, value: request.ciphertextSha256 }],
      mustMatch: {
        ...template.mustMatch,
        plaintextLength: request.plaintextLength,
        plaintextSha256: request.plaintextSha256,
      },
    };
    this.sim.images.targets.targets = [target];
    this.sim.director.targets.targets = [
      {
        ...target,
        assignment: {
          ecuId,
          keyObjectSha256: crypto.digest('SHA-256', keyObject),
          keyObjectLength: keyObject.length,
        },
      },
    ];
    this.sim.director.release();
    this.sim.images.release();
    return keyObject;
  }

  /** An attestation of the simulator's time for `nonce`. */
  attest(nonce: Uint8Array, seconds: number = now): Uint8Array {
    const payload = encode(timeAttestation, [[nonce], seconds]);
    return signEnvelope(crypto, this.sim.director.signers.time, 'time', payload);
  }
}
