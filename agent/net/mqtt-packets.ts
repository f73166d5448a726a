/**
 * MQTT 3.1.1 (OASIS standard of 2014) as far as the subscriber of one topic needs it: bytes to
 * packets and back, nothing kept between two calls. Section numbers are the standard's. What a
 * server may send to such a client is read; anything else is refused, and nothing is allocated for
 * it.
 */
import { asciiBytes } from '../codec/cose-sign.ts';
import { type Refusal, refuse } from '../codes.ts';
import { maxMqttPacketBytes } from '../limits.ts';

/** Packet types (§2.2.1) with their fixed flags, as the first byte. */
const connect = 0x10;
const connack = 0x20;
const publish = 0x30;
const puback = 0x40;
const subscribe = 0x82;
const suback = 0x90;
const pingreq = 0xc0;
const pingresp = 0xd0;
const disconnect = 0xe0;

export type MqttPacket =
  /** §3.2: 0 accepted, 1 … 5 why not. */
  | { readonly type: 'connack'; readonly code: number }
  /** §3.9: the quality of service granted, or 128: refused. */
  | { readonly type: 'suback'; readonly packetId: number; readonly code: number }
  /** §3.3; `packetId` with quality of service 1, to be acknowledged. */
  | {
      readonly type: 'publish';
      readonly topic: string;
      readonly packetId: number | undefined;
      /** A view of what was received. */
      readonly payload: Uint8Array;
    }
  | { readonly type: 'pingresp' };

export interface ReceivedPacket {
  readonly packet: MqttPacket;
  /** Bytes of it, its fixed header included. */
  readonly bytes: number;
}

/** A packet of less than 128 bytes after its fixed header (§2.2.3: one byte of length). */
function packetOf(first: number, body: readonly (number | string)[]): Uint8Array {
  const bytes: number[] = [first, 0];
  for (const part of body) {
    if (typeof part === 'number') bytes.push(part);
    // §1.5.3: two bytes of length before a string
    else bytes.push(0, part.length, ...asciiBytes(part));
  }
  const length = bytes.length - 2;
  if (length > 127) throw new RangeError(`an MQTT packet of ${length} bytes`);
  bytes[1] = length;
  return Uint8Array.from(bytes);
}

const high = (value: number): number => Math.floor(value / 256);

/** §3.1: a clean session, without will and password. `clientId`: 1 to 64 characters of ASCII. */
export function connectPacket(clientId: string, keepAliveSeconds: number): Uint8Array {
  const cleanSession = 2;
  const keepAlive = [high(keepAliveSeconds), keepAliveSeconds % 256];
  return packetOf(connect, ['MQTT', 4, cleanSession, ...keepAlive, clientId]);
}

/** §3.8: one topic, with quality of service 1. */
export function subscribePacket(packetId: number, topic: string): Uint8Array {
  return packetOf(subscribe, [high(packetId), packetId % 256, topic, 1]);
}

/** §3.4. */
export function pubackPacket(packetId: number): Uint8Array {
  return packetOf(puback, [high(packetId), packetId % 256]);
}

/** §3.12. */
export const pingRequest = (): Uint8Array => packetOf(pingreq, []);

/** §3.14. */
export const disconnectPacket = (): Uint8Array => packetOf(disconnect, []);

const malformed = (detail: string): Refusal => refuse('mqtt-malformed', detail);

/**
 * Reads the packet at the beginning of `received`; undefined when it is not complete yet.
 * Codes: `mqtt-malformed`; `net-endless` for one longer than `maxMqttPacketBytes`, by its header.
 */
export function readPacket(received: Uint8Array): ReceivedPacket | Refusal | undefined {
  const [first] = received;
  if (first === undefined) return undefined;
  let length = 0;
  let start = 1;
  // §2.2.3: seven bits a byte, four bytes at most
  for (let unit = 1; ; unit *= 128) {
    const byte = received[start];
    if (start > 4) return malformed('remaining length');
    if (byte === undefined) return undefined;
    length += (byte % 128) * unit;
    start += 1;
    if (byte < 128) break;
  }
  const bytes = start + length;
  if (bytes > maxMqttPacketBytes) {
    return refuse('net-endless', `an MQTT packet of ${bytes} bytes`, 'HRD-13');
  }
  if (received.length < bytes) return undefined;
  const packet = readBody(first, received.subarray(start, bytes));
  return 'refused' in packet ? packet : { packet, bytes };
}

function readBody(first: number, body: Uint8Array): MqttPacket | Refusal {
  const at = (index: number): number => body[index]!;
  if (first === connack && body.length === 2) {
    // §3.2.2.2: there is no session of a client that asks for a clean one
    return at(0) === 0 && at(1) <= 5
      ? { type: 'connack', code: at(1) }
      : malformed(`CONNACK ${at(0)} ${at(1)}`);
  }
  if (first === suback && body.length === 3) {
    const code = at(2);
    // §3.8.4: never more than was asked for
    if (code > 1 && code !== 128) return malformed(`SUBACK ${code}`);
    return { type: 'suback', packetId: at(0) * 256 + at(1), code };
  }
  if (first === pingresp && body.length === 0) return { type: 'pingresp' };
  return first >= publish && first < puback
    ? readPublish(first, body)
    : malformed(`first byte ${first}, ${body.length} bytes`);
}

function readPublish(first: number, body: Uint8Array): MqttPacket | Refusal {
  const quality = Math.floor(first / 2) % 4;
  // §3.3.1: nobody was granted 2, 3 does not exist, and what is sent once is no duplicate
  if (quality > 1 || (quality === 0 && first % 16 >= 8)) return malformed(`PUBLISH flags ${first}`);
  const end = 2 + body[0]! * 256 + body[1]!;
  const payload = end + 2 * quality;
  // NaN, where there is no length at all, passes no comparison
  if (!(end > 2 && payload <= body.length)) return malformed('PUBLISH without its topic');
  let topic = '';
  for (let i = 2; i < end; i++) {
    const code = body[i]!;
    if (code < 0x21 || code > 0x7e) return malformed(`PUBLISH with character ${code} in its topic`);
    topic += String.fromCharCode(code);
  }
  const packetId = quality === 0 ? undefined : body[end]! * 256 + body[end + 1]!;
  if (packetId === 0) return malformed('PUBLISH with packet identifier 0');
  return { type: 'publish', topic, packetId, payload: body.subarray(payload) };
}
