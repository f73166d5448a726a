/**
 * The text protocol of socketcand (doc/protocol.md of linux-can/socketcand): commands between `<`
 * and `>`, identifiers and data in hexadecimal. FD frames travel as `fdsend` and `fdframe`, as its
 * daemon has them. Pure: text in, commands out, and frames to text.
 *
 * Two liberties for python-can, whose socketcand client writes identifiers without leading zeros:
 * one of 4 to 7 digits, or past 7FF, is an extended one.
 */
import {
  type BusFrame,
  dataText,
  extendedFlag,
  flexibleDataFlag,
  hexadecimal,
  identifierOf,
  identifierText,
  isError,
  isRemote,
  largestExtendedId,
  largestStandardId,
  remoteFlag,
  type StampedFrame,
} from './bus-frame.ts';
import { isFlexibleDataLength } from './cannelloni.ts';

export type SocketcandCommand =
  | { readonly command: 'open'; readonly bus: string }
  | { readonly command: 'rawmode' | 'bcmmode' | 'echo' }
  | { readonly command: 'send'; readonly frame: BusFrame }
  | { readonly command: 'subscribe' | 'unsubscribe'; readonly canId: number }
  | { readonly command: 'malformed'; readonly detail: string };

export const greeting = '< hi >';
export const accepted = '< ok >';
export const echo = '< echo >';

/** The longest command has an FD frame of 64 bytes; what is longer is no command. */
const maxCommandCharacters = 320;
/** Characters of a bus's name (IFNAMSIZ). */
export const maxBusNameCharacters = 16;
/** A refusal repeats no more than this of what it refuses. */
const maxQuotedCharacters = 60;

/** Puts commands together from the pieces in which a stream arrives. */
export class SocketcandParser {
  private pending = '';

  /** The commands that `chunk` completes; what is none is one too: 'malformed', with why. */
  push(chunk: Uint8Array): SocketcandCommand[] {
    const text = this.pending + Buffer.from(chunk).toString('latin1');
    const commands: SocketcandCommand[] = [];
    let at = 0;
    for (;;) {
      const open = text.indexOf('<', at);
      const between = text.slice(at, open < 0 ? text.length : open).trim();
      if (between !== '') commands.push(malformed(`expected "<", got ${quoted(between)}`));
      if (open < 0) {
        this.pending = '';
        return commands;
      }
      const close = text.indexOf('>', open);
      const length = (close < 0 ? text.length : close) - open;
      if (length > maxCommandCharacters) {
        commands.push(malformed(`command of more than ${maxCommandCharacters} characters`));
      }
      if (close < 0) {
        this.pending = length > maxCommandCharacters ? '' : text.slice(open);
        return commands;
      }
      if (length <= maxCommandCharacters) commands.push(parseCommand(text.slice(open + 1, close)));
      at = close + 1;
    }
  }
}

/** The frame as raw mode tells of it. FD frames are `frame` with up to 64 bytes when `plain`. */
export function formatFrame({ frame, microseconds }: StampedFrame, plain: boolean): string {
  const identifier = identifierText(frame);
  const seconds = Math.floor(microseconds / 1_000_000);
  const time = `${seconds}.${String(microseconds % 1_000_000).padStart(6, '0')}`;
  if (isError(frame)) return `< error ${hexadecimal(identifierOf(frame), 3)} ${time} >`;
  if (isRemote(frame)) return `< rtr ${identifier} ${time} ${frame.length} >`;
  const data = dataText(frame);
  if (frame.flexibleDataFlags === undefined || plain)
    return `< frame ${identifier} ${time} ${data} >`;
  const flags = hexadecimal(frame.flexibleDataFlags, 2);
  return `< fdframe ${identifier} ${flags} ${time} ${data} >`;
}

/** What the client did wrong, for its user to read. */
export function formatError(detail: string): string {
  return `< error ${detail.replace(/[^ -~]|[<>]/g, '?')} >`;
}

function parseCommand(text: string): SocketcandCommand {
  const [name = '', ...fields] = text.trim().split(/[ \t]+/);
  switch (name) {
    case 'open': {
      const [bus = ''] = fields;
      const right = fields.length === 1 && bus.length <= maxBusNameCharacters;
      return right ? { command: 'open', bus } : malformed('expected: open BUS');
    }
    case 'rawmode':
    case 'bcmmode':
    case 'echo':
      return fields.length === 0 ? { command: name } : malformed(`expected: ${name}`);
    case 'send':
      return parseSend(fields);
    case 'fdsend':
      return parseFlexibleSend(fields);
    case 'sendrtr':
      return parseRemote(fields);
    case 'subscribe':
      return parseSubscription(fields);
    case 'unsubscribe': {
      const canId = parseIdentifier(fields[0]);
      const right = fields.length === 1 && canId !== undefined;
      return right ? { command: 'unsubscribe', canId } : malformed('expected: unsubscribe ID');
    }
    default:
      return malformed(`unknown command ${quoted(name)}`);
  }
}

