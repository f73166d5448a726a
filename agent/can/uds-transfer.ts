/**
 * The client's side of a transfer (ISO 14229-1:2020, §14): grant, blocks, exit. Blocks are filled
 * by the source straight into one request buffer, which is all the memory that a transfer takes.
 */
import { isRefusal, type Refusal } from '../codes.ts';
import { maxUdsBlockBytes } from '../limits.ts';
import { service } from './uds.ts';
import type { UdsDone } from './uds-client.ts';
import type { TransferGrant } from './uds-transfer-format.ts';

export interface UdsTransferSource {
  /** Bytes to transfer; by default what the request announces. */
  readonly length?: number;
  /** Bound of a whole TransferData request; what the server grants counts too. */
  readonly maxBlockBytes?: number;
  /** Parameter record of RequestTransferExit. */
  readonly exitRecord?: Uint8Array;
  /**
   * Fills `into` from `offset` of the transferred bytes and returns how many bytes it wrote;
   * fewer make a shorter block. 0: none yet, `resume` is called later. A refusal ends the transfer.
   */
  readonly read: (into: Uint8Array, offset: number) => number | Refusal;
  /** `sent` bytes of `total` are with the server; also called with the position granted at first. */
  readonly onProgress?: (sent: number, total: number) => void;
  /** Called once: with the parameter record of the exit's answer, or with why the transfer ended. */
  readonly onDone: UdsDone;
}

/** The part of `UdsClient` that a transfer uses. */
interface Requester {
  request(payload: Uint8Array, onDone: UdsDone): void;
}

export class UdsTransfer {
  private readonly client: Requester;
  private readonly length: number;
  private readonly source: UdsTransferSource;
  private block: Uint8Array;
  private offset = 0;
  private counter = 1;
  private waiting = false;
  private ended = false;
  private cancelled: Refusal | undefined;

  /** Starts with `payload`, whose answer `decode` turns into the grant. */
  constructor(
    client: Requester,
    payload: Uint8Array,
    length: number,
    source: UdsTransferSource,
    decode: (response: Uint8Array) => TransferGrant | Refusal,
  ) {
    this.client = client;
    this.length = length;
    this.source = source;
    this.block = payload;
    client.request(payload, (response) => {
      const granted = isRefusal(response) ? response : decode(response);
      if (isRefusal(granted)) {
        this.finish(granted);
        return;
      }
      const most = Math.min(source.maxBlockBytes ?? maxUdsBlockBytes, maxUdsBlockBytes);
      this.block = new Uint8Array(Math.min(granted.maxBlockBytes, most));
      this.offset = granted.position;
      this.progress();
      this.next();
    });
  }

  /** The source, which had nothing to give, has bytes now. */
  resume(): void {
    if (!this.waiting) return;
    this.waiting = false;
    this.next();
  }

  /** Ends the transfer with `reason`: at once, or after the answer that is awaited. */
  cancel(reason: Refusal): void {
    this.cancelled = reason;
    this.resume();
  }

  private next(): void {
    if (this.cancelled !== undefined) this.finish(this.cancelled);
    else if (this.offset >= this.length) this.exit();
    else this.transfer();
  }

  private transfer(): void {
    const { block } = this;
    const room = Math.min(block.length - 2, this.length - this.offset);
    const count = this.source.read(block.subarray(2, 2 + room), this.offset);
    if (isRefusal(count)) {
      this.finish(count);
      return;
    }
    if (count === 0) {
      this.waiting = true;
      return;
    }
    block[0] = service.transferData;
    block[1] = this.counter;
    this.client.request(block.subarray(0, 2 + count), (response) => {
      if (isRefusal(response)) {
        this.finish(response);
        return;
      }
      this.counter = (this.counter + 1) % 256;
      this.offset += count;
      this.progress();
      this.next();
    });
  }

  private exit(): void {
    const record = this.source.exitRecord ?? new Uint8Array(0);
    const payload = new Uint8Array(1 + record.length);
    payload[0] = service.requestTransferExit;
    payload.set(record, 1);
    this.client.request(payload, (response) => {
      this.finish(isRefusal(response) ? response : response.subarray(1));
    });
  }

  private progress(): void {
    if (this.source.onProgress !== undefined) this.source.onProgress(this.offset, this.length);
  }

  private finish(result: Uint8Array | Refusal): void {
    if (this.ended) return;
    this.ended = true;
    this.source.onDone(result);
  }
}
