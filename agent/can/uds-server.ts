/**
 * A UDS server (ISO 14229-1:2020), sans-I/O: a request goes in, the answer comes out. The server
 * checks lengths, sub-functions, the order of transfers and whose session it is; the program's
 * handlers decide.
 *
 * A session other than the default one belongs to the tester that opened it and ends when that
 * tester is silent for S3 (ISO 14229-2:2021, §7.2). Others are told meanwhile to ask again later,
 * except that a tester whose session is not held gives way to one with a lower number.
 *
 * Work that takes longer than P2 returns `{ pending }`: the reply then says 0x78 (response
 * pending) and carries the continuation, which the caller runs once that answer is on its way.
 * With `ready`, the work is waiting for a device: nothing is said unless it takes long.
 */

import { isRefusal, type Refusal } from '../codes.ts';
import {
  maxUdsIdentifiersPerRead,
  maxUdsMessageBytes,
  udsSessionTimeoutMilliseconds,
} from '../limits.ts';
import {
  encodeNegativeResponse,
  hasSubFunction,
  negative,
  service,
  session,
  suppressPositiveResponse,
} from './uds.ts';
import {
  type DownloadRequest,
  decodeDownloadGrant,
  decodeDownloadRequest,
  decodeFileTransferGrant,
  decodeFileTransferRequest,
  type FileTransferRequest,
  type TransferGrant,
} from './uds-transfer-format.ts';
import { repeat, TransferSequence } from './uds-transfer-sequence.ts';

/** Bytes of a positive answer, a negative response code, or work that is still to be done. */
export type UdsOutcome =
  | Uint8Array
  | number
  | { readonly pending: () => UdsOutcome; readonly ready?: () => boolean };

/**
 * What the program does for each service. The returned bytes follow the service identifier and
 * the parameters that an answer repeats; views into the request stay valid after the call.
 */
export interface UdsHandlers {
  /** Asked first, for every supported service: a negative response code (0x22, 0x33, 0x7e, 0x7f …) or undefined. */
  admit(serviceId: number, activeSession: number, subFunction?: number): number | undefined;
  /** The tester says that it is still there. */
  testerPresent(): void;
  /** Answers with `sessionParameters()`. */
  diagnosticSessionControl(newSession: number): UdsOutcome;
  /** True for requests that any tester may make at any time; they touch nobody's session. */
  isForEverybody(request: Uint8Array): boolean;
  /** A session begins, or the default one again after S3: what was allowed in the last one ends. */
  sessionChanged(newSession: number): void;
  ecuReset(kind: number): UdsOutcome;
  /** Answers with the data record of one identifier; 0x31 where it is not known. */
  readDataByIdentifier(identifier: number): UdsOutcome;
  /** The tester has proven who it is: nobody takes its session away. True when there is none. */
  holdsSession(): boolean;
  /** `parameters` follow the sub-function. Answers with the return value and what goes with it. */
  authentication(subFunction: number, parameters: Uint8Array, requester: UdsRequester): UdsOutcome;
  /** Answers with no bytes. */
  writeDataByIdentifier(identifier: number, record: Uint8Array): UdsOutcome;
  /** `control`: 1 start, 2 stop, 3 request results. Answers with the status record. */
  routineControl(control: number, identifier: number, option: Uint8Array): UdsOutcome;
  /** Answers with `encodeDownloadGrant(maxBlockBytes)`. */
  requestDownload(request: DownloadRequest): UdsOutcome;
  /** Takes the next block, each once and in order. */
  transferData(block: Uint8Array): UdsOutcome;
  requestTransferExit(record: Uint8Array): UdsOutcome;
  /** Answers with `encodeFileTransferGrant(request, maxBlockBytes, position)`. */
  requestFileTransfer(request: FileTransferRequest): UdsOutcome;
}

/** Who asks, and when. */
export interface UdsRequester {
  /** Which of the server's addresses the request came to; testers are told apart by it. */
  readonly tester: number;
  /** Monotonic time of the request. */
  readonly nowMs: number;
  /** The request was addressed to every ECU of the bus. */
  readonly functional?: boolean;
}

const onlyTester: UdsRequester = { tester: 0, nowMs: 0 };

