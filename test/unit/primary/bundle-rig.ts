/**
 * A whole vehicle in this process, on a virtual clock: a Primary with a hosted ECU, a Secondary with
 * another one, and a second Secondary. The shipped programs' parts, real flash, real signatures;
 * the network and the bus are calls.
 */
import { decodeEnvelope } from '../../../agent/codec/cose-sign.ts';
import { decode, encode } from '../../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { wrapContentKey } from '../../../agent/crypto/key-wrap.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import type { PrimaryConfiguration } from '../../../agent/metadata/configuration.ts';
import {
  type AbsentEcu,
  manifest as manifestSchema,
  type Report,
  report as reportSchema,
} from '../../../agent/metadata/report.ts';
import { type BundlePolicy, bundleFailures, type Target } from '../../../agent/metadata/targets.ts';
import { timeAttestation } from '../../../agent/metadata/time.ts';
import { BundleState } from '../../../agent/primary/bundle-state.ts';
import { ImageStaging } from '../../../agent/primary/image-staging.ts';
import type { PrimaryContext } from '../../../agent/primary/primary-context.ts';
import { Progress } from '../../../agent/primary/progress.ts';
import { UpdateCycle } from '../../../agent/primary/update-cycle.ts';
import { now, RepositorySimulator, vehicleId } from '../../simulator/repository-simulator.ts';
import { VirtualClock } from '../../simulator/virtual-clock.ts';
import { crypto, type TestImage } from '../install/rig.ts';
import { imageOf, type Link, Restart, RigEcu, secondaryOn } from './rig-ecu.ts';

export interface Assignment {
  readonly ecuId: string;
  readonly release: number;
  readonly step?: number;
}

/** What the Director was told last. */
export interface ReceivedManifest {
  readonly reports: readonly Report[];
  readonly absent: readonly AbsentEcu[];
}

export class BundleRig {
  readonly sim = new RepositorySimulator('ecdsa');
  readonly clock = new VirtualClock();
  readonly failing: Record<string, number | undefined> = {};
  readonly primary: RigEcu;
  readonly brakes: RigEcu;
  readonly engine: RigEcu;
  readonly links = { brakes: newLink(), engine: newLink() };
  readonly manifests: ReceivedManifest[] = [];
  /** Bytes of ciphertext that were downloaded. */
  downloaded = 0;
  /** Called before each piece of a download; a refusal ends it. */
  onDownload: (target: Target, offset: number) => Refusal | undefined = () => undefined;
  seconds = now;
  private readonly keyObjects: Uint8Array[] = [];
  private readonly images = new Map<string, TestImage>();
  private context: PrimaryContext | undefined;

  constructor(more: Partial<PrimaryConfiguration> = {}) {
    const make = (ecuId: string, hosted?: string) =>
      new RigEcu(ecuId, hosted, this.sim, this.clock, this.failing);
    this.primary = make('gateway', 'display');
    this.brakes = make('brakes', 'pump');
    this.engine = make('engine');
    const secondaries = [this.brakes, this.engine];
    this.primary.configure({
      primary: {
        secondaries: secondaries.map((ecu, i) => ({
          address: { requestId: 2 * i, responseId: 2 * i + 1, extended: false },
          ecuIds: ecu.ecuIds,
          hardwareIds: ecu.hardwareIds,
          filenamePatterns: ecu.ecuIds.map((ecuId) => `${ecuId}-*`),
          signingKeys: ecu.signing.map(({ key }) => key),
        })),
        download: 'download',
        pollMilliseconds: 1_000,
        ...more,
      },
    });
    const primaryKey = this.primary.signing[0]!.key;
    for (const secondary of secondaries) secondary.configure({ primaryKey });
    for (const ecu of this.agents) ecu.powerOn();
  }

  get agents(): readonly RigEcu[] {
    return [this.primary, this.brakes, this.engine];
  }

  /** What every ECU runs: `gateway+display brakes+pump engine`, releases, `!` on trial. */
  running(): string {
    return this.agents.map((ecu) => ecu.running()).join(' ');
  }

  /** The Director wants these releases, installed under this policy. */
  assign(assignments: readonly Assignment[], policy?: Partial<BundlePolicy>): void {
    for (const { ecuId, release, step } of assignments) {
      const { target, keyObject } = this.publish(ecuId, release);
      const entry = {
        ...target,
        assignment: {
          ecuId,
          keyObjectSha256: crypto.digest('SHA-256', keyObject),
          keyObjectLength: keyObject.length,
          ...(step === undefined ? {} : { installStep: step }),
        },
      };
      this.sim.director.targets.targets = this.sim.director.targets.targets
        .filter((other) => other.assignment?.ecuId !== ecuId)
        .concat(entry);
    }
    if (policy !== undefined) {
      const standard = { onFailure: bundleFailures.stop, attempts: 1 };
      this.sim.director.targets.bundlePolicy = { ...standard, ...policy };
    }
    this.sim.director.release();
    this.sim.images.release();
  }

