/**
 * The ECU under test: the shipped agent over a flash part, from the bootloader to the report, in
 * this process. Whatever the program held in memory ends with each life; only the part stays.
 */
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { type EcuState, openState, settleTrials } from '../../agent/ecu/start-up.ts';
import { UpdateSession } from '../../agent/ecu/update-session.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import { repositoryName } from '../../agent/metadata/common.ts';
import { manifest as manifestSchema } from '../../agent/metadata/report.ts';
import type { Target } from '../../agent/metadata/targets.ts';
import type { VerificationStep } from '../../agent/metadata/vehicle-messages.ts';
import { BundleState } from '../../agent/primary/bundle-state.ts';
import { ImageStaging } from '../../agent/primary/image-staging.ts';
import type { ImageSink, PrimaryContext } from '../../agent/primary/primary-context.ts';
import { Progress } from '../../agent/primary/progress.ts';
import { UpdateCycle } from '../../agent/primary/update-cycle.ts';
import { loadProgram } from '../../hal/emulated/bootloader.ts';
import { type FaultyFlash, seededRandom } from '../../hal/emulated/faulty-flash.ts';
import type { Boot, Flash, Hal, KeyValue } from '../../hal/types.ts';
import { type EcuSetup, openFlash, openKeyValue, updatedEcuOf } from './factory.ts';
import { isBad, isDone } from './goal.ts';
import {
  checkCounter,
  checkFloors,
  checkHosted,
  checkImage,
  type Floors,
  floorsOf,
} from './invariants.ts';
import { crypto } from './memo-crypto.ts';
import { Broken, type DirectorView, fetchFile, type Stage } from './world.ts';

/** Bytes handed over at a time: the header alone, then whole chunks, as the link does. */
const headerBytes = 56;
const chunkBytes = 16_400;
/** Starts that one stage may take: a trial may fail three times, each time with cuts. */
const maxLives = 16;

/** The first byte of an image is wanted. */
class FirstByte extends Error {}

/** The program asked for a restart. */
class Restart extends Error {}

/** Steps of one life, in their order. */
export const steps = [
  'boot',
  'settle',
  'time',
  'report',
  'decide',
  'metadata',
  'download',
  'prepare',
  'transfer',
  'finish',
  'activate',
] as const;
export type Step = (typeof steps)[number];

export class EcuUnderTest {
  step: Step = 'boot';
  lives = 0;
  /** What the store trusts, as far as `write` has returned. */
  floors: Floors | undefined;
  /** What it has to trust at the next start, at least. */
  minimum: Floors | undefined;
  /** Where a transfer (of a Primary: a download) that is cut off has to go on, at least. */
  resumable = 0;
  private readonly setup: EcuSetup;
  private readonly flash: Flash;
  private readonly director: DirectorView;
  private interrupted = false;
  private stopAtFirstByte = false;
  private milliseconds = 0;

  constructor(setup: EcuSetup, part: FaultyFlash, director: DirectorView) {
    this.setup = setup;
    this.flash = openFlash(setup, part);
    this.director = director;
  }

  /** Lives until the stage's goal is reached; throws `Broken` when it never is. */
  async liveUntilDone(stage: Stage): Promise<void> {
    for (let lives = 0; lives < maxLives; lives++) {
      if (await this.live(stage)) return;
    }
    throw new Broken('lost', `release ${stage.goal} is not reached in ${maxLives} starts`);
  }

  /** The next update is accepted: time, metadata and key, up to its first byte. */
  async acceptsNext(stage: Stage): Promise<void> {
    this.stopAtFirstByte = true;
    try {
      if (await this.live(stage)) return;
    } catch (error) {
      if (error instanceof FirstByte) return;
      throw error;
    }
    throw new Broken('lost', `release ${stage.goal} is not accepted`);
  }

  /** One life: from power-up until there is nothing to do (true, if the goal is reached) or a restart. */
  async live(stage: Stage): Promise<boolean> {
    this.lives += 1;
    this.interrupted = false;
    // What was downloaded or sent before another start is that life's.
    if (this.lives > 1) this.resumable = 0;
    try {
      const state = this.start(stage);
      const refusal =
        this.setup.role === 'primary'
          ? await this.cycleOfPrimary(state, stage)
          : this.cycle(state, stage);
      if (refusal !== undefined && refusal.refused !== 'update-given-up') {
        throw new Broken('lost', `cycle refused: ${refusal.refused} ${refusal.detail}`);
      }
      return isDone(state, stage, this.setup.role, this.director);
    } catch (error) {
      if (error instanceof Restart) return false;
      throw error;
    }
  }