export interface UdsReply {
  /** Undefined: nothing is sent. */
  readonly response: Uint8Array | undefined;
  /** Work that is still to be done; run it next, it gives the next reply. */
  readonly pending?: () => UdsReply;
  /** `pending` may run as soon as this is true; undefined: as soon as `response` is out. */
  readonly ready?: () => boolean;
  /** 0x78, to be sent whenever `ready` lets the client wait for long. */
  readonly announcement?: Uint8Array;
}

export class UdsServer {
  /** The active diagnostic session. */
  activeSession: number = session.default;
  /** Who opened the session; nobody in the default one. */
  private owner: number | undefined;
  /** End of S3 in a session other than the default one. */
  private sessionEnd: number | undefined;
  private readonly handlers: Partial<UdsHandlers>;
  private readonly maxResponseBytes: number;
  private transfer: TransferSequence | undefined;
  /** Answer to the exit of the last transfer, until the next one begins. */
  private exitAnswer: Uint8Array | undefined;
  private busy = false;

  constructor(handlers: Partial<UdsHandlers>, maxResponseBytes = maxUdsMessageBytes) {
    this.handlers = handlers;
    this.maxResponseBytes = maxResponseBytes;
  }

  /** Handles one request. */
  handle(request: Uint8Array, requester: UdsRequester = onlyTester): UdsReply {
    const serviceId = request.length === 0 ? 0 : request[0]!;
    const suppress =
      hasSubFunction(serviceId) && request.length >= 2 && request[1]! >= suppressPositiveResponse;
    this.expire(requester.nowMs);
    const outcome = this.dispatch(serviceId, request, requester);
    this.keepAlive(requester.tester, requester.nowMs);
    return this.conclude(serviceId, outcome, suppress, requester.functional === true);
  }

  /** `tester` is there: S3 runs anew. For what takes its time: long messages, pending work. */
  keepAlive(tester: number, nowMs: number): void {
    if (this.sessionEnd === undefined || tester !== this.owner) return;
    this.sessionEnd = nowMs + udsSessionTimeoutMilliseconds;
  }

  /** Ends a session whose tester was silent for S3; never while its work is pending. */
  expire(nowMs: number): void {
    if (this.busy || this.sessionEnd === undefined || nowMs < this.sessionEnd) return;
    this.enter(session.default, onlyTester);
  }

  /** When `expire` has to be called (ms on the caller's clock); undefined: no session to end. */
  nextDeadline(): number | undefined {
    return this.busy ? undefined : this.sessionEnd;
  }

  private conclude(
    serviceId: number,
    outcome: UdsOutcome,
    suppress: boolean,
    functional: boolean,
  ): UdsReply {
    if (typeof outcome === 'number') {
      if (functional && isSilentWhenFunctional(outcome)) return { response: undefined };
      return { response: encodeNegativeResponse(serviceId, outcome) };
    }
    if (outcome instanceof Uint8Array) {
      if (outcome.length > this.maxResponseBytes) {
        return { response: encodeNegativeResponse(serviceId, negative.responseTooLong) };
      }
      return { response: suppress ? undefined : outcome };
    }
    this.busy = true;
    const code = negative.requestCorrectlyReceivedResponsePending;
    const announcement = encodeNegativeResponse(serviceId, code);
    const pending = () => {
      this.busy = false;
      // Once 0x78 was sent, the final answer is sent whatever the request asked (§8.7).
      return this.conclude(serviceId, outcome.pending(), false, false);
    };
    const { ready } = outcome;
    if (ready === undefined) return { response: announcement, pending };
    return { response: undefined, pending, ready, announcement };
  }

