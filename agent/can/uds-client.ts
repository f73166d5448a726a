/**
 * A UDS client (ISO 14229-1:2020, timing of ISO 14229-2) over an ISO-TP link, sans-I/O and with
 * callbacks. One request at a time. An answer is waited for during P2, or P2* after 0x78; a
 * request is repeated only where that is harmless: TransferData with the same counter, the exit,
 * ResumeFile, ReadDataByIdentifier, DiagnosticSessionControl, the request for a challenge,
 * TesterPresent, and whatever the server was too busy to take.
 *
 * A session that is to be kept gets a TesterPresent whenever nothing else was said for a while.
 */
import type { CanFrame } from '../../hal/types.ts';
import { type Refusal, refuse } from '../codes.ts';
import {
  maxUdsAttempts,
  maxUdsPendingMilliseconds,
  maxUdsPendingResponses,
  udsP2Milliseconds,
  udsP2StarMilliseconds,
  udsTesterPresentMilliseconds,
} from '../limits.ts';
import { earlier, type IsoTpDirection, IsoTpLink, type IsoTpLinkOptions } from './iso-tp.ts';
import {
  authentication,
  fileMode,
  hasSubFunction,
  negative,
  negativeResponse,
  negativeResponseName,
  positiveOffset,
  service,
  serviceName,
  suppressPositiveResponse,
} from './uds.ts';
import { UdsTransfer, type UdsTransferSource } from './uds-transfer.ts';
import {
  type DownloadRequest,
  decodeDownloadGrant,
  decodeFileTransferGrant,
  encodeDownloadRequest,
  encodeFileTransferRequest,
  type FileTransferRequest,
} from './uds-transfer-format.ts';

/** A refusal that carries the server's negative response code. */
export interface UdsRefusal extends Refusal {
  readonly negativeResponse: number;
}

/** The server's negative response code in a refusal; undefined when there was no answer. */
export function negativeResponseOf(refusal: Refusal): number | undefined {
  return 'negativeResponse' in refusal ? (refusal as UdsRefusal).negativeResponse : undefined;
}

export type UdsClientOptions = Omit<IsoTpLinkOptions, 'onMessage' | 'onSent' | 'onError'>;

export type UdsDone = (response: Uint8Array | Refusal) => void;

const noBytes = new Uint8Array(0);
const testerPresent = new Uint8Array([service.testerPresent, suppressPositiveResponse]);

export class UdsClient {
  readonly receiveId: number;
  readonly extended: boolean;
  private readonly link: IsoTpLink;
  private payload: Uint8Array = noBytes;
  private onDone: UdsDone | undefined;
  private attempts = 0;
  private pendingResponses = 0;
  private firstPendingAt: number | undefined;
  /** End of P2 or P2*; undefined while the request is being sent. */
  private deadline: number | undefined;
  /** The server was busy, not silent: repeat at the deadline. */
  private serverBusy = false;
  private now = 0;
  private keeping = false;
  /** When the server last got a request or a TesterPresent of ours. */
  private saidAt = 0;
  /** A TesterPresent is being sent; `transmitDue`: a request waits for that. */
  private sayingPresent = false;
  private transmitDue = false;

  constructor(options: UdsClientOptions) {
    this.receiveId = options.receiveId;
    this.extended = options.extended;
    this.link = new IsoTpLink({
      ...options,
      onMessage: (bytes) => this.judge(bytes),
      onSent: () => this.sent(),
      onError: (refusal, direction) => this.failed(refusal, direction),
    });
  }

  set onWork(callback: (() => void) | undefined) {
    this.link.onWork = callback;
  }

  /** A request is under way. */
  get busy(): boolean {
    return this.onDone !== undefined;
  }

  /**
   * Sends a request (leave its bytes unchanged until the end) and calls `onDone` once: with the
   * whole positive response, empty when the request suppresses it, or with a refusal:
   * 'uds-negative-response', 'secondary-silent', 'secondary-slow', 'iso-tp-timeout', 'iso-tp-sequence',
   * 'iso-tp-overflow'. Throws while another request is under way.
   */
  request(payload: Uint8Array, onDone: UdsDone): void {
    if (this.onDone !== undefined) throw new Error('a request is under way');
    this.payload = payload;
    this.onDone = onDone;
    this.attempts = 0;
    this.pendingResponses = 0;
    this.firstPendingAt = undefined;
    this.transmit();
  }

  /** From now on, or until told otherwise, the server's session is kept alive. */
  keepSession(keep: boolean): void {
    this.keeping = keep;
    this.saidAt = this.now;
    if (keep && this.link.onWork !== undefined) this.link.onWork();
  }

  /** RequestDownload, TransferData block after block, RequestTransferExit. */
  download(request: DownloadRequest, source: UdsTransferSource): UdsTransfer {
    const payload = encodeDownloadRequest(request);
    const length = source.length ?? request.size;
    return new UdsTransfer(this, payload, length, source, (response) =>
      decodeDownloadGrant(response.subarray(1)),
    );
  }

  /** RequestFileTransfer (AddFile or ResumeFile), then as `download`. */
  transferFile(request: FileTransferRequest, source: UdsTransferSource): UdsTransfer {
    const payload = encodeFileTransferRequest(request);
    const length = source.length ?? request.compressedSize;
    return new UdsTransfer(this, payload, length, source, (response) =>
      decodeFileTransferGrant(request.mode, response.subarray(2)),
    );
  }

  receive(frame: CanFrame, nowMs: number): Refusal | undefined {
    this.now = nowMs;
    return this.link.receive(frame, nowMs);
  }

