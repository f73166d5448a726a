/**
 * One Secondary, as the Primary sees it over UDS (docs/POUF.md §4, in-vehicle messages).
 * Promises live here and in the Primary's program only; the link below is driven by callbacks.
 */

import { fileMode, negative, reset, routine, service } from '../can/uds.ts';
import { negativeResponseOf, type UdsClient } from '../can/uds-client.ts';
import type { UdsTransferSource } from '../can/uds-transfer.ts';
import { decode, encode, type Schema } from '../codec/schema.ts';
import { Writer } from '../codec/writer.ts';
import { type Code, isCode, isRefusal, type Refusal, refuse } from '../codes.ts';
import {
  cobblestoneHeaderBytes,
  leastUdsBlockBytes,
  maxTransferResumptions,
  maxUdsAttempts,
  maxUdsBlockBytes,
  maxUdsMessageBytes,
} from '../limits.ts';
import type { RefusalAnswer } from '../metadata/device-messages.ts';
import {
  acknowledgement,
  activationRequest,
  addressesPerEcu,
  cobblestoneDataFormat,
  dataIdentifiers,
  installationRequest,
  nonceMessage,
  reportsMessage,
  routineResult,
  routines,
  type StatusMessage,
  statusMessage,
  suppliedFile,
  trialRequest,
  type VerificationStep,
  verificationStep,
} from '../metadata/vehicle-messages.ts';
import { type AccessCredentials, requestOf, SecondarySession } from './secondary-session.ts';

/** Turns a refusal that crossed the link into one of ours; unknown codes are not believed. */
export function refusalFrom(message: RefusalAnswer, ecuId: string): Refusal {
  const detail = `${ecuId}: ${message.detail ?? message.code}`;
  const known = isCode(message.code);
  return known
    ? refuse(message.code as Code, detail, message.row)
    : refuse('uds-malformed', `${ecuId} answered an unknown code`);
}

/** A Secondary as the Primary's parts know it, whatever carries the messages. */
export type Secondary = Pick<SecondaryClient, keyof SecondaryClient>;

export class SecondaryClient {
  readonly ecuIds: readonly string[];
  private readonly client: UdsClient;
  private readonly session: SecondarySession;

  /**
   * @param ecuIds the Secondary's own ECU id first, then those it hosts
   * @param credentials what the Primary proves itself with (service 0x29)
   */
  constructor(client: UdsClient, ecuIds: readonly string[], credentials: AccessCredentials) {
    this.client = client;
    this.ecuIds = ecuIds;
    this.session = new SecondarySession(client, ecuIds[0]!, credentials);
  }

  /** Ends the session: the Secondary may be asked by others again. */
  release(): Promise<void> {
    return this.session.close();
  }

  nonce(): Promise<Uint8Array | Refusal> {
    return this.readData(dataIdentifiers.nonce, nonceMessage);
  }

  reports(): Promise<readonly Uint8Array[] | Refusal> {
    return this.readData(dataIdentifiers.reports, reportsMessage);
  }

  /** The one thing that anybody may read. */
  async status(): Promise<StatusMessage | Refusal> {
    const answer = await requestOf(this.client, readRequest(dataIdentifiers.status));
    return isRefusal(answer)
      ? answer
      : decode(statusMessage, answer.subarray(3), maxUdsMessageBytes);
  }

  /** Hands over the time attestation (PRI-11). */
  async checkTime(attestation: Uint8Array): Promise<Refusal | undefined> {
    return this.result(await this.routine(routines.checkTime, attestation, routineResult));
  }

  startVerification(): Promise<VerificationStep | Refusal> {
    const { startVerification } = routines;
    return this.routine(startVerification, new Uint8Array(0), verificationStep, maxUdsAttempts);
  }

  /** The same for the files of a medium (PURE-2). */
  startOfflineVerification(): Promise<VerificationStep | Refusal> {
    return this.routine(routines.startOfflineVerification, new Uint8Array(0), verificationStep);
  }

  supplyFile(content: Uint8Array | undefined): Promise<VerificationStep | Refusal> {
    const option = encode(suppliedFile, content === undefined ? {} : { content });
    return this.routine(routines.supplyFile, option, verificationStep);
  }

  /** Hands over the key object; answers the ciphertext offset that the Secondary wants next. */
  async prepare(ecuId: string, keyObject: Uint8Array): Promise<number | Refusal> {
    const option = encode(installationRequest, { ecuId, keyObject });
    const { prepareInstallation } = routines;
    const answer = await this.routine(prepareInstallation, option, routineResult, maxUdsAttempts);
    const refusal = this.result(answer);
    if (refusal !== undefined) return refusal;
    return isRefusal(answer) ? answer : (answer.resumeOffset ?? 0);
  }

  /**
   * Sends the ciphertext from `offset` to `length` in blocks of one Cobblestone chunk (PRI-15).
   * A transfer that the bus cuts off goes on where the Secondary stands, in smaller blocks, of which
   * fewer are struck.
   * @param read fills a buffer from an offset of the ciphertext
   */
  async download(
    ecuId: string,
    offset: number,
    length: number,
    read: (buffer: Uint8Array, offset: number) => void,
    onProgress: (sent: number) => void,
  ): Promise<Refusal | undefined> {
    let maxBlockBytes = maxUdsBlockBytes;
    for (let attempt = 0; ; attempt++) {
      const resumes = offset > 0 || attempt > 0;
      const source = { length, maxBlockBytes, read: filler(read, length), onProgress };
      const exit = await this.transfer(ecuId, resumes, source);
      if (!isRefusal(exit)) return this.result(decode(routineResult, exit, maxUdsMessageBytes));
      if (tellsOfNoSession(exit)) {
        this.session.lost();
        return refuse('install-out-of-order', `${ecuId} has restarted in mid-transfer`);
      }
      if (attempt === maxTransferResumptions || !isTransferCutOff(exit)) return exit;
      maxBlockBytes = Math.max(Math.floor(maxBlockBytes / 4), leastUdsBlockBytes);
    }
  }