  /** Bootloader, then the program's own start. What runs is whole, and one of the releases. */
  private start(stage: Stage): EcuState {
    this.step = 'boot';
    const pair = { slots: ['slot-a', 'slot-b'], state: 'state', journal: 'journal' } as const;
    const loaded = loadProgram(this.flash, crypto, pair);
    if (isRefusal(loaded)) throw new Broken('bricked', `${loaded.refused} ${loaded.detail}`);
    checkImage(loaded.program, loaded.image.releaseCounter);
    checkCounter(loaded.boot);
    const release = loaded.image.releaseCounter;
    const badOwn = this.setup.role !== 'hosted' && isBad(stage, release);
    // A bad image claims another release than its boot record, so that its self-test fails.
    (globalThis as unknown as { AGENT_RELEASE: number }).AGENT_RELEASE = badOwn ? 99 : release;
    const state = openState(this.hal(loaded.boot, stage));
    if (isRefusal(state)) throw new Broken('bricked', `${state.refused} ${state.detail}`);
    for (const ecu of state.ecus.slice(1)) checkHosted(ecu);
    this.step = 'settle';
    settleTrials(state);
    return state;
  }

  private hal(boot: Boot, stage: Stage): Hal {
    const random = seededRandom(stage.seconds);
    const unused = () => {
      throw new Error('not in this process');
    };
    return {
      flash: this.flash,
      boot,
      keyValue: this.watched(openKeyValue(this.flash)),
      can: { open: unused },
      net: { connect: unused },
      crypto,
      random: { bytes: (count) => Uint8Array.from({ length: count }, () => random(256)) },
      clock: { monotonic: () => this.milliseconds, after: unused },
      watchdog: {
        expired: false,
        open: () => ({ feed: () => undefined, close: () => undefined }),
      },
      hosted: { selfTest: (_ecu, slot) => !isBad(stage, this.hostedRelease(slot)) },
      board: {
        bytecodeVersion: 0,
        halVersion: 1,
        reboot: () => {
          throw new Restart();
        },
        log: () => undefined,
      },
    };
  }

  /** Follows what the store trusts, and compares it with what it has to, once. */
  private watched(keyValue: KeyValue): KeyValue {
    if (this.minimum !== undefined) checkFloors(floorsOf(keyValue), this.minimum);
    this.minimum = undefined;
    if (this.floors === undefined) return keyValue;
    return {
      read: (key) => keyValue.read(key),
      delete: (key) => keyValue.delete(key),
      write: (key, value) => {
        keyValue.write(key, value);
        if (key.includes('/')) this.floors = floorsOf(keyValue);
      },
    };
  }

  private hostedRelease(slot: number): number {
    const boot = BootBlock.open(this.flash.open({ path: 'hosted-state' }), crypto);
    return isRefusal(boot) ? 0 : (boot.status().slots[slot]?.releaseCounter ?? 0);
  }

  /** The Secondary's part of a cycle, asked for in the Primary's order. */
  private cycle(state: EcuState, stage: Stage): Refusal | undefined {
    const session = new UpdateSession(state);
    this.step = 'time';
    const attestation = this.setup.world.attest(stage, session.newNonce());
    const late = session.checkTime(attestation);
    if (late !== undefined) return late;
    this.report(state, session);
    if (stage.held !== undefined) this.decide(state, session, stage.held);
    const refusal = this.update(session, stage);
    if (refusal === undefined) return undefined;
    this.report(state, session);
    return refusal;
  }

  private report(state: EcuState, session: UpdateSession): void {
    this.step = 'report';
    const running = runningOf(state);
    session.acknowledge(session.reports().map((one) => this.director.accept(one, running)));
  }

  /** The Primary's word, once every ECU of the bundle has passed; told again until it is heard. */
  private decide(state: EcuState, session: UpdateSession, held: 'commit' | 'withdraw'): void {
    const ecuId = updatedEcuOf(this.setup.role);
    if (state.ecus.find((one) => one.ecuId === ecuId)!.trial() !== 'passed') return;
    this.step = 'decide';
    const refusal = held === 'commit' ? session.commitTrial(ecuId) : session.withdrawTrial(ecuId);
    if (refusal !== undefined) throw new Broken('lost', `${held} refused: ${refusal.refused}`);
    if (held === 'withdraw') throw new Restart();
  }

  private update(session: UpdateSession, stage: Stage): Refusal | undefined {
    this.step = 'metadata';
    const done = this.verify(session, stage);
    if (done.refusal !== undefined) return fromMessage(done.refusal);
    // A bundle that was withdrawn is not tried again.
    if (stage.held === 'withdraw' && this.hasFailed()) return undefined;
    for (const [ecuId] of done.assignments ?? []) {
      const failed = this.install(session, stage, ecuId);
      if (failed !== undefined) return failed;
    }
    if ((done.assignments ?? []).length > 0) throw new Restart();
    return undefined;
  }

  private hasFailed(): boolean {
    const told = this.director.told[updatedEcuOf(this.setup.role)];
    return told !== undefined && told.failures.length > 0;
  }

  private verify(session: UpdateSession, stage: Stage): VerificationStep {
    let step = session.startVerification();
    while (step.ask !== undefined) {
      const { repository, name, maxBytes } = step.ask;
      const file = fetchFile(stage, { repository: repositoryName(repository), name, maxBytes });
      step = session.supplyFile(file);
    }
    return step;
  }

