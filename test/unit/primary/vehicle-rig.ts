/**
 * A whole vehicle in this process: a Primary and two Secondaries (full and partial verification)
 * with real flash rules, boot blocks, crypto and metadata, under one virtual clock. The Primary
 * calls the Secondaries' sessions directly, and asks the simulator in place of the network.
 */
import '../ecu/agent-release.ts';
import { encode } from '../../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import { wrapContentKey } from '../../../agent/crypto/key-wrap.ts';
import { signEnvelope } from '../../../agent/crypto/sign-envelope.ts';
import { type EcuState, settleTrials } from '../../../agent/ecu/start-up.ts';
import { UpdateSession } from '../../../agent/ecu/update-session.ts';
import { verifications } from '../../../agent/metadata/device-messages.ts';
import type { Target } from '../../../agent/metadata/targets.ts';
import { timeAttestation } from '../../../agent/metadata/time.ts';
import { BundleState } from '../../../agent/primary/bundle-state.ts';
import { ImageStaging } from '../../../agent/primary/image-staging.ts';
import type { ImageSink, PrimaryContext } from '../../../agent/primary/primary-context.ts';
import { Progress } from '../../../agent/primary/progress.ts';
import { UpdateCycle } from '../../../agent/primary/update-cycle.ts';
import type { FileRequest } from '../../../agent/verify/verification.ts';
import { createFlash, norGeometry } from '../../../hal/emulated/flash.ts';
import { createMemoryStorage } from '../../../hal/emulated/flash-storage.ts';
import type { Hal, Medium } from '../../../hal/types.ts';
import { OfflineMedium } from '../../simulator/offline-medium.ts';
import { now, RepositorySimulator, vehicleId } from '../../simulator/repository-simulator.ts';
import { EcuRig } from '../ecu/ecu-rig.ts';
import { crypto, type TestImage } from '../install/rig.ts';

const stagingBytes = 64 * norGeometry.blockLength;
export const ecuIds = { primary: 'ecu-1', full: 'ecu-2', partial: 'ecu-3' } as const;
export type AgentName = keyof typeof ecuIds;
const names = Object.keys(ecuIds) as AgentName[];

export class VehicleRig {
  readonly sim = new RepositorySimulator('ecdsa');
  readonly campaign = new OfflineMedium(this.sim);
  readonly ecus: Readonly<Record<AgentName, EcuRig>>;
  /** Real time of the world, which the time source attests. */
  seconds = now;
  /** Nobody answers: neither repositories nor the time source. */
  offline = false;
  timeSilent = false;
  /** Manifests that arrived. */
  manifests = 0;
  /** The latest of them. */
  manifest: Uint8Array | undefined;
  /** What the Primary asked for and handed on, in order: `time`, `director/timestamp.cbor` … */
  readonly steps: string[] = [];
  /** Key objects and ciphertexts by path, as on a medium. */
  readonly files = new Map<string, Uint8Array>();
  pluggedIn = false;
  /** Metadata as it was when the medium was written. */
  private pressed = new Map<string, Uint8Array | undefined>();
  /** Reads of the medium after which it is pulled out. */
  readsLeft = Number.POSITIVE_INFINITY;
  private milliseconds = 0;
  private states: Record<AgentName, EcuState>;
  private sessions: Record<AgentName, UpdateSession>;
  private readonly stagingFlash = new Uint8Array(stagingBytes).fill(0xff);

  constructor(provisionedSeconds?: number) {
    const clock = {
      monotonic: () => this.milliseconds,
      after: () => ({ cancel() {} }),
    };
    const time = provisionedSeconds === undefined ? {} : { time: { provisionedSeconds } };
    const make = (name: AgentName, hal: Partial<Hal> = {}) =>
      new EcuRig({
        sim: this.sim,
        ecuId: ecuIds[name],
        configuration: {
          verification: name === 'partial' ? verifications.partial : verifications.full,
          ...time,
        },
        hal: { clock, ...hal },
      });
    this.ecus = {
      primary: make('primary', { medium: this.medium() }),
      full: make('full'),
      partial: make('partial'),
    };
    this.states = this.startAll();
    this.sessions = this.openSessions();
  }

  /** Power off and on, `seconds` later: what is not in flash is gone, the clocks begin at 0. */
  restart(seconds = 0): void {
    this.seconds += seconds;
    this.milliseconds = 0;
    this.states = this.startAll();
    this.sessions = this.openSessions();
  }

  pass(seconds: number): void {
    this.seconds += seconds;
    this.milliseconds += seconds * 1_000;
  }

  state(name: AgentName): EcuState {
    return this.states[name];
  }

  releases(): Record<AgentName, number | undefined> {
    const of = (name: AgentName) => this.states[name].ecus[0]!.running?.releaseCounter;
    return { primary: of('primary'), full: of('full'), partial: of('partial') };
  }

