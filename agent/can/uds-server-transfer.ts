/**
 * The transfer services of a UDS server (ISO 14229-1:2020, §14: 0x34, 0x36, 0x37, 0x38): what was
 * granted, the order of the blocks, and answers that are given again when they were lost.
 */
import { isRefusal, type Refusal } from '../codes.ts';
import { negative } from './uds.ts';
import { joined, then, type UdsHandlers, type UdsOutcome } from './uds-handlers.ts';
import {
  decodeDownloadGrant,
  decodeDownloadRequest,
  decodeFileTransferGrant,
  decodeFileTransferRequest,
  type TransferGrant,
} from './uds-transfer-format.ts';
import { repeat, TransferSequence } from './uds-transfer-sequence.ts';

export class UdsServerTransfer {
  private readonly handlers: Partial<UdsHandlers>;
  private transfer: TransferSequence | undefined;
  /** Answer to the exit of the last transfer, until the next one begins. */
  private exitAnswer: Uint8Array | undefined;

  constructor(handlers: Partial<UdsHandlers>) {
    this.handlers = handlers;
  }

  /** A transfer does not outlive the session that it was started in. */
  end(): void {
    this.transfer = undefined;
    this.exitAnswer = undefined;
  }

  /** RequestDownload (0x34). */
  download(bytes: Uint8Array): UdsOutcome {
    const request = decodeDownloadRequest(bytes);
    if (typeof request === 'number') return request;
    return then(this.handlers.requestDownload!(request), (granted) => {
      // Packed data have another length than the memory that they fill.
      const size = request.dataFormat === 0 ? request.size : undefined;
      this.begin(decodeDownloadGrant(granted), size);
      return joined([0x74], granted);
    });
  }

  /** RequestFileTransfer (0x38). */
  fileTransfer(bytes: Uint8Array): UdsOutcome {
    const request = decodeFileTransferRequest(bytes);
    if (typeof request === 'number') return request;
    return then(this.handlers.requestFileTransfer!(request), (granted) => {
      this.begin(decodeFileTransferGrant(request.mode, granted), request.compressedSize);
      return joined([0x78, request.mode], granted);
    });
  }

  /** TransferData (0x36). */
  block(request: Uint8Array): UdsOutcome {
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

  /** RequestTransferExit (0x37). */
  exit(request: Uint8Array): UdsOutcome {
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

  private begin(granted: TransferGrant | Refusal, size: number | undefined): void {
    if (isRefusal(granted)) throw new Error(`handler answered with a ${granted.detail}`);
    const left = size === undefined ? undefined : size - granted.position;
    this.transfer = new TransferSequence(granted.maxBlockBytes, left);
    this.exitAnswer = undefined;
  }
}
