/**
 * The primitives that the host program in C gives (engine/*.c): plain values in, plain values out.
 * Wrong arguments throw; policy stands in the other files of this folder.
 */

import type { TlsRefusal } from '../types.ts';

export interface NativeDigest {
  update(bytes: Uint8Array): void;
  finish(): Uint8Array;
}

export interface NativeFlash {
  read(buffer: Uint8Array, offset: number): void;
  program(buffer: Uint8Array, offset: number): void;
  erase(offset: number, length: number): void;
  isErased(offset: number, length: number): boolean;
  sha256(offset: number, length: number): Uint8Array;
  sync(): void;
  close(): void;
  /**
   * Whether the bytecode in the flash is that of `slot`: true, and it is what `loadProgram` loads;
   * undefined: its SHA-256 is another; false: its version.
   */
  proveProgram(
    slot: number,
    offset: number,
    length: number,
    sha256: Uint8Array,
  ): boolean | undefined;
  /** Replaces the file as a whole by these bytes of the flash, durably; false unless they are right. */
  copyProgram(offset: number, length: number, sha256: Uint8Array, path: string): boolean;
}

export interface NativeKeyValue {
  read(name: string): Uint8Array | undefined;
  write(name: string, value: Uint8Array): void;
  delete(name: string): void;
}

export interface NativeCanFrame {
  readonly identifier: number;
  readonly extended: boolean;
  readonly flexibleData: boolean;
  readonly bitRateSwitch: boolean;
  readonly data: Uint8Array;
}

export interface NativeCanPort {
  read(): NativeCanFrame | undefined;
  readonly writable: number;
  write(frame: NativeCanFrame): void;
  close(): void;
}

export interface NativeSocket {
  read(buffer: Uint8Array): number;
  write(buffer: Uint8Array): number;
  close(): void;
}

/** A TLS layer over a socket; every failure is seen in `refused`. */
export interface NativeTls {
  /** Moves bytes between the layer and the socket until neither has any, or room for them. */
  exchange(socket: NativeSocket): void;
  /** Application bytes. */
  read(buffer: Uint8Array): number;
  /** Bytes taken into the next record, which `exchange` sends. */
  write(buffer: Uint8Array): number;
  /** After it, `exchange` tells the server that nothing more comes. */
  end(): void;
  close(): void;
  /** What resumes the session; undefined when the server gave none. */
  session(): Uint8Array | undefined;
  /** The handshake is done and the server's chain accepted. */
  readonly open: boolean;
  /** The server has ended the connection, or it failed. */
  readonly over: boolean;
  readonly resumed: boolean;
  /** Bytes that wait for `read`. */
  readonly readable: number;
  readonly writable: boolean;
  /** Of the server's chain, in unix seconds; not of a resumed session. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly refused: TlsRefusal | undefined;
  /** For a person: BearSSL's number of the error; alerts from 256 (received) and 512 (sent). */
  readonly errorNumber: number;
}

export interface Native {
  /** The ECU's description, JSON. */
  readonly description: string;
  /** Version of the bytecode that this engine runs. */
  readonly bytecodeVersion: number;
  /** The watchdog ended the run before. */
  readonly watchdogExpired: boolean;

  /** Release number that this program was built as. */
  readonly programRelease: number;
  /** The slot whose file this is; absent for the program on the board, which starts the others. */
  readonly programSlot?: 0 | 1;
  /** The file (undefined: of the running program) holds these bytes and no more. */
  isProgram(path: string | undefined, length: number, sha256: Uint8Array): boolean;
  /** Runs the file in place of this program; returns only when it cannot be run. */
  startProgram(path: string, slot: number): void;
  /** Bytes of a file or device, fewer at its end; undefined when it cannot be read. */
  readRange(path: string, offset: number, length: number): Uint8Array | undefined;
  /** Overwrites bytes of a file or device, durably; throws when that fails. */
  writeRange(path: string, offset: number, bytes: Uint8Array): void;
  /** Replaces a file as a whole, durably; throws when that fails. */
  replaceDurably(path: string, bytes: Uint8Array): void;
  /** Like `reboot`, with a word for the loader of the machine. */
  restartMachine(argument: string | undefined): never;
  /** The bootloader's last word to main.ts: the slot whose image this program is. */
  chooseProgram(slot: number, replaced: boolean): void;
  /** What was said so; absent where nothing was. */
  readonly chosenSlot?: 0 | 1;
  readonly programReplaced: boolean;

  /** `algorithm`: 0 SHA-256, 1 SHA-512. */
  digest(algorithm: number, bytes: Uint8Array): Uint8Array;
  createDigest(algorithm: number): NativeDigest;
  hmac(algorithm: number, key: Uint8Array, message: Uint8Array): Uint8Array;
  /** `parameterSet`: 256, 384 (ECDSA), 44, 65, 87 (ML-DSA), 128 (SLH-DSA-SHA2-128s). */
  verify(
    parameterSet: number,
    publicKey: Uint8Array,
    message: Uint8Array,
    signature: Uint8Array,
    context: Uint8Array,
  ): boolean;
  sign(privateKey: Uint8Array, message: Uint8Array): Uint8Array;
  aeadOpen(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    ciphertextAndTag: Uint8Array,
    out: Uint8Array,
  ): boolean;
  aeadSeal(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array;
  decapsulate(seed: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
  /** Ciphertext (1,153 bytes) and shared secret (32) in one array. */
  encapsulate(publicKey: Uint8Array): Uint8Array | undefined;
  randomBytes(count: number): Uint8Array;

  openFlash(path: string, size: number, blockLength: number, eraseValue: number): NativeFlash;
  /** Runs the program that was proved, which defines `agent`; returns its slot. */
  loadProgram(): number;
  openKeyValue(folder: string): NativeKeyValue;
  openCan(
    address: string,
    filters: readonly number[] | undefined,
    onReadable: (count: number) => void,
    onWritable: ((count: number) => void) | undefined,
    onError: ((error: Error) => void) | undefined,
  ): NativeCanPort;
  /** Absent in programs that are built without network. */
  readonly connect?: (
    host: string,
    port: number,
    onConnect: () => void,
    onReadable: () => void,
    onWritable: (() => void) | undefined,
    onEnd: () => void,
    onError: (error: Error) => void,
  ) => NativeSocket;

  /** Absent like `connect`, as the four functions after it. Replaces a file as a whole. */
  readonly replaceFile?: (path: string, text: string) => void;
  /** Exit status of a program with this standard input; -1 when it has none in time. */
  readonly ask?: (program: string, input: string, milliseconds: number) => number;
  /** Length of a file below the folder; -1 when there is none. */
  readonly mediumLength?: (folder: string, name: string) => number;
  readonly mediumRead?: (
    folder: string,
    name: string,
    buffer: Uint8Array,
    offset: number,
  ) => boolean;
  /**
   * Absent like `connect`. Certificates are DER, one behind the other; those of the server have to
   * end at `endsAfter` or later and begin at `beginsBefore` or earlier (unix seconds).
   */
  readonly createTls?: (
    serverName: string,
    trustAnchors: Uint8Array,
    chain: Uint8Array | undefined,
    privateKey: Uint8Array | undefined,
    session: Uint8Array | undefined,
    endsAfter: number,
    beginsBefore: number,
  ) => NativeTls;

  monotonic(): number;
  after(milliseconds: number, callback: () => void): number;
  cancel(timer: number): void;
  log(line: string): void;
  reboot(): never;
  exit(status: number): never;
  command(program: string, first: string, second: string): number;
  watchdog(seconds: number): boolean;
}
