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

import { maxUdsIdentifiersPerRead, maxUdsMessageBytes } from '../limits.ts';
import {
  encodeNegativeResponse,
  hasSubFunction,
  negative,
  service,
  suppressPositiveResponse,
} from './uds.ts';
import {
  answer,
  joined,
  onlyTester,
  then,
  type UdsHandlers,
  type UdsOutcome,
  type UdsReply,
  type UdsRequester,
} from './uds-handlers.ts';
import { UdsServerSession } from './uds-server-session.ts';
import { UdsServerTransfer } from './uds-server-transfer.ts';

export class UdsServer {
  private readonly session: UdsServerSession;
  private readonly transfer: UdsServerTransfer;
  private readonly handlers: Partial<UdsHandlers>;
  private readonly maxResponseBytes: number;
  private busy = false;

  constructor(handlers: Partial<UdsHandlers>, maxResponseBytes = maxUdsMessageBytes) {
    this.handlers = handlers;
    this.maxResponseBytes = maxResponseBytes;
    this.transfer = new UdsServerTransfer(handlers);
    this.session = new UdsServerSession(handlers, (newSession) => {
      this.transfer.end();
      const { sessionChanged } = handlers;
      if (sessionChanged !== undefined) sessionChanged.call(handlers, newSession);
    });
  }

  /** The active diagnostic session. */
  get activeSession(): number {
    return this.session.active;
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
    this.session.keepAlive(tester, nowMs);
  }

  /** Ends a session whose tester was silent for S3; never while its work is pending. */
  expire(nowMs: number): void {
    if (!this.busy) this.session.expire(nowMs);
  }

  /** When `expire` has to be called (ms on the caller's clock); undefined: no session to end. */
  nextDeadline(): number | undefined {
    return this.busy ? undefined : this.session.nextDeadline();
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
      if (handlers.testerPresent !== undefined && this.session.isOf(requester.tester)) {
        handlers.testerPresent();
      }
      return new Uint8Array([0x7e, 0]);
    }
    // §8.7.5: a second tester is told to repeat, and the first one's session goes on undisturbed.
    const forEverybody = handlers.isForEverybody?.(request) === true;
    if (this.busy || (!forEverybody && this.session.belongsToAnother(requester.tester))) {
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
        return this.transfer.download(request);
      case service.transferData:
        return this.transfer.block(request);
      case service.requestTransferExit:
        return this.transfer.exit(request);
      default:
        return this.transfer.fileTransfer(request);
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

  private sessionControl(newSession: number, requester: UdsRequester): UdsOutcome {
    return then(this.handlers.diagnosticSessionControl!(newSession), (record) => {
      this.session.enter(newSession, requester);
      return joined([0x50, newSession], record);
    });
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
