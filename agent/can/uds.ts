/**
 * UDS (ISO 14229-1:2020): service identifiers, negative response codes with their names, and the
 * small numbers that client and server share.
 */
import { udsP2Milliseconds, udsP2StarMilliseconds } from '../limits.ts';

export const service = {
  diagnosticSessionControl: 0x10,
  ecuReset: 0x11,
  readDataByIdentifier: 0x22,
  authentication: 0x29,
  writeDataByIdentifier: 0x2e,
  routineControl: 0x31,
  requestDownload: 0x34,
  transferData: 0x36,
  requestTransferExit: 0x37,
  requestFileTransfer: 0x38,
  testerPresent: 0x3e,
} as const;

export const session = { default: 1, programming: 2, extended: 3 } as const;
export const reset = { hard: 1, keyOffOn: 2, soft: 3 } as const;
export const routine = { start: 1, stop: 2, requestResults: 3 } as const;
/** Sub-functions of Authentication that this profile has: challenge and response, asymmetric. */
export const authentication = {
  deAuthenticate: 0x00,
  requestChallenge: 0x05,
  verifyProofOfOwnership: 0x06,
  configuration: 0x08,
} as const;
export const fileMode = { addFile: 1, resumeFile: 6 } as const;

/** Negative response codes (ISO 14229-1:2020, annex A.1). */
export const negative = {
  generalReject: 0x10,
  serviceNotSupported: 0x11,
  subFunctionNotSupported: 0x12,
  incorrectMessageLengthOrInvalidFormat: 0x13,
  responseTooLong: 0x14,
  busyRepeatRequest: 0x21,
  conditionsNotCorrect: 0x22,
  requestSequenceError: 0x24,
  requestOutOfRange: 0x31,
  securityAccessDenied: 0x33,
  authenticationRequired: 0x34,
  exceedNumberOfAttempts: 0x36,
  requiredTimeDelayNotExpired: 0x37,
  ownershipVerificationFailed: 0x58,
  uploadDownloadNotAccepted: 0x70,
  transferDataSuspended: 0x71,
  generalProgrammingFailure: 0x72,
  wrongBlockSequenceCounter: 0x73,
  requestCorrectlyReceivedResponsePending: 0x78,
  subFunctionNotSupportedInActiveSession: 0x7e,
  serviceNotSupportedInActiveSession: 0x7f,
} as const;

export const negativeResponse = 0x7f;
/** What a positive response adds to the service identifier. */
export const positiveOffset = 0x40;
/** Bit of the sub-function byte that asks for no positive response. */
export const suppressPositiveResponse = 0x80;

/** True for services whose second byte is a sub-function. */
export function hasSubFunction(serviceId: number): boolean {
  return (
    serviceId === service.diagnosticSessionControl ||
    serviceId === service.ecuReset ||
    serviceId === service.authentication ||
    serviceId === service.routineControl ||
    serviceId === service.testerPresent
  );
}

/** The standard's name of a negative response code, or its number in hexadecimal. */
export function negativeResponseName(code: number): string {
  const name = nameOf(negative, code);
  return name === undefined ? hexadecimal(code) : `${name} (${hexadecimal(code)})`;
}

/** The standard's name of a service, or its number in hexadecimal. */
export function serviceName(serviceId: number): string {
  return nameOf(service, serviceId) ?? `service ${hexadecimal(serviceId)}`;
}

/** `[0x7f, service, code]`. */
export function encodeNegativeResponse(serviceId: number, code: number): Uint8Array {
  return new Uint8Array([negativeResponse, serviceId, code]);
}

/** The sessionParameterRecord of 0x50: P2 in ms and P2* in 10 ms, both from the limits. */
export function sessionParameters(): Uint8Array {
  const record = new Uint8Array(4);
  writeUnsigned(record, 0, 2, udsP2Milliseconds);
  writeUnsigned(record, 2, 2, Math.floor(udsP2StarMilliseconds / 10));
  return record;
}

/** Reads `size` bytes (at most 8) big-endian; values past 2⁵³−1 give undefined. */
export function readUnsigned(bytes: Uint8Array, offset: number, size: number): number | undefined {
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + bytes[offset + i]!;
  return value <= Number.MAX_SAFE_INTEGER ? value : undefined;
}

/** Writes `value` into `size` bytes big-endian; throws when it does not fit. */
export function writeUnsigned(
  bytes: Uint8Array,
  offset: number,
  size: number,
  value: number,
): void {
  let rest = value;
  for (let i = size - 1; i >= 0; i--) {
    bytes[offset + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  if (rest !== 0) throw new RangeError(`value: ${value} does not fit ${size} bytes`);
}

/** The least number of bytes (at least 1) that hold `value`. */
export function unsignedSize(value: number): number {
  let size = 1;
  for (let rest = Math.floor(value / 256); rest > 0; rest = Math.floor(rest / 256)) size++;
  return size;
}

function nameOf(table: Readonly<Record<string, number>>, value: number): string | undefined {
  for (const name of Object.keys(table)) if (table[name] === value) return name;
  return undefined;
}

function hexadecimal(value: number): string {
  return `0x${value < 16 ? '0' : ''}${value.toString(16)}`;
}