  poll(nowMs: number, writable: number): CanFrame[] {
    this.now = nowMs;
    // An answer that is on its way is guarded by N_Cr, not by P2.
    const waiting = this.deadline !== undefined && !this.link.receiving;
    if (waiting && nowMs >= this.deadline!) this.expire();
    const present = this.presentAt();
    if (present !== undefined && nowMs >= present) {
      this.sayingPresent = true;
      this.link.send(testerPresent);
    }
    return this.link.poll(nowMs, writable);
  }

  nextDeadline(): number | undefined {
    const answer = this.link.receiving ? undefined : this.deadline;
    return earlier(earlier(answer, this.presentAt()), this.link.nextDeadline());
  }

  /** When a TesterPresent is due; undefined while something is being said or none is wanted. */
  private presentAt(): number | undefined {
    if (!this.keeping || this.onDone !== undefined || this.sayingPresent) return undefined;
    return this.saidAt + udsTesterPresentMilliseconds;
  }

  private transmit(): void {
    if (this.sayingPresent) {
      this.transmitDue = true;
      return;
    }
    this.attempts++;
    this.deadline = undefined;
    this.serverBusy = false;
    if (!this.link.send(this.payload)) throw new Error('the link is still sending');
  }

  private presentEnded(): void {
    this.sayingPresent = false;
    if (!this.transmitDue) return;
    this.transmitDue = false;
    this.transmit();
  }

  private sent(): void {
    this.saidAt = this.now;
    if (this.sayingPresent) {
      this.presentEnded();
      return;
    }
    const suppressed =
      hasSubFunction(this.payload[0]!) && this.payload[1]! >= suppressPositiveResponse;
    if (suppressed) this.finish(noBytes);
    else this.deadline = this.now + udsP2Milliseconds;
  }

  /** Takes what may be the answer; late answers to earlier requests match nothing. */
  private judge(bytes: Uint8Array): void {
    if (this.onDone === undefined || this.deadline === undefined) return;
    const serviceId = this.payload[0]!;
    if (bytes[0] === negativeResponse) {
      if (bytes.length === 3 && bytes[1] === serviceId) this.refused(bytes[2]!);
    } else if (bytes[0] === serviceId + positiveOffset && echoes(this.payload, bytes)) {
      this.finish(bytes);
    }
  }

  private refused(code: number): void {
    if (code === negative.requestCorrectlyReceivedResponsePending) {
      this.pendingResponses++;
      this.firstPendingAt ??= this.now;
      // ECU-03: a server that only ever says that it is busy is slow, however often it says so
      const pendingFor = this.now - this.firstPendingAt;
      if (pendingFor > maxUdsPendingMilliseconds) {
        const what = `${serviceName(this.payload[0]!)} pending for ${pendingFor} ms`;
        this.finish(refuse('secondary-slow', what));
        return;
      }
      this.serverBusy = false;
      this.deadline = this.now + udsP2StarMilliseconds;
      if (this.pendingResponses <= maxUdsPendingResponses) return;
    }
    if (code === negative.busyRepeatRequest && this.attempts < maxUdsAttempts) {
      this.serverBusy = true;
      this.deadline = this.now + udsP2Milliseconds;
      return;
    }
    const detail = `${serviceName(this.payload[0]!)}: ${negativeResponseName(code)}`;
    const refusal: UdsRefusal = {
      ...refuse('uds-negative-response', detail),
      negativeResponse: code,
    };
    this.finish(refusal);
  }

  private expire(): void {
    if (this.serverBusy) this.transmit();
    else this.lost(refuse('secondary-silent', `no answer to ${serviceName(this.payload[0]!)}`));
  }

  private failed(refusal: Refusal, direction: IsoTpDirection): void {
    if (this.sayingPresent && direction === 'send') {
      this.saidAt = this.now;
      this.presentEnded();
      return;
    }
    if (this.onDone === undefined) return;
    if (refusal.refused === 'iso-tp-overflow') {
      this.finish(refusal);
    } else if (direction === 'send') {
      this.lost(refusal);
    } else if (refusal.refused !== 'iso-tp-unexpected-frame' && this.deadline !== undefined) {
      // An interrupted answer is followed by the message that interrupted it.
      this.lost(refusal);
    }
  }

  private lost(refusal: Refusal): void {
    if (isRepeatable(this.payload) && this.attempts < maxUdsAttempts) this.transmit();
    else this.finish(refusal);
  }

  private finish(result: Uint8Array | Refusal): void {
    const onDone = this.onDone!;
    this.onDone = undefined;
    this.deadline = undefined;
    onDone(result);
  }
}

/** True for requests that do no more when they are handled twice. */
function isRepeatable(request: Uint8Array): boolean {
  const serviceId = request[0]!;
  return (
    serviceId === service.transferData ||
    serviceId === service.requestTransferExit ||
    serviceId === service.readDataByIdentifier ||
    serviceId === service.diagnosticSessionControl ||
    serviceId === service.testerPresent ||
    (serviceId === service.requestFileTransfer && request[1] === fileMode.resumeFile) ||
    (serviceId === service.authentication && request[1] === authentication.requestChallenge)
  );
}

/** True when an answer repeats the parameters of its request that the standard makes it repeat. */
function echoes(request: Uint8Array, response: Uint8Array): boolean {
  const serviceId = request[0]!;
  let count = 0;
  if (serviceId === service.routineControl) count = 3;
  else if (
    serviceId === service.readDataByIdentifier ||
    serviceId === service.writeDataByIdentifier
  ) {
    count = 2;
  } else if (
    hasSubFunction(serviceId) ||
    serviceId === service.transferData ||
    serviceId === service.requestFileTransfer
  ) {
    count = 1;
  }
  if (response.length < 1 + count) return false;
  for (let i = 1; i <= count; i++) if (request[i] !== response[i]) return false;
  return true;
}
