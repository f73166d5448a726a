/**
 * What a UDS server asks of its program: one handler for each service (ISO 14229-1:2020), and the
 * shapes of what goes in and comes out.
 */
import type { DownloadRequest, FileTransferRequest } from './uds-transfer-format.ts';

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

/** Who asks where there is one address only. */
export const onlyTester: UdsRequester = { tester: 0, nowMs: 0 };

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

/** Goes on with the bytes of a positive outcome, now or after pending work. */
export function then(outcome: UdsOutcome, next: (bytes: Uint8Array) => UdsOutcome): UdsOutcome {
  if (typeof outcome === 'number') return outcome;
  if (outcome instanceof Uint8Array) return next(outcome);
  const { pending, ready } = outcome;
  return { pending: () => then(pending(), next), ...(ready && { ready }) };
}

/** A positive answer: these bytes, then those of the outcome. */
export function answer(head: readonly number[], outcome: UdsOutcome): UdsOutcome {
  return then(outcome, (bytes) => joined(head, bytes));
}

/** These bytes, then those of `bytes`. */
export function joined(head: readonly number[], bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(head.length + bytes.length);
  all.set(head);
  all.set(bytes, head.length);
  return all;
}
