/**
 * Captures that Wireshark and tshark read: libpcap's file format with link type 227
 * (LINKTYPE_CAN_SOCKETCAN), whose packets are SocketCAN frames with a big-endian identifier.
 */
import { flexibleDataFlag, type StampedFrame } from './bus-frame.ts';

const magicMicroseconds = 0xa1b2c3d4;
const linkType = 227;
const packetHeaderBytes = 16;
const frameHeaderBytes = 8;
const maxPacketBytes = frameHeaderBytes + 64;

/** What a capture begins with. */
export function encodeFileHeader(): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(magicMicroseconds, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(maxPacketBytes, 16);
  header.writeUInt32LE(linkType, 20);
  return header;
}

/** One packet with its header. */
export function encodePacket({ frame, microseconds }: StampedFrame): Buffer {
  const size = frameHeaderBytes + frame.data.length;
  const packet = Buffer.alloc(packetHeaderBytes + size);
  packet.writeUInt32LE(Math.floor(microseconds / 1_000_000), 0);
  packet.writeUInt32LE(microseconds % 1_000_000, 4);
  packet.writeUInt32LE(size, 8);
  packet.writeUInt32LE(size, 12);
  packet.writeUInt32BE(frame.canId, 16);
  packet[20] = frame.length;
  // FDF tells an FD frame of 8 bytes or less from a classic one.
  if (frame.flexibleDataFlags !== undefined) {
    packet[21] = flexibleDataFlag + (frame.flexibleDataFlags % flexibleDataFlag);
  }
  packet.set(frame.data, packetHeaderBytes + frameHeaderBytes);
  return packet;
}
