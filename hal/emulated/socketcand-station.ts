/**
 * A station that speaks socketcand's text protocol: python-can, scapy through it, and others. It
 * chooses by the name of the bus how it sees FD frames, which most of these tools do not know.
 */
import type { Socket } from 'node:net';
import { extendedFlag, identifierOf, isExtended, type StampedFrame } from './bus-frame.ts';
import type { CanWire, FrameBatch } from './can-wire.ts';
import { encodeBusFrame } from './cannelloni.ts';
import { type Log, maxWaitingBytes, SocketStation } from './socket-station.ts';
import {
  accepted,
  echo,
  formatError,
  formatFrame,
  greeting,
  maxBusNameCharacters,
  type SocketcandCommand,
  SocketcandParser,
} from './socketcand.ts';

/** How a tool sees FD frames: not at all, as `fdframe`, or as `frame` with up to 64 bytes. */
type View = 'classic' | 'flexible' | 'plain';

const suffixes: readonly (readonly [string, View])[] = [
  ['', 'classic'],
  ['-fd', 'flexible'],
  ['-all', 'plain'],
];
const longestSuffix = 4;
const maxErrors = 100;
/**
 * python-can compares all that it has read with `< ok >`: frames wait until it has surely read that.
 */
const quietMilliseconds = 100;

/** The names under which a tool may open the bus `name`, the first without FD frames. */
export function busNames(name: string): string[] {
  return suffixes.map(([suffix]) => name + suffix);
}

/** True for a name of a bus that leaves room for the suffixes. */
export function isBusName(name: string): boolean {
  return /^[A-Za-z0-9_]+$/.test(name) && name.length <= maxBusNameCharacters - longestSuffix;
}

export class SocketcandStation extends SocketStation {
  private readonly parser = new SocketcandParser();
  private readonly busName: string;
  private view: View | undefined;
  private raw = false;
  /** SocketCAN identifiers that are told outside raw mode. */
  private readonly subscribed = new Set<number>();
  /** Frames that wait for the end of the quiet time. */
  private quiet: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  private errors = 0;

  constructor(socket: Socket, wire: CanWire, busName: string, name: string, log: Log) {
    super(socket, wire, name, log);
    this.busName = busName;
    this.tell(greeting);
  }

  override receive(batch: FrameBatch): void {
    if (this.view === undefined || !(this.raw || this.subscribed.size > 0)) return;
    let text = '';
    for (const stamped of batch.frames) {
      // The line end before each frame makes up for python-can, which takes one character too many
      // after the last whole message that it finds in what it has read.
      if (this.tells(stamped)) text += `\n${formatFrame(stamped, this.view === 'plain')}`;
    }
    if (this.quiet === undefined) {
      this.tell(text);
      return;
    }
    this.quiet += text;
    if (this.quiet.length > maxWaitingBytes) this.endQuiet();
  }

  protected override take(chunk: Uint8Array): void {
    for (const command of this.parser.push(chunk)) {
      if (this.socket.destroyed) return;
      this.endQuiet();
      this.obey(command);
    }
  }

  protected override left(): void {
    clearTimeout(this.timer);
    super.left();
  }

  private obey(command: SocketcandCommand): void {
    if (command.command === 'malformed') this.refuse(command.detail);
    else if (command.command === 'echo') this.tell(echo);
    else if (command.command === 'open') this.open(command.bus);
    else if (this.view === undefined) this.refuse(`open a bus first: < open ${this.busName} >`);
    else if (command.command === 'send') this.wire.transmit(this, encodeBusFrame(command.frame));
    else if (command.command === 'subscribe') this.subscribed.add(command.canId);
    else if (command.command === 'unsubscribe') this.subscribed.delete(command.canId);
    else {
      this.raw = command.command === 'rawmode';
      this.tell(accepted);
      if (this.raw) this.beQuiet();
    }
  }

  private open(bus: string): void {
    const view = suffixes.find(([suffix]) => bus === this.busName + suffix)?.[1];
    if (view === undefined) {
      this.refuse(`no bus "${bus}" here, but ${busNames(this.busName).join(', ')}`);
      // The protocol ends the connection, once the tool has been told why.
      this.socket.end();
    } else if (this.view !== undefined) this.refuse('a bus is open already');
    else {
      this.view = view;
      this.tell(accepted);
    }
  }

  private tells({ frame }: StampedFrame): boolean {
    if (frame.flexibleDataFlags !== undefined && this.view === 'classic') return false;
    const canId = identifierOf(frame) + (isExtended(frame) ? extendedFlag : 0);
    return this.raw || this.subscribed.has(canId);
  }

  private refuse(detail: string): void {
    this.tell(formatError(detail));
    this.errors++;
    if (this.errors === maxErrors)
      this.expel('can-frame-malformed', `${maxErrors} errors: ${detail}`);
  }

  private beQuiet(): void {
    this.quiet = '';
    this.timer = setTimeout(() => this.endQuiet(), quietMilliseconds);
  }

  /** The quiet time is over, or the tool speaks and so has read all answers. */
  private endQuiet(): void {
    clearTimeout(this.timer);
    const text = this.quiet;
    this.quiet = undefined;
    if (text !== undefined) this.tell(text);
  }
}