  /** One transfer, to the answer of its exit: from the beginning, or from where it stands. */
  private transfer(
    ecuId: string,
    resumes: boolean,
    source: Omit<UdsTransferSource, 'onDone'> & { readonly length: number },
  ): Promise<Uint8Array | Refusal> {
    const { client, ecuIds } = this;
    const dataFormat = cobblestoneDataFormat;
    return new Promise((onDone) => {
      if (!resumes) {
        const address = ecuIds.indexOf(ecuId) * addressesPerEcu;
        client.download({ dataFormat, address, size: source.length }, { ...source, onDone });
        return;
      }
      const request = {
        mode: fileMode.resumeFile,
        path: ecuId,
        dataFormat,
        uncompressedSize: source.length,
        compressedSize: source.length,
      };
      client.transferFile(request, { ...source, onDone });
    });
  }

  /** Has the checked image tried at the next restart; `hold`: in a two-phase bundle. */
  async activate(ecuId: string, hold: boolean): Promise<Refusal | undefined> {
    const option = encode(activationRequest, { ecuId, ...(hold && { hold }) });
    return this.result(await this.routine(routines.activate, option, routineResult));
  }

  /** Ends a held trial well: the new image is confirmed. */
  async commitTrial(ecuId: string): Promise<Refusal | undefined> {
    const option = encode(trialRequest, { ecuId });
    return this.result(await this.routine(routines.commitTrial, option, routineResult));
  }

  /** Ends a trial of a two-phase bundle badly: the old image boots after the next `reset`. */
  async withdrawTrial(ecuId: string): Promise<Refusal | undefined> {
    const option = encode(trialRequest, { ecuId });
    return this.result(await this.routine(routines.withdrawTrial, option, routineResult));
  }

  async reset(): Promise<Refusal | undefined> {
    const answer = await this.request(new Uint8Array([service.ecuReset, reset.hard]));
    this.session.lost();
    return isRefusal(answer) ? answer : undefined;
  }

  async acknowledge(reports: readonly (readonly [string, number])[]): Promise<Refusal | undefined> {
    const option = encode(acknowledgement, reports);
    return this.result(await this.routine(routines.acknowledgeReports, option, routineResult));
  }

  private async readData<T>(identifier: number, schema: Schema<T>): Promise<T | Refusal> {
    const answer = await this.request(readRequest(identifier));
    return isRefusal(answer) ? answer : decode(schema, answer.subarray(3), maxUdsMessageBytes);
  }

  /** @param attempts more than one only where a repetition does no more than the first */
  private async routine<T>(
    identifier: number,
    option: Uint8Array,
    schema: Schema<T>,
    attempts = 1,
  ): Promise<T | Refusal> {
    const request = new Writer();
    const head = [
      service.routineControl,
      routine.start,
      Math.floor(identifier / 256),
      identifier % 256,
    ];
    request.raw(new Uint8Array(head));
    request.raw(option);
    const payload = request.finish();
    let answer = await this.request(payload);
    for (let left = attempts - 1; left > 0 && isRefusal(answer) && isCutOff(answer); left--) {
      answer = await this.request(payload);
    }
    return isRefusal(answer) ? answer : decode(schema, answer.subarray(4), maxUdsMessageBytes);
  }

  private result(answer: { readonly refusal?: RefusalAnswer } | Refusal): Refusal | undefined {
    if (isRefusal(answer)) return answer;
    return answer.refusal && refusalFrom(answer.refusal, this.ecuIds[0]!);
  }

  /** Opens the session where there is none; once more when the Secondary has lost it meanwhile. */
  private async request(payload: Uint8Array): Promise<Uint8Array | Refusal> {
    const closed = await this.session.open();
    if (closed !== undefined) return closed;
    const answer = await requestOf(this.client, payload);
    if (!isRefusal(answer) || !tellsOfNoSession(answer)) return answer;
    this.session.lost();
    return (await this.session.open()) ?? requestOf(this.client, payload);
  }
}

/** Fills a block: the stream's header alone, then one whole chunk, or what is left of it. */
function filler(read: (buffer: Uint8Array, offset: number) => void, length: number) {
  return (into: Uint8Array, at: number): number => {
    const room = at < cobblestoneHeaderBytes ? cobblestoneHeaderBytes - at : into.length;
    const piece = into.subarray(0, Math.min(room, into.length, length - at));
    read(piece, at);
    return piece.length;
  };
}

/** True when the bus is to blame and the Secondary may go on from where it stands. */
function isTransferCutOff(refusal: Refusal): boolean {
  const code = negativeResponseOf(refusal);
  return (
    isCutOff(refusal) ||
    code === negative.wrongBlockSequenceCounter ||
    code === negative.requestSequenceError ||
    code === negative.busyRepeatRequest
  );
}

/** True when a request or its answer was lost, and nobody knows which. */
function isCutOff(refusal: Refusal): boolean {
  return refusal.refused === 'secondary-silent' || refusal.refused.indexOf('iso-tp-') === 0;
}

function readRequest(identifier: number): Uint8Array {
  const high = Math.floor(identifier / 256);
  return new Uint8Array([service.readDataByIdentifier, high, identifier % 256]);
}

/** The Secondary has restarted, or was not heard from us for too long. */
function tellsOfNoSession(refusal: Refusal): boolean {
  const code = negativeResponseOf(refusal);
  return (
    code === negative.serviceNotSupportedInActiveSession || code === negative.authenticationRequired
  );
}