  detections(name: AgentName): readonly string[] {
    return this.states[name].detections.of(ecuIds[name]).map(({ code, row }) => `${code} ${row}`);
  }

  cycle(): Promise<Refusal | undefined> {
    return new UpdateCycle(this.context()).run();
  }

  /** Plugs a medium in that holds what the campaign and the repositories are now. */
  plugIn(): void {
    this.pressed = new Map();
    this.pluggedIn = true;
  }

  /** Lists an image in the Image repository and in the campaign; its files go onto the medium. */
  addToCampaign(name: AgentName, image: TestImage): void {
    const { request } = image;
    const keyObject = this.keyObject(name, image);
    const target = this.target(image);
    const { images } = this.sim;
    images.targets.targets = images.targets.targets.concat(target);
    images.release();
    const { campaign } = this.campaign;
    campaign.assignments = campaign.assignments.concat({
      vehicleId,
      ecuId: ecuIds[name],
      target: campaign.targets.length,
      keyObjectSha256: crypto.digest('SHA-256', keyObject),
      keyObjectLength: keyObject.length,
    });
    campaign.targets = campaign.targets.concat(target);
    this.files.set(`keys/${hexadecimal(crypto.digest('SHA-256', keyObject))}`, keyObject);
    const digest = hexadecimal(request.ciphertextSha256);
    this.files.set(`targets/${digest}.${request.filename}`, image.ciphertext);
  }

  /** Lists an image in both repositories, assigned to an ECU, with its files at hand. */
  assign(name: AgentName, image: TestImage): void {
    const { request } = image;
    const keyObject = this.keyObject(name, image);
    const target = this.target(image);
    const ecuId = ecuIds[name];
    const keyObjectSha256 = crypto.digest('SHA-256', keyObject);
    const assignment = { ecuId, keyObjectSha256, keyObjectLength: keyObject.length };
    const { director, images } = this.sim;
    images.targets.targets = images.targets.targets.concat(target);
    director.targets.targets = director.targets.targets
      .filter((one) => one.assignment?.ecuId !== ecuId)
      .concat({ ...target, assignment });
    images.release();
    director.release();
    this.files.set(`keys/${hexadecimal(keyObjectSha256)}`, keyObject);
    this.files.set(`targets/${request.filename}`, image.ciphertext);
  }

  context(): PrimaryContext {
    const state = this.states.primary;
    const flash = createFlash({ download: { offset: 0, size: stagingBytes } }, norGeometry, () =>
      createMemoryStorage(this.stagingFlash),
    );
    const secondaries = names
      .filter((name) => name !== 'primary')
      .map((name) => this.secondary(name));
    return {
      state,
      configuration: {
        secondaries: (['full', 'partial'] as const).map((name) => ({
          address: { requestId: 1, responseId: 2, extended: false },
          ecuIds: [ecuIds[name]],
          hardwareIds: ['hw-a'],
          filenamePatterns: ['app-*'],
          signingKeys: [this.ecus[name].signingKey.key],
        })),
        download: 'download',
        pollMilliseconds: 1,
      },
      repositories: this.repositories() as unknown as PrimaryContext['repositories'],
      secondaries: secondaries as unknown as PrimaryContext['secondaries'],
      bundle: new BundleState(state.hal.keyValue),
      progress: new Progress(state.hal),
      staging: new ImageStaging(flash.open({ path: 'download' }), state.hal.keyValue, crypto),
      wait: () => Promise.resolve(),
    };
  }

  /** The Director's clock, bound to the nonces, by the present time key. */
  attest(nonces: readonly Uint8Array[], seconds = this.seconds): Uint8Array {
    const payload = encode(timeAttestation, [nonces, seconds]);
    return signEnvelope(crypto, this.sim.director.signers.time, 'time', payload);
  }

  private startAll(): Record<AgentName, EcuState> {
    const start = this.start.bind(this);
    return { primary: start('primary'), full: start('full'), partial: start('partial') };
  }

  /** The program that runs is the one in the slot: it says that slot's release of itself. */
  private start(name: AgentName): EcuState {
    const state = this.ecus[name].start();
    const build = globalThis as unknown as { AGENT_RELEASE: number };
    build.AGENT_RELEASE = state.ecus[0]!.running!.releaseCounter;
    settleTrials(state);
    return state;
  }

  private openSessions(): Record<AgentName, UpdateSession> {
    const open = (name: AgentName) => new UpdateSession(this.states[name]);
    return { primary: open('primary'), full: open('full'), partial: open('partial') };
  }

