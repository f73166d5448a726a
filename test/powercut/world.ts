/**
 * Everything outside the ECU under test: two repositories that move from stage to stage, attested
 * time, images, and a Director that believes no report without comparing it.
 */
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode, encode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import { wrapContentKey } from '../../agent/crypto/key-wrap.ts';
import { type Signer, signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { report as reportSchema } from '../../agent/metadata/report.ts';
import { timeAttestation } from '../../agent/metadata/time.ts';
import type { FileRequest } from '../../agent/verify/verification.ts';
import { generateKeyPair } from '../../hal/node/signing.ts';
import { now, RepositorySimulator, vehicleId } from '../simulator/repository-simulator.ts';
import { makeImage, type TestImage } from '../unit/install/rig.ts';
import { imageBytes } from './geometries.ts';
import { crypto } from './memo-crypto.ts';

export const agentEcuId = 'ecu-1';
export const hostedEcuId = 'ecu-2';
export const hardwareOf = { [agentEcuId]: 'hw-a', [hostedEcuId]: 'hw-b' } as const;
export type EcuId = typeof agentEcuId | typeof hostedEcuId;

/** What the repositories offer at one time, and what comes of it when all goes well. */
export interface Stage {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly timeSigners: readonly Signer[];
  readonly seconds: number;
  readonly image: TestImage | undefined;
  readonly keyObject: Uint8Array | undefined;
  /** The image's self-test fails. */
  readonly bad: boolean;
  /** The transfer is interrupted once after each start, in good order, when two chunks are there. */
  readonly interrupted: boolean;
  /** The image is part of a two-phase bundle, which ends so once its trial has passed (DBP-18). */
  readonly held: 'commit' | 'withdraw' | undefined;
  /** Release that runs in the end. */
  readonly goal: number;
  /** Root versions that are trusted in the end. */
  readonly roots: { readonly director: number; readonly images: number };
}

/** What the Director was told by one ECU. */
export interface Told {
  readonly counter: number;
  readonly release: number;
  /** Codes of failed trials, since the stage began. */
  readonly failures: readonly string[];
  readonly givenUp: boolean;
}

const failureCodes = [
  'trial-rolled-back',
  'self-test-failed',
  'slot-corrupt',
  'self-test-hung',
  'bundle-rolled-back',
];
/** 1 is what the factory installs. */
export const images: readonly TestImage[] = [1, 2, 3].map((release) =>
  makeImage(`app-${release}.bin`, imageBytes - release, release),
);
export const imageOf = (release: number): TestImage => images[release - 1]!;

export class World {
  readonly sim = new RepositorySimulator('ecdsa');
  readonly signingKeys = {
    [agentEcuId]: generateKeyPair('ESP256'),
    [hostedEcuId]: generateKeyPair('ESP256'),
  };
  readonly wrappingKeys = {
    [agentEcuId]: generateKeyPair('MLKEM768-P256'),
    [hostedEcuId]: generateKeyPair('MLKEM768-P256'),
  };
  private readonly updated: EcuId;
  private readonly attestations = new Map<string, Uint8Array>();
  private stages = 0;

  /** @param updated the ECU to which images are assigned */
  constructor(updated: EcuId) {
    this.updated = updated;
  }

  /** The repositories as they are now, as a stage; `release` is assigned, if any. */
  stage(options: {
    readonly release?: number;
    readonly goal: number;
    readonly bad?: boolean;
    readonly interrupted?: boolean;
    readonly held?: 'commit' | 'withdraw';
  }): Stage {
    const { sim } = this;
    const image = options.release === undefined ? undefined : imageOf(options.release);
    const keyObject = image && this.list(image);
    sim.director.release();
    sim.images.release();
    const files = new Map<string, Uint8Array>();
    for (const repository of [sim.director, sim.images]) {
      const names = ['timestamp.cbor', 'targets.cbor'];
      repository.publishedRoots.forEach((_, i) => void names.push(`${i + 1}.root.cbor`));
      names.push(`${repository.snapshot.version}.snapshot.cbor`);
      names.push(`${repository.targets.version}.targets.cbor`);
      for (const name of names) files.set(`${repository.name}/${name}`, repository.fetch(name)!);
    }
    this.stages += 1;
    return {
      files,
      timeSigners: sim.director.signers.time.slice(),
      seconds: now + this.stages * 1_000,
      image,
      keyObject,
      bad: options.bad ?? false,
      interrupted: options.interrupted ?? false,
      held: options.held,
      goal: options.goal,
      roots: {
        director: sim.director.publishedRoots.length,
        images: sim.images.publishedRoots.length,
      },
    };
  }

  private list(image: TestImage): Uint8Array {
    const { sim, updated } = this;
    const { request } = image;
    const keyObject = wrapContentKey(crypto, this.wrappingKeys[updated].key, request.contentKey, [
      vehicleId,
      updated,
      request.filename,
      request.ciphertextSha256,
    ]);
    if (isRefusal(keyObject)) throw new Error(keyObject.detail);
    const { filename, releaseCounter } = request;
    const template = sim.target({ filename, releaseCounter });
    const { plaintextLength, plaintextSha256 } = request;
    const target = {
      ...template,
      length: request.ciphertextLength,
      hashes: [{ key: -16, value: request.ciphertextSha256 } as const],
      mustMatch: { ...template.mustMatch, plaintextLength, plaintextSha256 },
    };
    const keyObjectSha256 = crypto.digest('SHA-256', keyObject);
    const assignment = { ecuId: updated, keyObjectSha256, keyObjectLength: keyObject.length };
    sim.images.targets.targets = [target];
    sim.director.targets.targets = [{ ...target, assignment }];
    return keyObject;
  }

  /** The attestation of the stage's time for a nonce; the same bytes for the same question. */
  attest(stage: Stage, nonce: Uint8Array): Uint8Array {
    const key = `${stage.seconds} ${Buffer.from(nonce).toString('hex')}`;
    const known = this.attestations.get(key);
    if (known !== undefined) return known;
    const payload = encode(timeAttestation, [[nonce], stage.seconds]);
    const bytes = signEnvelope(crypto, stage.timeSigners.slice(), 'time', payload);
    this.attestations.set(key, bytes);
    return bytes;
  }
}

export function fetchFile(stage: Stage, { repository, name }: FileRequest): Uint8Array | undefined {
  return stage.files.get(`${repository}/${name}`);
}

/** A broken promise of the agent's, as found at a point. */
export class Broken extends Error {
  readonly what: 'bricked' | 'lost';
  constructor(what: 'bricked' | 'lost', detail: string) {
    super(`${what}: ${detail}`);
    this.what = what;
  }
}

/** What runs is neither the old nor the new image. */
export class HalfImage extends Broken {
  constructor(release: number) {
    super('bricked', `release ${release} runs, but is not whole`);
  }
}

/** What the Director knows of the vehicle; copied, so that each point has its own. */
export class DirectorView {
  readonly told: Record<string, Told>;
  /** The flash was damaged: a lost boot block has to be reported, which no cut may cause. */
  damaged = false;

  constructor(told: Readonly<Record<string, Told>> = {}) {
    this.told = { ...told };
  }

  copy(): DirectorView {
    return new DirectorView(this.told);
  }

  /**
   * Takes a version report; it has to be newer than all before it and to say what `running` runs.
   * @returns its ECU and counter, to be acknowledged
   */
  accept(
    envelope: Uint8Array,
    running: Readonly<Record<string, number>>,
  ): readonly [string, number] {
    const opened = decodeEnvelope(envelope, 8_192);
    if (isRefusal(opened)) throw new Broken('lost', `report: ${opened.detail}`);
    const report = decode(reportSchema, opened.payload, 8_192);
    if (isRefusal(report)) throw new Broken('lost', `report: ${report.detail}`);
    const { ecuId, counter, installed, detections } = report;
    const before = this.told[ecuId];
    // EVR-06: a counter that was sent before a cut is never used again
    if (before !== undefined && counter <= before.counter) {
      throw new Broken('lost', `report counter ${counter} of ${ecuId} after ${before.counter}`);
    }
    if (installed.releaseCounter !== running[ecuId]) {
      throw new Broken(
        'lost',
        `${ecuId} reports ${installed.releaseCounter}, runs ${running[ecuId]}`,
      );
    }
    const codes = detections.map(({ code }) => code);
    const failures = codes.filter((code) => failureCodes.includes(code));
    this.told[ecuId] = {
      counter,
      release: installed.releaseCounter,
      failures: [...(before?.failures ?? []), ...failures],
      givenUp: before?.givenUp === true || codes.includes('update-given-up'),
    };
    const unexpected = codes.filter(
      (code) =>
        !failureCodes.includes(code) &&
        code !== 'update-given-up' &&
        !(this.damaged && code === 'boot-block-corrupt'),
    );
    if (unexpected.length > 0) throw new Broken('lost', `reports ${unexpected.join(', ')}`);
    return [ecuId, counter];
  }
}