  /** One cycle of the Primary, with the restarts that it causes; what it refused. */
  async cycle(): Promise<Refusal | undefined> {
    try {
      return await new UpdateCycle(this.build()).run();
    } catch (error) {
      if (!(error instanceof Restart)) throw error;
      this.restartPrimary();
      return undefined;
    }
  }

  /** Cycles until the vehicle runs this, at most so many times. */
  async cycles(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.cycle();
  }

  restartPrimary(): void {
    this.context = undefined;
    this.primary.restart();
  }

  /** Codes of all that was reported of an ECU. */
  reported(ecuId: string): readonly string[] {
    return this.manifests.flatMap(({ reports }) =>
      reports
        .filter((one) => one.ecuId === ecuId)
        .flatMap(({ detections }) => detections.map(({ code }) => code)),
    );
  }

  private build(): PrimaryContext {
    if (this.context !== undefined) return this.context;
    const { state } = this.primary;
    const { hal } = state;
    this.context = {
      state,
      configuration: state.configuration.primary!,
      repositories: this.repositories(),
      secondaries: [
        secondaryOn(this.brakes, this.links.brakes),
        secondaryOn(this.engine, this.links.engine),
      ],
      bundle: new BundleState(hal.keyValue),
      progress: new Progress(hal),
      staging: new ImageStaging(hal.flash.open({ path: 'download' }), hal.keyValue, crypto),
      wait: async (milliseconds) => this.clock.advanceTo(this.clock.now + milliseconds),
    };
    return this.context;
  }

  private repositories(): PrimaryContext['repositories'] {
    return {
      register: async () => ({}),
      renew: async () => {
        throw new Error('no TLS here');
      },
      postManifest: async (bytes) => {
        this.manifests.push(openManifest(bytes));
        return { accepted: true, updateAvailable: false, timestampVersion: 1 };
      },
      postTime: async (nonces) => {
        const payload = encode(timeAttestation, [nonces, this.seconds]);
        return signEnvelope(crypto, this.sim.director.signers.time, 'time', payload);
      },
      metadata: async (file) => this.sim.fetch(file),
      keyObject: async (sha256) => {
        const wanted = Buffer.from(sha256);
        return this.keyObjects.find((one) => wanted.equals(crypto.digest('SHA-256', one)))!;
      },
      image: async (target, from, sink) => {
        const { ciphertext } = this.images.get(target.filename)!;
        for (let at = from; at < ciphertext.length; at += 4_000) {
          const cut = this.onDownload(target, at);
          if (cut !== undefined) return cut;
          const piece = ciphertext.subarray(at, at + 4_000);
          this.downloaded += piece.length;
          const refusal = sink.onPiece(piece);
          if (refusal !== undefined) return refusal;
        }
        return undefined;
      },
    };
  }

  /** Lists an image of an ECU in the Image repository, with a new key object for that ECU. */
  private publish(ecuId: string, release: number) {
    const agent = this.agents.find((one) => one.ecuIds.includes(ecuId))!;
    const index = agent.ecuIds.indexOf(ecuId);
    const filename = `${ecuId}-${release}.bin`;
    // Of different lengths, with more than one chunk in some.
    const image = imageOf(filename, 12_345 * (1 + index), release);
    this.images.set(filename, image);
    const { request } = image;
    const wrappingKey = agent.wrapping[index]!.key;
    const keyObject = wrapContentKey(crypto, wrappingKey, request.contentKey, [
      vehicleId,
      ecuId,
      filename,
      request.ciphertextSha256,
    ]);
    if (isRefusal(keyObject)) throw new Error(keyObject.detail);
    this.keyObjects.push(keyObject);
    const hardwareIds = [agent.hardwareIds[index]!];
    const template = this.sim.target({ filename, releaseCounter: release, hardwareIds });
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
    this.sim.images.targets.targets = this.sim.images.targets.targets
      .filter((other) => other.filename !== filename)
      .concat(target);
    return { target, keyObject };
  }
}

function newLink(): Link {
  return { down: false, asked: [], before: () => {} };
}

function openManifest(bytes: Uint8Array): ReceivedManifest {
  const envelope = opened(decodeEnvelope(bytes, bytes.length));
  const manifest = opened(decode(manifestSchema, envelope.payload, bytes.length));
  const reports = manifest.reports.map((one) => {
    const { payload } = opened(decodeEnvelope(one, one.length));
    return opened(decode(reportSchema, payload, payload.length));
  });
  return { reports, absent: manifest.absent ?? [] };
}

function opened<T>(value: T | Refusal): T {
  if (isRefusal(value)) throw new Error(`${value.refused}: ${value.detail}`);
  return value;
}