  private repositories() {
    const answer = <T>(value: T): Promise<T | Refusal> =>
      Promise.resolve(this.offline ? refuse('net-unreachable', 'nobody answers') : value);
    return {
      register: () => answer({}),
      postManifest: (manifest: Uint8Array) => {
        this.steps.push('manifest');
        if (!this.offline) {
          this.manifests += 1;
          this.manifest = manifest;
        }
        return answer({ accepted: true, updateAvailable: false, timestampVersion: 1 });
      },
      postTime: (nonces: readonly Uint8Array[]) => {
        this.steps.push('time');
        return this.timeSilent
          ? Promise.resolve(refuse('http-status', 'time source: status 503'))
          : answer(this.attest(nonces));
      },
      metadata: (request: FileRequest) => {
        this.steps.push(`${request.repository}/${request.name}`);
        return answer(
          request.name === 'offline-snapshot.cbor'
            ? this.campaign.fetch(request)
            : this.sim.fetch(request),
        );
      },
      keyObject: (sha256: Uint8Array) =>
        answer(this.files.get(`keys/${hexadecimal(sha256)}`) ?? refuse('image-unknown')),
      image: (target: Target, from: number, sink: ImageSink) => {
        this.steps.push(`image ${target.filename}`);
        const file = this.files.get(`targets/${target.filename}`);
        if (file === undefined || this.offline) return answer(refuse('net-unreachable'));
        for (let at = from; at < file.length; at += 4_096) {
          const refusal = sink.onPiece(file.slice(at, at + 4_096));
          if (refusal !== undefined) return answer(refusal);
        }
        return answer(undefined);
      },
    };
  }

  /** A Secondary's session, called without a bus between. */
  private secondary(name: AgentName) {
    const session = () => this.sessions[name];
    const give = <T>(value: T): Promise<T> => Promise.resolve(value);
    return {
      ecuIds: [ecuIds[name]],
      release: () => give(undefined),
      nonce: () => give(session().newNonce()),
      reports: () => give(session().reports()),
      status: () => give(session().status()),
      checkTime: (attestation: Uint8Array) => {
        this.steps.push(`${name}: time`);
        return give(session().checkTime(attestation));
      },
      startVerification: () => give(session().startVerification()),
      startOfflineVerification: () => give(session().startOfflineVerification()),
      supplyFile: (content: Uint8Array | undefined) => {
        this.steps.push(`${name}: metadata`);
        return give(session().supplyFile(content));
      },
      prepare: (ecuId: string, keyObject: Uint8Array) => {
        this.steps.push(`${name}: image`);
        return give(session().prepare(ecuId, keyObject));
      },
      download: (
        _ecuId: string,
        offset: number,
        length: number,
        read: (buffer: Uint8Array, offset: number) => void,
      ) => {
        for (let at = offset; at < length; at += 1_024) {
          const piece = new Uint8Array(Math.min(1_024, length - at));
          read(piece, at);
          const refusal = session().write(piece);
          if (refusal !== undefined) return give(refusal);
        }
        return give(session().finish());
      },
      activate: (ecuId: string) => give(session().activate(ecuId)),
      reset: () => {
        const state = this.start(name);
        this.states[name] = state;
        this.sessions[name] = new UpdateSession(state);
        return give(undefined);
      },
      acknowledge: (reports: readonly (readonly [string, number])[]) => {
        session().acknowledge(reports);
        return give(undefined);
      },
    };
  }

  private medium(): Medium {
    const fileOf = (path: string): Uint8Array | undefined => {
      if (!this.pluggedIn) return undefined;
      const stored = this.files.get(path);
      if (stored !== undefined) return stored;
      const [repository, name] = path.split('/') as ['director' | 'images', string];
      if (repository !== 'director' && repository !== 'images') return undefined;
      if (!this.pressed.has(path)) {
        this.pressed.set(path, this.campaign.fetch({ repository, name, maxBytes: 0 }));
      }
      return this.pressed.get(path);
    };
    return {
      length: (path) => fileOf(path)?.length,
      read: (path, buffer, offset) => {
        this.readsLeft -= 1;
        if (this.readsLeft < 0) this.pluggedIn = false;
        const file = fileOf(path);
        if (file === undefined || file.length < offset + buffer.length) return false;
        buffer.set(file.subarray(offset, offset + buffer.length));
        return true;
      },
    };
  }

  private target({ request }: TestImage): Target {
    const template = this.sim.target({
      filename: request.filename,
      releaseCounter: request.releaseCounter,
    });
    return {
      ...template,
      length: request.ciphertextLength,
      hashes: [{ key: -16, value: request.ciphertextSha256 }],
      mustMatch: {
        ...template.mustMatch,
        plaintextLength: request.plaintextLength,
        plaintextSha256: request.plaintextSha256,
      },
    };
  }

  private keyObject(name: AgentName, { request }: TestImage): Uint8Array {
    const wrapped = wrapContentKey(crypto, this.ecus[name].wrappingKey.key, request.contentKey, [
      vehicleId,
      ecuIds[name],
      request.filename,
      request.ciphertextSha256,
    ]);
    if (isRefusal(wrapped)) throw new Error(wrapped.detail);
    return wrapped;
  }
}

function hexadecimal(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
