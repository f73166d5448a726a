/**
 * One Secondary's part in an update cycle: time, metadata, installation, in that order (INS-01,
 * ECU-01).
 * Independent of the link that carries it; everything that arrives is untrusted.
 */
import { attackOf, isRefusal, type Refusal, refuse } from '../codes.ts';
import { maxRefusalDetailCharacters, nonceBytes, slowWindowMilliseconds } from '../limits.ts';
import { repositories } from '../metadata/common.ts';
import { type RefusalAnswer, verifications } from '../metadata/device-messages.ts';
import type { Target } from '../metadata/targets.ts';
import {
  type StageName,
  type StatusMessage,
  stages,
  trials,
  type VerificationStep,
} from '../metadata/vehicle-messages.ts';
import { FullVerification } from '../verify/full-verification.ts';
import { OfflineFullVerification } from '../verify/offline-full-verification.ts';
import { OfflinePartialVerification } from '../verify/offline-partial-verification.ts';
import { PartialVerification } from '../verify/partial-verification.ts';
import type { Verification, VerificationOptions } from '../verify/verification.ts';
import { acceptTime, isUnknownKey, offlineTime, verificationContext } from './ecu-time.ts';
import type { ManagedEcu } from './managed-ecu.ts';
import { PullRate } from './pull-rate.ts';
import { agentRelease, type EcuState, logConfirmed } from './start-up.ts';

const progressStepBytes = 262_144;

/** A refusal as it crosses a link, with its detail cut to what the message allows. */
export function refusalMessage(refusal: Refusal): RefusalAnswer {
  const detail = refusal.detail.slice(0, maxRefusalDetailCharacters);
  return { code: refusal.refused, row: refusal.row, ...(detail === '' ? {} : { detail }) };
}

export interface ExpectedImage {
  /** Which of the agent's ECUs it is for. */
  readonly index: number;
  readonly ecuId: string;
  /** Ciphertext bytes that came so far, and in all. */
  readonly offset: number;
  readonly length: number;
}

export class UpdateSession {
  private readonly state: EcuState;
  private nonce: Uint8Array | undefined;
  /** False until the first nonce of this run of the program. */
  private hasAsked = false;
  /** Why the last attestation was not taken. */
  private doubtful: Refusal | undefined;
  private verification: Verification | undefined;
  private assignments: readonly Target[] = [];
  private installing:
    | { ecu: ManagedEcu; target: Target; written: number; logged: number; rate: PullRate }
    | undefined;
  /** How fast the file comes that was asked for. */
  private fileRate: PullRate | undefined;
  private stage: StageName = 'idle';

  constructor(state: EcuState) {
    this.state = state;
  }

  /** A fresh nonce; only an attestation that carries it counts (HRD-03). */
  newNonce(): Uint8Array {
    this.settleTime();
    this.nonce = this.state.hal.random.bytes(nonceBytes);
    this.hasAsked = true;
    return this.nonce;
  }

  /** Signed version reports of all ECUs of this agent, own first (INS-14). */
  reports(): readonly Uint8Array[] {
    this.settleTime();
    const { ecus, reports, time } = this.state;
    const own = ecus[0]!.ecuId;
    return ecus.map((ecu) =>
      reports.make(ecu, time.lowerBound(), ecu.ecuId === own ? undefined : own),
    );
  }

  status(): StatusMessage {
    return {
      stage: stages[this.stage],
      release: agentRelease(),
      ecus: this.state.ecus.map((ecu) => ({
        ecuId: ecu.ecuId,
        releaseCounter: ecu.running?.releaseCounter ?? 0,
        slot: ecu.boot.status().active,
        trial: trials[ecu.trial()],
      })),
    };
  }

  /**
   * FV-01, PV-01: loads the attested time. A refusal stands only if the same attestation does not
   * pass after the Roots were taken, which may name a new time key. Codes `time-…`, `signature-…`.
   */
  checkTime(attestation: Uint8Array): Refusal | undefined {
    const { nonce } = this;
    if (nonce === undefined && this.hasAsked) {
      return this.refused(refuse('time-nonce', 'no nonce is outstanding'));
    }
    const refusal = acceptTime(this.state, attestation, nonce);
    if (nonce === undefined) return refusal && this.refused(refusal);
    this.doubtful = refusal;
    // A nonce counts once; only an attestation by a key that is not known yet may come again.
    if (refusal === undefined || !isUnknownKey(refusal)) this.nonce = undefined;
    return refusal;
  }

  /** TIM-07: a refused attestation that nothing put right goes into the version report. */
  private settleTime(): void {
    if (this.doubtful === undefined) return;
    this.refused(this.doubtful);
    this.doubtful = undefined;
    this.nonce = undefined;
  }

  /** INS-03: begins a verification of the latest metadata; an installation in progress is left as it is. */
  startVerification(): VerificationStep {
    // TIM-07: after a bad attestation only Roots are taken, which need no time
    const now = this.doubtful === undefined ? this.state.time.now() : 0;
    const full = this.verifiesFully();
    return this.begin(now, full ? FullVerification : PartialVerification);
  }