  /** The whole positive answer, or why not. */
  private dispatch(serviceId: number, request: Uint8Array, requester: UdsRequester): UdsOutcome {
    const { handlers } = this;
    const invalidLength = negative.incorrectMessageLengthOrInvalidFormat;
    if (request.length === 0) return invalidLength;
    if (!this.supports(serviceId)) return negative.serviceNotSupported;
    let subFunction: number | undefined;
    if (hasSubFunction(serviceId)) {
      const least = serviceId === service.routineControl ? 4 : 2;
      const exact = least === 2 && serviceId !== service.authentication;
      if (exact ? request.length !== 2 : request.length < least) return invalidLength;
      subFunction = request[1]! % suppressPositiveResponse;
      if (!isSubFunction(serviceId, subFunction)) return negative.subFunctionNotSupported;
    }
    if (serviceId === service.testerPresent) {
      if (handlers.testerPresent !== undefined && this.owner === requester.tester) {
        handlers.testerPresent();
      }
      return new Uint8Array([0x7e, 0]);
    }
    // §8.7.5: a second tester is told to repeat, and the first one's session goes on undisturbed.
    const forEverybody = handlers.isForEverybody?.(request) === true;
    if (this.busy || (!forEverybody && this.belongsToAnother(requester.tester))) {
      return negative.busyRepeatRequest;
    }
    if (handlers.admit !== undefined) {
      const refused = handlers.admit(serviceId, this.activeSession, subFunction);
      if (refused !== undefined) return refused;
    }
    switch (serviceId) {
      case service.diagnosticSessionControl:
        return this.sessionControl(subFunction!, requester);
      case service.ecuReset:
        return answer([0x51, subFunction!], handlers.ecuReset!(subFunction!));
      case service.readDataByIdentifier:
        return this.read(request);
      case service.authentication:
        return answer(
          [0x69, subFunction!],
          handlers.authentication!(subFunction!, request.subarray(2), requester),
        );
      case service.writeDataByIdentifier:
        if (request.length < 4) return invalidLength;
        return answer(
          [0x6e, request[1]!, request[2]!],
          handlers.writeDataByIdentifier!(identifierAt(request, 1), request.subarray(3)),
        );
      case service.routineControl:
        return answer(
          [0x71, subFunction!, request[2]!, request[3]!],
          handlers.routineControl!(subFunction!, identifierAt(request, 2), request.subarray(4)),
        );
      case service.requestDownload:
        return this.download(request);
      case service.transferData:
        return this.block(request);
      case service.requestTransferExit:
        return this.exit(request);
      default:
        return this.fileTransfer(request);
    }
  }

  private supports(serviceId: number): boolean {
    const { handlers } = this;
    if (serviceId === service.testerPresent) return true;
    for (const name of Object.keys(service) as (keyof typeof service)[]) {
      if (service[name] === serviceId && name !== 'testerPresent') {
        return handlers[name] !== undefined;
      }
    }
    return false;
  }

  /** Whether the session is closed to `tester`; one that has to give way is ended. */
  private belongsToAnother(tester: number): boolean {
    if (this.owner === undefined || this.owner === tester) return false;
    const { holdsSession } = this.handlers;
    const held = holdsSession === undefined || holdsSession.call(this.handlers);
    if (tester > this.owner || held) return true;
    this.enter(session.default, onlyTester);
    return false;
  }

  private sessionControl(newSession: number, requester: UdsRequester): UdsOutcome {
    return then(this.handlers.diagnosticSessionControl!(newSession), (record) => {
      this.enter(newSession, requester);
      return joined([0x50, newSession], record);
    });
  }

  private enter(newSession: number, requester: UdsRequester): void {
    const isDefault = newSession === session.default;
    this.activeSession = newSession;
    this.owner = isDefault ? undefined : requester.tester;
    this.sessionEnd = isDefault ? undefined : requester.nowMs + udsSessionTimeoutMilliseconds;
    // A transfer does not outlive the session that it was started in.
    this.transfer = undefined;
    this.exitAnswer = undefined;
    const { sessionChanged } = this.handlers;
    if (sessionChanged !== undefined) sessionChanged.call(this.handlers, newSession);
  }

  private read(request: Uint8Array): UdsOutcome {
    const count = (request.length - 1) / 2;
    if (count < 1 || count % 1 !== 0 || count > maxUdsIdentifiersPerRead) {
      return negative.incorrectMessageLengthOrInvalidFormat;
    }
    return this.readFrom(request, 1, new Uint8Array([0x62]));
  }

  /** Appends the records of the identifiers from `at` on; unknown ones are left out (§11.2). */
  private readFrom(request: Uint8Array, at: number, soFar: Uint8Array): UdsOutcome {
    if (at === request.length) return soFar.length === 1 ? negative.requestOutOfRange : soFar;
    const record = answer(
      [request[at]!, request[at + 1]!],
      this.handlers.readDataByIdentifier!(identifierAt(request, at)),
    );
    if (record === negative.requestOutOfRange) return this.readFrom(request, at + 2, soFar);
    return then(record, (bytes) => {
      const length = soFar.length + bytes.length;
      if (length > this.maxResponseBytes) return negative.responseTooLong;
      const longer = new Uint8Array(length);
      longer.set(soFar);
      longer.set(bytes, soFar.length);
      return this.readFrom(request, at + 2, longer);
    });
  }