function parseSend(fields: readonly string[]): SocketcandCommand {
  const [id, count, ...bytes] = fields;
  const canId = parseIdentifier(id);
  const length = parseDecimal(count, 8);
  const data = parseBytes(bytes);
  if (canId === undefined) return malformed(`send: ${quoted(id)} is no identifier`);
  if (length === undefined) {
    return malformed(`send: expected a length of 0 to 8, got ${quoted(count)}; fdsend sends FD`);
  }
  if (data?.length !== length) return malformed(`send: expected ${length} bytes in hexadecimal`);
  return { command: 'send', frame: { canId, length, flexibleDataFlags: undefined, data } };
}

function parseFlexibleSend(fields: readonly string[]): SocketcandCommand {
  const [id, flagText, count, ...bytes] = fields;
  const canId = parseIdentifier(id);
  const flags = parseHexadecimal(flagText, 2);
  const length = parseDecimal(count, 64);
  const data = parseBytes(bytes);
  if (canId === undefined) return malformed(`fdsend: ${quoted(id)} is no identifier`);
  if (flags === undefined || flags > 7) {
    return malformed('fdsend: expected flags of 0 to 7 (BRS 1, ESI 2, FDF 4) before the length');
  }
  if (length === undefined || isFlexibleDataLength[length] !== true) {
    return malformed(`fdsend: no FD frame has ${quoted(count)} bytes`);
  }
  if (data?.length !== length) return malformed(`fdsend: expected ${length} bytes in hexadecimal`);
  // Whether FDF is said or not, this is an FD frame; on the bus only BRS and ESI tell frames apart.
  const flexibleDataFlags = flags % flexibleDataFlag;
  return { command: 'send', frame: { canId, length, flexibleDataFlags, data } };
}

function parseRemote(fields: readonly string[]): SocketcandCommand {
  const canId = parseIdentifier(fields[0]);
  const length = parseDecimal(fields[1], 8);
  if (canId === undefined || length === undefined || fields.length !== 2) {
    return malformed('expected: sendrtr ID LENGTH');
  }
  const data = new Uint8Array(0);
  const frame = { canId: canId + remoteFlag, length, flexibleDataFlags: undefined, data };
  return { command: 'send', frame };
}

/** Every frame of an identifier is told as it comes; throttled subscriptions are not offered. */
function parseSubscription(fields: readonly string[]): SocketcandCommand {
  const [seconds, microseconds, id] = fields;
  const canId = parseIdentifier(id);
  if (canId === undefined || fields.length !== 3 || seconds !== '0' || microseconds !== '0') {
    return malformed('expected: subscribe 0 0 ID (intervals are not supported)');
  }
  return { command: 'subscribe', canId };
}

/** SocketCAN's identifier; undefined when the text is none. */
function parseIdentifier(text: string | undefined): number | undefined {
  const value = parseHexadecimal(text, 8);
  if (value === undefined || value > largestExtendedId) return undefined;
  const extended = text!.length > 3 || value > largestStandardId;
  return extended ? value + extendedFlag : value;
}

function parseHexadecimal(text: string | undefined, most: number): number | undefined {
  const right = text !== undefined && text.length <= most && /^[0-9A-Fa-f]+$/.test(text);
  return right ? Number.parseInt(text, 16) : undefined;
}

/** python-can writes lengths in hexadecimal, which up to 9 is the same. */
function parseDecimal(text: string | undefined, largest: number): number | undefined {
  if (text === undefined || !/^[0-9]{1,2}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= largest ? value : undefined;
}

function parseBytes(fields: readonly string[]): Uint8Array | undefined {
  const data = new Uint8Array(fields.length);
  for (const [index, field] of fields.entries()) {
    const value = parseHexadecimal(field, 2);
    if (value === undefined) return undefined;
    data[index] = value;
  }
  return data;
}

function quoted(text: string | undefined): string {
  if (text === undefined) return 'nothing';
  const cut = text.length > maxQuotedCharacters;
  return `"${cut ? `${text.slice(0, maxQuotedCharacters)}...` : text}"`;
}

function malformed(detail: string): SocketcandCommand {
  return { command: 'malformed', detail };
}