  /** The same for the files of a medium (PURE-2), which may come when nobody can attest a time. */
  startOfflineVerification(): VerificationStep {
    this.settleTime();
    const full = this.verifiesFully();
    return this.begin(
      offlineTime(this.state),
      full ? OfflineFullVerification : OfflinePartialVerification,
    );
  }

  private verifiesFully(): boolean {
    return this.state.configuration.verification === verifications.full;
  }

  private begin(
    now: number,
    machine: new (options: VerificationOptions) => Verification,
  ): VerificationStep {
    const { configuration, ecus } = this.state;
    this.assignments = [];
    this.stage = 'verifying';
    this.verification = new machine({
      ...verificationContext(this.state),
      now,
      ecus: ecus.map((ecu) => ecu.verifierEcu()),
      everyEcu: false,
      repositoryMap: configuration.repositoryMap,
    });
    return this.step(this.verification);
  }

  /** Takes the file that was asked for; undefined when the Primary does not have it. */
  supplyFile(content: Uint8Array | undefined): VerificationStep {
    const { verification } = this;
    if (verification === undefined || verification.ask() === undefined) {
      return { refusal: refusalMessage(refuse('install-out-of-order', 'no file was asked for')) };
    }
    const refusal = this.judgeFileRate(content) ?? verification.supply(content);
    if (refusal !== undefined) {
      this.verification = undefined;
      this.stage = 'idle';
      // Having no time is what the bad attestation led to, and that one is what will be reported.
      const known = this.doubtful !== undefined && refusal.refused === 'time-unknown';
      return { refusal: refusalMessage(known ? refusal : this.refused(refusal)) };
    }
    return this.step(verification);
  }

  /** ECU-03: a file of metadata may not drip either. Code `net-too-slow`. */
  private judgeFileRate(content: Uint8Array | undefined): Refusal | undefined {
    const rate = this.fileRate!;
    // To say that there is no such file moves nothing.
    if (content === undefined) return undefined;
    rate.moved(content.length);
    if (!rate.tooSlow(this.state.hal.clock.monotonic())) return undefined;
    return refuse('net-too-slow', 'metadata on the bus');
  }

  private step(verification: Verification): VerificationStep {
    const ask = verification.ask();
    if (ask !== undefined) {
      const now = this.state.hal.clock.monotonic();
      this.fileRate = new PullRate(now, slowWindowMilliseconds);
      return {
        ask: {
          repository: repositories[ask.repository],
          name: ask.name,
          maxBytes: ask.maxBytes,
        },
      };
    }
    this.verification = undefined;
    this.stage = 'idle';
    const decision = verification.decision();
    if (isRefusal(decision)) return { refusal: refusalMessage(this.refused(decision)) };
    this.assignments = decision.assignments;
    const { hal, ecus } = this.state;
    hal.board.log(`verified ecu=${ecus[0]!.ecuId} images=${decision.assignments.length}`);
    return this.outcome(decision.assignments);
  }

  /** INS-12: names what is given up before the Primary fetches it again and again. */
  private outcome(wanted: readonly Target[]): VerificationStep {
    let givenUp: Refusal | undefined;
    const assignments: (readonly [string, string])[] = [];
    for (const target of wanted) {
      const { ecuId } = target.assignment!;
      const refusal = this.ecu(ecuId)?.refuseGivenUp(target);
      if (refusal === undefined) assignments.push([ecuId, target.filename]);
      else givenUp = this.refused(refusal, ecuId);
    }
    return givenUp === undefined
      ? { assignments }
      : { assignments, refusal: refusalMessage(givenUp) };
  }

  /** Begins an installation, or goes on with one (INS-05); answers the offset from which ciphertext is wanted, its length if none. */
  prepare(ecuId: string, keyObject: Uint8Array): number | Refusal {
    this.installing = undefined;
    const ecu = this.ecu(ecuId);
    const target = this.assignments.filter((one) => one.assignment!.ecuId === ecuId)[0];
    // INS-07: only what the verified Director Targets assign to this ECU is installed.
    if (ecu === undefined || target === undefined) {
      return this.refused(refuse('install-out-of-order', `nothing is assigned to ${ecuId}`));
    }
    const offset = ecu.prepare(target, keyObject);
    if (isRefusal(offset)) return this.refused(offset, ecuId);
    const rate = new PullRate(this.state.hal.clock.monotonic());
    this.installing = { ecu, target, written: offset, logged: offset, rate };
    this.stage = 'installing';
    if (offset < target.length) return offset;
    // An interruption came between the last byte and the check: only the check is left.
    return this.finish() ?? offset;
  }

  /** The installation that `prepare` began: whose it is, and how much of how much came. */
  expected(): ExpectedImage | undefined {
    if (this.installing === undefined) return undefined;
    const { ecu, target, written } = this.installing;
    const index = this.state.ecus.indexOf(ecu);
    return { index, ecuId: ecu.ecuId, offset: written, length: target.length };
  }

