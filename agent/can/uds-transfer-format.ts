/**
 * The parameters of the UDS transfer services (ISO 14229-1:2020, §14): RequestDownload,
 * RequestFileTransfer with AddFile and ResumeFile, and their answers. Sizes may have up to 8 bytes
 * on the wire; their values are 0 … 2⁵³−1.
 */
import { type Refusal, refuse } from '../codes.ts';
import { maxFilenameCharacters } from '../limits.ts';
import { fileMode, negative, readUnsigned, service, unsignedSize, writeUnsigned } from './uds.ts';

export interface DownloadRequest {
  /** High nibble: compression method; low nibble: encryption method; 0: neither. */
  readonly dataFormat: number;
  readonly address: number;
  /** Bytes to be transferred, unless `dataFormat` says that they are packed. */
  readonly size: number;
}

export interface FileTransferRequest {
  /** 1: AddFile, 6: ResumeFile. */
  readonly mode: number;
  /** 1 … 128 printable ASCII characters; a name, never used as a path. */
  readonly path: string;
  readonly dataFormat: number;
  readonly uncompressedSize: number;
  /** Bytes to be transferred in all. */
  readonly compressedSize: number;
}

/** What the server granted: `position` is where a resumed file goes on. */
export interface TransferGrant {
  /** Bytes of a whole TransferData request, with service identifier and counter. */
  readonly maxBlockBytes: number;
  readonly position: number;
}

/** 0x34 with the address and size in as few bytes as they need. */
export function encodeDownloadRequest(request: DownloadRequest): Uint8Array {
  const addressSize = unsignedSize(request.address);
  const sizeSize = unsignedSize(request.size);
  const bytes = new Uint8Array(3 + addressSize + sizeSize);
  bytes[0] = service.requestDownload;
  bytes[1] = request.dataFormat;
  bytes[2] = sizeSize * 16 + addressSize;
  writeUnsigned(bytes, 3, addressSize, request.address);
  writeUnsigned(bytes, 3 + addressSize, sizeSize, request.size);
  return bytes;
}

/** Parses a whole 0x34 request, or gives the negative response code: 0x13 or 0x31. */
export function decodeDownloadRequest(bytes: Uint8Array): DownloadRequest | number {
  if (bytes.length < 5) return negative.incorrectMessageLengthOrInvalidFormat;
  const addressSize = bytes[2]! & 0x0f;
  const sizeSize = bytes[2]! >>> 4;
  if (addressSize < 1 || addressSize > 8 || sizeSize < 1 || sizeSize > 8) {
    return negative.requestOutOfRange;
  }
  if (bytes.length !== 3 + addressSize + sizeSize)
    return negative.incorrectMessageLengthOrInvalidFormat;
  const address = readUnsigned(bytes, 3, addressSize);
  const size = readUnsigned(bytes, 3 + addressSize, sizeSize);
  if (address === undefined) return negative.requestOutOfRange;
  if (size === undefined || size === 0) return negative.requestOutOfRange;
  return { dataFormat: bytes[1]!, address, size };
}

/** What follows 0x74 in the answer: the length format and maxNumberOfBlockLength. */
export function encodeDownloadGrant(maxBlockBytes: number): Uint8Array {
  const size = unsignedSize(maxBlockBytes);
  const bytes = new Uint8Array(1 + size);
  bytes[0] = size * 16;
  writeUnsigned(bytes, 1, size, maxBlockBytes);
  return bytes;
}

/** Parses what follows 0x74; refuses 'uds-malformed'. */
export function decodeDownloadGrant(bytes: Uint8Array): TransferGrant | Refusal {
  const size = bytes.length === 0 ? 0 : bytes[0]! >>> 4;
  if (size < 1 || size > 4) return rangeFault('lengthFormatIdentifier');
  if (bytes.length !== 1 + size) return lengthFault('answer to RequestDownload');
  return grant(readUnsigned(bytes, 1, size), 0);
}

