/**
 * SLCAN: the ASCII commands of Lawicel's CAN232 and CANUSB adapters, which Linux (slcand) and
 * python-can speak over a serial line or a socket. Classic CAN only. Pure: text in, commands out,
 * and frames to text.
 */
import {
  type BusFrame,
  dataText,
  extendedFlag,
  identifierText,
  isError,
  isExtended,
  isRemote,
  largestExtendedId,
  largestStandardId,
  remoteFlag,
  type StampedFrame,
} from './bus-frame.ts';

export type SlcanCommand =
  /** S0 … S8 or the two timing registers: accepted, since the emulated bus has no bit rate. */
  | { readonly command: 'bit-rate' }
  | { readonly command: 'open'; readonly listenOnly: boolean }
  | { readonly command: 'close' | 'version' | 'serial-number' | 'status' }
  | { readonly command: 'timestamps'; readonly on: boolean }
  | { readonly command: 'send'; readonly frame: BusFrame }
  | { readonly command: 'malformed'; readonly detail: string };

/** Answer to a command that was done, and to one that was not (BEL). */
export const done = '\r';
export const refused = '\u0007';

const longestCommand = 'T00000000811223344556677'.length + 2;
const linefeed = /\n/g;

/** Puts commands together from the pieces in which a stream arrives. */
export class SlcanParser {
  private pending = '';
  /** The current line is too long: it is refused once and passed over up to its end. */
  private skipping = false;

  /**
   * The commands that `chunk` completes. Empty lines are none: adapters are flushed with them, and
   * a terminal that echoes would otherwise be answered for ever.
   */
  push(chunk: Uint8Array): SlcanCommand[] {
    const lines = (
      this.pending + Buffer.from(chunk).toString('latin1').replace(linefeed, '')
    ).split('\r');
    const commands: SlcanCommand[] = [];
    for (const [index, line] of lines.entries()) {
      const complete = index < lines.length - 1;
      if (!this.skipping && line.length > longestCommand) {
        this.skipping = true;
        commands.push(malformed(`command of more than ${longestCommand} characters`));
      } else if (!this.skipping && complete && line !== '') commands.push(parseCommand(line));
      if (complete) this.skipping = false;
    }
    this.pending = this.skipping ? '' : lines[lines.length - 1]!;
    return commands;
  }
}

/** The frame as a line; `withTime`: with the milliseconds of the minute. FD and error frames: ''. */
export function formatFrame({ frame, microseconds }: StampedFrame, withTime: boolean): string {
  if (frame.flexibleDataFlags !== undefined || isError(frame)) return '';
  const standard = isRemote(frame) ? 'r' : 't';
  const letter = isExtended(frame) ? standard.toUpperCase() : standard;
  const milliseconds = Math.floor(microseconds / 1_000) % 60_000;
  const time = withTime ? milliseconds.toString(16).toUpperCase().padStart(4, '0') : '';
  return `${letter}${identifierText(frame)}${frame.length}${dataText(frame)}${time}\r`;
}

function parseCommand(line: string): SlcanCommand {
  const rest = line.slice(1);
  switch (line[0]) {
    case 'S':
      return /^[0-8]$/.test(rest) ? { command: 'bit-rate' } : malformed('expected S0 to S8');
    case 's':
      return /^([0-9A-Fa-f]{2}){2,3}$/.test(rest)
        ? { command: 'bit-rate' }
        : malformed('expected s and 4 or 6 hexadecimal digits');
    case 'Z':
      return rest === '0' || rest === '1'
        ? { command: 'timestamps', on: rest === '1' }
        : malformed('expected Z0 or Z1');
    case 't':
    case 'T':
    case 'r':
    case 'R':
      return parseFrame(line);
    default:
      return parseSimple(line);
  }
}

function parseSimple(line: string): SlcanCommand {
  switch (line) {
    case 'O':
      return { command: 'open', listenOnly: false };
    case 'L':
      return { command: 'open', listenOnly: true };
    case 'C':
      return { command: 'close' };
    case 'V':
    case 'v':
      return { command: 'version' };
    case 'N':
      return { command: 'serial-number' };
    case 'F':
      return { command: 'status' };
    default:
      return malformed(`unknown command ${JSON.stringify(line)}`);
  }
}

function parseFrame(line: string): SlcanCommand {
  const extended = line[0] === 'T' || line[0] === 'R';
  const remote = line[0] === 'r' || line[0] === 'R';
  const digits = extended ? 8 : 3;
  const identifier = line.slice(1, 1 + digits);
  const length = line.slice(1 + digits, 2 + digits);
  const hex = line.slice(2 + digits);
  const value = Number.parseInt(identifier, 16);
  const right =
    /^[0-9A-Fa-f]+$/.test(identifier) &&
    identifier.length === digits &&
    value <= (extended ? largestExtendedId : largestStandardId);
  if (!right) return malformed(`expected an identifier of ${digits} digits, got "${identifier}"`);
  if (!/^[0-8]$/.test(length)) return malformed(`expected a length of 0 to 8, got "${length}"`);
  const bytes = remote ? 0 : Number(length);
  if (hex.length !== 2 * bytes || !/^[0-9A-Fa-f]*$/.test(hex)) {
    return malformed(`expected ${2 * bytes} digits of data, got "${hex}"`);
  }
  const canId = value + (extended ? extendedFlag : 0) + (remote ? remoteFlag : 0);
  const data = Uint8Array.from(Buffer.from(hex, 'hex'));
  const frame = { canId, length: Number(length), flexibleDataFlags: undefined, data };
  return { command: 'send', frame };
}

function malformed(detail: string): SlcanCommand {
  return { command: 'malformed', detail };
}