  /** The image is going to be sent now: from here on its rate counts. */
  startPull(): void {
    if (this.installing === undefined) return;
    this.installing.rate = new PullRate(this.state.hal.clock.monotonic());
  }

  /**
   * The Primary was heard. ECU-03, ECU-04: an image that drips is given up, what came of it is
   * kept, and the next version report says so.
   */
  heard(): void {
    const current = this.installing;
    if (current === undefined || !current.rate.tooSlow(this.state.hal.clock.monotonic())) return;
    this.suspend();
    this.refused(
      refuse('net-too-slow', `${current.target.filename} on the bus`),
      current.ecu.ecuId,
    );
  }

  /** The flash part keeps up: the next block need not wait. */
  get hasRoom(): boolean {
    return this.installing === undefined || this.installing.ecu.hasRoom;
  }

  /** All that came of the image is in the flash part. */
  get idle(): boolean {
    return this.installing === undefined || this.installing.ecu.idle;
  }

  write(piece: Uint8Array): Refusal | undefined {
    const current = this.installing;
    if (current === undefined) return refuse('install-out-of-order', 'nothing was prepared');
    const refusal = current.ecu.write(piece);
    if (refusal !== undefined) return this.abandon(refusal);
    current.written += piece.length;
    current.rate.moved(piece.length);
    if (current.written - current.logged >= progressStepBytes) {
      current.logged = current.written;
      this.logProgress('install', current.ecu.ecuId, current.written, current.target.length);
    }
    return undefined;
  }

  /** The whole ciphertext was sent: checks what the flash really holds. */
  finish(): Refusal | undefined {
    const current = this.installing;
    if (current === undefined) return refuse('install-out-of-order', 'nothing was prepared');
    const refusal = current.ecu.finish();
    if (refusal !== undefined) return this.abandon(refusal);
    this.installing = undefined;
    this.stage = 'checked';
    this.logProgress('install', current.ecu.ecuId, current.target.length, current.target.length);
    return undefined;
  }

  /** The Primary has left: what came of an image is recorded, so that it goes on from there. */
  suspend(): void {
    const current = this.installing;
    if (current === undefined) return;
    this.installing = undefined;
    this.stage = 'idle';
    current.ecu.suspend();
  }

  /** @param hold the trial ends with `commitTrial` or `withdrawTrial` only */
  activate(ecuId: string, hold = false): Refusal | undefined {
    const ecu = this.ecu(ecuId);
    if (ecu === undefined) return refuse('ecu-unknown', ecuId);
    const refusal = ecu.activate(this.state.configuration.trialBoots, hold);
    if (refusal !== undefined) return this.refused(refusal, ecuId);
    this.stage = 'pending';
    this.state.hal.board.log(`activated ecu=${ecuId}`);
    return undefined;
  }

  /** DBP-18: every ECU of the bundle has passed. Code `install-out-of-order` without such a trial. */
  commitTrial(ecuId: string): Refusal | undefined {
    const ecu = this.ecu(ecuId);
    if (ecu === undefined) return refuse('ecu-unknown', ecuId);
    const refusal = ecu.commitTrial();
    if (refusal === undefined) logConfirmed(this.state, ecu);
    return refusal;
  }

  /** DBP-18: an ECU of the bundle has failed; the old image boots after the next restart. */
  withdrawTrial(ecuId: string): Refusal | undefined {
    const ecu = this.ecu(ecuId);
    return ecu === undefined ? refuse('ecu-unknown', ecuId) : ecu.withdrawTrial();
  }

  acknowledge(acknowledgements: readonly (readonly [string, number])[]): void {
    for (const [ecuId, counter] of acknowledgements) this.state.reports.acknowledge(ecuId, counter);
  }

  private abandon(refusal: Refusal): Refusal {
    const ecuId = this.installing!.ecu.ecuId;
    this.installing = undefined;
    this.stage = 'idle';
    return this.refused(refusal, ecuId);
  }

  /** Every refusal is kept for the next version report (INS-04, INS-11, VIM-11). */
  private refused(refusal: Refusal, ecuId: string = this.state.ecus[0]!.ecuId): Refusal {
    this.state.detections.add(ecuId, refusal);
    const attack = attackOf(refusal) ?? 'none';
    this.state.hal.board.log(
      `refused ecu=${ecuId} code=${refusal.refused} row=${refusal.row} attack=${attack} detail=${refusal.detail}`,
    );
    return refusal;
  }

  private logProgress(stage: string, ecuId: string, bytes: number, of: number): void {
    this.state.hal.board.log(`progress ecu=${ecuId} stage=${stage} bytes=${bytes} of=${of}`);
  }

  private ecu(ecuId: string): ManagedEcu | undefined {
    return this.state.ecus.filter((one) => one.ecuId === ecuId)[0];
  }
}
