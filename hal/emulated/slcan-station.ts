/**
 * A station that speaks SLCAN, as an adapter does on a serial line: `slcand` in a QEMU guest,
 * python-can. FD frames are left out, as the format has none.
 */

import { isExtended } from './bus-frame.ts';
import type { FrameBatch } from './can-wire.ts';
import { encodeBusFrame } from './cannelloni.ts';
import { done, formatFrame, refused, type SlcanCommand, SlcanParser } from './slcan.ts';
import { SocketStation } from './socket-station.ts';

/** Hardware and software version, two digits each. */
const version = 'V1010';
const serialNumber = 'N0001';
const noFlagSet = 'F00';

export class SlcanStation extends SocketStation {
  private readonly parser = new SlcanParser();
  private channel: 'closed' | 'open' | 'listening' = 'closed';
  private withTime = false;

  override receive(batch: FrameBatch): void {
    if (this.channel === 'closed') return;
    this.tell(batch.frames.map((stamped) => formatFrame(stamped, this.withTime)).join(''));
  }

  protected override take(chunk: Uint8Array): void {
    let answers = '';
    for (const command of this.parser.push(chunk)) answers += this.obey(command);
    this.tell(answers);
  }

  private obey(command: SlcanCommand): string {
    switch (command.command) {
      case 'malformed':
        return refused;
      case 'bit-rate':
        return this.channel === 'closed' ? done : refused;
      case 'open':
        if (this.channel !== 'closed') return refused;
        this.channel = command.listenOnly ? 'listening' : 'open';
        return done;
      case 'close':
        if (this.channel === 'closed') return refused;
        this.channel = 'closed';
        return done;
      case 'timestamps':
        if (this.channel !== 'closed') return refused;
        this.withTime = command.on;
        return done;
      case 'version':
        return version + done;
      case 'serial-number':
        return serialNumber + done;
      case 'status':
        return this.channel === 'closed' ? refused : noFlagSet + done;
      default:
        if (this.channel !== 'open') return refused;
        this.wire.transmit(this, encodeBusFrame(command.frame));
        return (isExtended(command.frame) ? 'Z' : 'z') + done;
    }
  }
}