  private install(session: UpdateSession, stage: Stage, ecuId: string): Refusal | undefined {
    const { ciphertext } = stage.image!;
    this.step = 'prepare';
    let offset = session.prepare(ecuId, stage.keyObject!);
    if (isRefusal(offset)) return offset;
    if (this.stopAtFirstByte) throw new FirstByte();
    this.wantedFrom(offset);
    this.step = 'transfer';
    const total = ciphertext.length;
    while (offset < total) {
      const end: number = offset < headerBytes ? headerBytes : Math.min(offset + chunkBytes, total);
      const refusal = session.write(ciphertext.subarray(offset, end));
      if (refusal !== undefined) return refusal;
      offset = end;
      // The short last chunk is vouched for by the check of the whole image.
      if (offset > headerBytes && offset < total) this.resumable = offset;
      if (stage.interrupted && !this.interrupted && offset === headerBytes + 2 * chunkBytes) {
        // The link was lost; the Primary asks again where to go on.
        this.interrupted = true;
        const resumed = session.prepare(ecuId, stage.keyObject!);
        if (isRefusal(resumed)) return resumed;
        this.checkResumed(resumed);
        offset = resumed;
      }
    }
    this.step = 'finish';
    const wrong = session.expected() === undefined ? undefined : session.finish();
    if (wrong !== undefined) return wrong;
    this.step = 'activate';
    this.resumable = 0;
    return session.activate(ecuId, stage.held !== undefined);
  }

  /** VER-01: after a cut the update continues from the last complete chunk. */
  private wantedFrom(offset: number): void {
    if (offset >= this.resumable) return;
    throw new Broken('lost', `goes on at ${offset}, where ${this.resumable} was durable`);
  }

  /** After an orderly interruption nothing is sent twice, but what shares the last erase block. */
  private checkResumed(offset: number): void {
    const wanted = headerBytes + 2 * chunkBytes;
    if (offset !== wanted) throw new Broken('lost', `resumes at ${offset}, not at ${wanted}`);
  }

  private async cycleOfPrimary(state: EcuState, stage: Stage): Promise<Refusal | undefined> {
    const { primary } = state.configuration;
    const context: PrimaryContext = {
      state,
      configuration: primary!,
      repositories: this.repositories(state, stage),
      secondaries: [],
      bundle: new BundleState(state.hal.keyValue),
      progress: new Progress(state.hal),
      staging: new ImageStaging(this.flash.open({ path: 'download' }), state.hal.keyValue, crypto),
      wait: async (milliseconds) => {
        this.milliseconds += milliseconds;
      },
    };
    this.step = 'time';
    const refusal = await new UpdateCycle(context).run();
    // The network was lost on the way; the next cycle goes on.
    if (refusal?.refused === 'net-closed') return new UpdateCycle(context).run();
    return refusal;
  }

  /** What the Primary asks of the network, answered from the stage. */
  private repositories(state: EcuState, stage: Stage) {
    const { world } = this.setup;
    return {
      register: async () => ({}),
      renew: async () => {
        throw new Error('no TLS here');
      },
      postManifest: async (bytes: Uint8Array) => {
        this.step = 'report';
        const envelope = decodeEnvelope(bytes, 65_536);
        if (isRefusal(envelope)) throw new Broken('lost', envelope.detail);
        const manifest = decode(manifestSchema, envelope.payload, 65_536);
        if (isRefusal(manifest)) throw new Broken('lost', manifest.detail);
        for (const report of manifest.reports) this.director.accept(report, runningOf(state));
        return { accepted: true, updateAvailable: stage.image !== undefined, timestampVersion: 1 };
      },
      postTime: async (nonces: readonly Uint8Array[]) => world.attest(stage, nonces[0]!),
      metadata: async (file: Parameters<typeof fetchFile>[1]) => {
        this.step = 'metadata';
        return fetchFile(stage, file);
      },
      keyObject: async () => {
        this.step = 'prepare';
        return stage.keyObject!;
      },
      image: async (_target: Target, from: number, sink: ImageSink) => {
        if (this.stopAtFirstByte) throw new FirstByte();
        this.wantedFrom(from);
        this.step = 'download';
        sink.onEntityTag?.('"image"');
        const { ciphertext } = stage.image!;
        for (let at = from; at < ciphertext.length; at += chunkBytes) {
          const refusal = sink.onPiece(ciphertext.subarray(at, at + chunkBytes));
          if (refusal !== undefined) return refusal;
          this.resumable = at;
          if (stage.interrupted && !this.interrupted && at > 0) {
            this.interrupted = true;
            return refuse('net-closed');
          }
        }
        this.resumable = 0;
        return undefined;
      },
    };
  }
}

function runningOf(state: EcuState): Record<string, number> {
  return Object.fromEntries(state.ecus.map((ecu) => [ecu.ecuId, ecu.running!.releaseCounter]));
}

function fromMessage({ code, detail = '' }: { code: string; detail?: string }): Refusal {
  return refuse(code as Refusal['refused'], detail);
}