/** 0x38 for AddFile and ResumeFile, both sizes in as few bytes as the larger needs. */
export function encodeFileTransferRequest(request: FileTransferRequest): Uint8Array {
  const { mode, path } = request;
  if (path.length < 1 || path.length > maxFilenameCharacters) {
    throw new RangeError(`path: expected 1 to ${maxFilenameCharacters} characters`);
  }
  const size = unsignedSize(Math.max(request.uncompressedSize, request.compressedSize));
  const bytes = new Uint8Array(6 + path.length + 2 * size);
  bytes[0] = service.requestFileTransfer;
  bytes[1] = mode;
  writeUnsigned(bytes, 2, 2, path.length);
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (!isPrintable(code)) throw new RangeError('path: expected printable ASCII text');
    bytes[4 + i] = code;
  }
  let at = 4 + path.length;
  bytes[at++] = request.dataFormat;
  bytes[at++] = size;
  writeUnsigned(bytes, at, size, request.uncompressedSize);
  writeUnsigned(bytes, at + size, size, request.compressedSize);
  return bytes;
}

/** Parses a whole 0x38 request of mode AddFile or ResumeFile, or gives 0x13 or 0x31. */
export function decodeFileTransferRequest(bytes: Uint8Array): FileTransferRequest | number {
  if (bytes.length < 5) return negative.incorrectMessageLengthOrInvalidFormat;
  const mode = bytes[1]!;
  if (mode !== fileMode.addFile && mode !== fileMode.resumeFile) {
    return negative.requestOutOfRange;
  }
  const pathLength = bytes[2]! * 256 + bytes[3]!;
  if (pathLength < 1 || pathLength > maxFilenameCharacters) return negative.requestOutOfRange;
  if (bytes.length < 6 + pathLength) return negative.incorrectMessageLengthOrInvalidFormat;
  let path = '';
  for (let i = 0; i < pathLength; i++) {
    const code = bytes[4 + i]!;
    if (!isPrintable(code)) return negative.requestOutOfRange;
    path += String.fromCharCode(code);
  }
  const at = 4 + pathLength;
  const size = bytes[at + 1]!;
  if (size < 1 || size > 8) return negative.requestOutOfRange;
  if (bytes.length !== at + 2 + 2 * size) return negative.incorrectMessageLengthOrInvalidFormat;
  const uncompressedSize = readUnsigned(bytes, at + 2, size);
  const compressedSize = readUnsigned(bytes, at + 2 + size, size);
  if (uncompressedSize === undefined || compressedSize === undefined || compressedSize === 0) {
    return negative.requestOutOfRange;
  }
  return { mode, path, dataFormat: bytes[at]!, uncompressedSize, compressedSize };
}

/** What follows 0x78 and the mode: block length, data format and, for ResumeFile, the position. */
export function encodeFileTransferGrant(
  request: FileTransferRequest,
  maxBlockBytes: number,
  position = 0,
): Uint8Array {
  const size = unsignedSize(maxBlockBytes);
  const resumed = request.mode === fileMode.resumeFile;
  const bytes = new Uint8Array(2 + size + (resumed ? 8 : 0));
  bytes[0] = size;
  writeUnsigned(bytes, 1, size, maxBlockBytes);
  bytes[1 + size] = request.dataFormat;
  if (resumed) writeUnsigned(bytes, 2 + size, 8, position);
  return bytes;
}

/** Parses what follows 0x78 and the mode; refuses 'uds-malformed'. */
export function decodeFileTransferGrant(mode: number, bytes: Uint8Array): TransferGrant | Refusal {
  const size = bytes.length === 0 ? 0 : bytes[0]!;
  if (size < 1 || size > 4) return rangeFault('lengthFormatIdentifier');
  const resumed = mode === fileMode.resumeFile;
  if (bytes.length !== 2 + size + (resumed ? 8 : 0)) {
    return lengthFault('answer to RequestFileTransfer');
  }
  const position = resumed ? readUnsigned(bytes, 2 + size, 8) : 0;
  return grant(readUnsigned(bytes, 1, size), position);
}

function grant(
  maxBlockBytes: number | undefined,
  position: number | undefined,
): TransferGrant | Refusal {
  // Service identifier, counter and at least one byte.
  if (maxBlockBytes === undefined || maxBlockBytes < 3) return rangeFault('block length');
  if (position === undefined) return rangeFault('filePosition');
  return { maxBlockBytes, position };
}

function isPrintable(code: number): boolean {
  return code >= 0x20 && code <= 0x7e;
}

function lengthFault(what: string): Refusal {
  return refuse('uds-malformed', `length of ${what}`);
}

function rangeFault(what: string): Refusal {
  return refuse('uds-malformed', `range of ${what}`);
}