  private download(bytes: Uint8Array): UdsOutcome {
    const request = decodeDownloadRequest(bytes);
    if (typeof request === 'number') return request;
    return then(this.handlers.requestDownload!(request), (granted) => {
      // Packed data have another length than the memory that they fill.
      const size = request.dataFormat === 0 ? request.size : undefined;
      this.begin(decodeDownloadGrant(granted), size);
      return joined([0x74], granted);
    });
  }

  private fileTransfer(bytes: Uint8Array): UdsOutcome {
    const request = decodeFileTransferRequest(bytes);
    if (typeof request === 'number') return request;
    return then(this.handlers.requestFileTransfer!(request), (granted) => {
      this.begin(decodeFileTransferGrant(request.mode, granted), request.compressedSize);
      return joined([0x78, request.mode], granted);
    });
  }

  private begin(granted: TransferGrant | Refusal, size: number | undefined): void {
    if (isRefusal(granted)) throw new Error(`handler answered with a ${granted.detail}`);
    const left = size === undefined ? undefined : size - granted.position;
    this.transfer = new TransferSequence(granted.maxBlockBytes, left);
    this.exitAnswer = undefined;
  }

  private block(request: Uint8Array): UdsOutcome {
    if (request.length < 3) return negative.incorrectMessageLengthOrInvalidFormat;
    const { transfer } = this;
    if (transfer === undefined) return negative.requestSequenceError;
    const judged = transfer.judge(request);
    if (judged === repeat) return transfer.lastAnswer!;
    if (judged !== 0) return judged;
    return then(this.handlers.transferData!(request.subarray(2)), (record) => {
      const response = joined([0x76, request[1]!], record);
      transfer.accept(request.length - 2, response);
      return response;
    });
  }

  private exit(request: Uint8Array): UdsOutcome {
    const { transfer } = this;
    // As with a repeated block: the answer was lost, what it answered has been done.
    if (transfer === undefined) return this.exitAnswer ?? negative.requestSequenceError;
    if (!transfer.complete) return negative.requestSequenceError;
    return then(this.handlers.requestTransferExit!(request.subarray(1)), (record) => {
      this.transfer = undefined;
      this.exitAnswer = joined([0x77], record);
      return this.exitAnswer;
    });
  }
}

/** Goes on with the bytes of a positive outcome, now or after pending work. */
function then(outcome: UdsOutcome, next: (bytes: Uint8Array) => UdsOutcome): UdsOutcome {
  if (typeof outcome === 'number') return outcome;
  if (outcome instanceof Uint8Array) return next(outcome);
  const { pending, ready } = outcome;
  return { pending: () => then(pending(), next), ...(ready && { ready }) };
}

function answer(head: readonly number[], outcome: UdsOutcome): UdsOutcome {
  return then(outcome, (bytes) => joined(head, bytes));
}

function joined(head: readonly number[], bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(head.length + bytes.length);
  all.set(head);
  all.set(bytes, head.length);
  return all;
}

function identifierAt(request: Uint8Array, offset: number): number {
  return request[offset]! * 256 + request[offset + 1]!;
}

function isSubFunction(serviceId: number, subFunction: number): boolean {
  if (serviceId === service.testerPresent) return subFunction === 0;
  if (serviceId === service.routineControl) return subFunction >= 1 && subFunction <= 3;
  if (serviceId === service.authentication) return subFunction <= 8;
  return subFunction >= 1;
}

/** §8.7.2: to a functional request, an ECU that is not concerned keeps silent. */
function isSilentWhenFunctional(code: number): boolean {
  return (
    code === negative.serviceNotSupported ||
    code === negative.subFunctionNotSupported ||
    code === negative.requestOutOfRange ||
    code === negative.subFunctionNotSupportedInActiveSession ||
    code === negative.serviceNotSupportedInActiveSession
  );
}
