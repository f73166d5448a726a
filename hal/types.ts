/**
 * The hardware abstraction: what a platform gives the agent. Shapes follow ECMA-419 (flash,
 * key-value, callbacks named `on…`); CAN, boot and crypto are added in the same style.
 *
 * Everything is synchronous except CAN and net, which deliver events by callback. Callbacks are
 * never called from inside a method of the same object.
 *
 * One file, although a long one: it imports nothing and is all that the agent knows of a platform, so
 * whoever brings a new one reads it from top to bottom and is done.
 */

/** Geometry of a flash partition; offsets and lengths are in bytes, blocks are numbered from 0. */
export interface FlashStatus {
  readonly size: number;
  readonly blocks: number;
  readonly blockLength: number;
  /** `write` takes offsets and lengths that are multiples of this. */
  readonly writeAlign: number;
  /** What an erased byte reads as: 0xff on NOR. */
  readonly eraseValue: number;
  /** An erase or write is still running; any call but `status` and `sync` throws meanwhile. */
  readonly busy: boolean;
}

/** Version of the interfaces in this file; raised when an agent built for an older one would fail. */
export const halInterfaceVersion = 1;

/** One partition of a flash part. Violations of the part's rules throw: they are bugs. */
export interface FlashPartition {
  status(): FlashStatus;
  /** Erases blocks `from` up to but not including `to` (default: one block). */
  eraseBlock(from: number, to?: number): void;
  /** Fills `buffer` from `offset`. */
  read(buffer: Uint8Array, offset: number): void;
  /**
   * Programs `buffer` at `offset`: erased bits only, aligned to `writeAlign`. The bytes are taken
   * when it returns, even when the part is busy with them afterwards.
   */
  write(buffer: Uint8Array, offset: number): void;
  /**
   * True when all of these bytes read as erased: a program that looked byte by byte would spend on that
   * most of its time.
   */
  isErased(offset: number, length: number): boolean;
  /**
   * SHA-256 of the bytes from `from` up to but not including `to`, where the platform reads and hashes
   * in native code; absent where the program has to.
   */
  readonly sha256?: ((from: number, to: number) => Uint8Array) | undefined;
  /** Returns when everything written or erased before is durable, in every partition of the part. */
  sync(): void;
  /** Called when a busy part has finished. */
  onReady: (() => void) | undefined;
  close(): void;
}

export interface Flash {
  /** Opens a partition by its name in the board's flash map; unknown names throw. */
  open(options: { readonly path: string }): FlashPartition;
}

/** Small durable values. `write` is atomic across power loss and durable when it returns. */
export interface KeyValue {
  read(key: string): Uint8Array | undefined;
  write(key: string, value: Uint8Array): void;
  delete(key: string): void;
}

/** A frame in SocketCAN's terms; `data` is 0 … 8 bytes, or 0 … 64 (FD lengths) with FD. */
export interface CanFrame {
  readonly identifier: number;
  readonly extended: boolean;
  readonly flexibleData: boolean;
  readonly bitRateSwitch: boolean;
  readonly data: Uint8Array;
}

export interface CanOptions {
  /** Interface name in the board's description. */
  readonly port: string;
  /** Identifiers to receive; all when absent. */
  readonly filters?: readonly number[];
  /** `count` frames are waiting. */
  readonly onReadable: (count: number) => void;
  /** `count` frames may be written. */
  readonly onWritable?: (count: number) => void;
  readonly onError?: (error: Error) => void;
}

export interface CanPort {
  read(): CanFrame | undefined;
  /** Frames that `write` accepts now, 0 before the bus is reached; `onWritable` follows once it was 0. */
  readonly writable: number;
  /** Queues one frame; throws when `writable` is 0 or the frame is malformed. */
  write(frame: CanFrame): void;
  close(): void;
}

export interface Can {
  open(options: CanOptions): CanPort;
}

/** What is known of the time of day. */
export interface KnownTime {
  /** Unix seconds; 0 when nothing is known. */
  readonly seconds: number;
  /** True: attested since the start, it is now. False: only a lower bound, now may be long after. */
  readonly attested: boolean;
}

/** How a device shows who it is: X.509 certificates in DER, its own first, and its P-256 scalar. */
export interface TlsIdentity {
  readonly chain: readonly Uint8Array[];
  /** 32 bytes. */
  readonly privateKey: Uint8Array;
}

/**
 * TLS 1.2 (ECDHE-ECDSA, AES-GCM) or 1.3 as a client. The server's chain is its certificate and at
 * most `maxTlsIntermediates` (agent/limits.ts) others; issuers are CA certificates, all keys P-256.
 */
export interface TlsOptions {
  /** The DNS name that the server's certificate has to bear; also sent to it (SNI). */
  readonly serverName: string;
  /**
   * CA certificates in DER that the server's chain has to end at. Trusted for their subject and key:
   * nothing else of them is judged, not their validity either.
   */
  readonly trustAnchors: readonly Uint8Array[];
  /** Absent: only the server is authenticated, as for enrolment. */
  readonly identity?: TlsIdentity;
  /**
   * Judges the validity of the server's chain: a `notAfter` before `seconds` is refused; a
   * `notBefore` after it only when the time is attested.
   */
  readonly time: KnownTime;
  /**
   * Status of an earlier connection with the same options but for the time, to be resumed where the
   * server agrees. The caller has judged its bounds; the platform does not.
   */
  readonly resume?: TlsStatus;
}

/** What a TLS connection came to; a plain value that outlives it. */
export interface TlsStatus {
  readonly resumed: boolean;
  /** Latest `notBefore` and earliest `notAfter` of the server's chain, in unix seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Opaque, at most `maxTlsSessionBytes`; undefined while the server has given nothing to resume. */
  readonly session: Uint8Array | undefined;
}

/** Codes of agent/codes.ts by which a platform says why there is no TLS connection, or none any more. */
export type TlsRefusal =
  /** The server's chain does not end at a trust anchor, is broken, or not a server's. */
  | 'tls-untrusted'
  /** The server's certificate bears another name. */
  | 'tls-name'
  | 'tls-certificate-expired'
  | 'tls-not-yet-valid'
  /** The server does not accept this device's certificate (an alert about certificates). */
  | 'tls-refused'
  /** Everything else: no TLS, no common version or suite, a broken record, cut off within. */
  | 'tls-malformed';

export interface SocketError extends Error {
  /** Why TLS failed; absent when the network did. */
  readonly refused?: TlsRefusal;
}

export interface SocketOptions {
  readonly host: string;
  readonly port: number;
  /** Absent: plain TCP. */
  readonly tls?: TlsOptions;
  /** With TLS: the handshake is done and the server's chain was accepted. */
  readonly onConnect: () => void;
  /** Bytes are waiting. */
  readonly onReadable: () => void;
  readonly onWritable?: () => void;
  /** The peer ended the stream; what was received may still be read. */
  readonly onEnd: () => void;
  /** The connection failed; with TLS also after `onConnect`, since 1.3 judges clients later. */
  readonly onError: (error: SocketError) => void;
}

export interface Socket {
  /** From `onConnect` to `close`; the session may come with what is received later (TLS 1.3). */
  readonly tls?: TlsStatus | undefined;
  /** Copies up to `buffer.length` received bytes; returns how many (0: none waiting). */
  read(buffer: Uint8Array): number;
  /** Returns how many bytes were taken (0: wait for `onWritable`). */
  write(buffer: Uint8Array): number;
  /** Idempotent; no callback follows. */
  close(): void;
}

export interface Net {
  connect(options: SocketOptions): Socket;
}

export type DigestAlgorithm = 'SHA-256' | 'SHA-512';

export interface Digest {
  update(bytes: Uint8Array): void;
  /** Ends the digest; later calls throw. */
  finish(): Uint8Array;
}

/**
 * Public keys and signatures in their standards' raw form. ESP256/ESP384: uncompressed point
 * (65/97 B), signature r‖s (64/96 B). ML-DSA (FIPS 204) and SLH-DSA (FIPS 205): their byte strings.
 */
export type SignatureAlgorithm =
  | 'ESP256'
  | 'ESP384'
  | 'ML-DSA-44'
  | 'ML-DSA-65'
  | 'ML-DSA-87'
  | 'SLH-DSA-SHA2-128s';

/** GEN-02: one-shot functions on byte buffers. Malformed keys and signatures give `false`, never throw. */
export interface Crypto {
  digest(algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array;
  createDigest(algorithm: DigestAlgorithm): Digest;
  hmac(algorithm: DigestAlgorithm, key: Uint8Array, message: Uint8Array): Uint8Array;
  /** `context` is the FIPS 204/205 context string; it must be empty for ECDSA. */
  verify(
    algorithm: SignatureAlgorithm,
    publicKey: Uint8Array,
    message: Uint8Array,
    signature: Uint8Array,
    context?: Uint8Array,
  ): boolean;
  /** Signs with an ECU's own key: `privateKey` is the 32-byte P-256 scalar; returns r‖s. */
  sign(algorithm: 'ESP256', privateKey: Uint8Array, message: Uint8Array): Uint8Array;
  /**
   * AES-256-GCM. Writes the plaintext to `out` (ciphertext length − 16 bytes, may be the same
   * buffer) and returns true only when the tag is right; otherwise `out` holds no plaintext.
   */
  aeadOpen(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    ciphertextAndTag: Uint8Array,
    out: Uint8Array,
  ): boolean;
  /** AES-256-GCM; returns ciphertext‖tag. */
  aeadSeal(
    key: Uint8Array,
    nonce: Uint8Array,
    additionalData: Uint8Array,
    plaintext: Uint8Array,
  ): Uint8Array;
  /** MLKEM768-P256 (CFRG hybrid): shared secret (32 B), or undefined for malformed input. */
  decapsulate(privateKey: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
  /** MLKEM768-P256: `{ ciphertext, sharedSecret }` for a public key of 1,249 bytes. */
  encapsulate(
    publicKey: Uint8Array,
  ): { readonly ciphertext: Uint8Array; readonly sharedSecret: Uint8Array } | undefined;
}

export interface Random {
  /** `count` bytes from the platform's cryptographic source; throws when there is no entropy. */
  bytes(count: number): Uint8Array;
}

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since start; never goes back. Time of day comes from attestations only. */
  monotonic(): number;
  after(milliseconds: number, callback: () => void): Timer;
}

/** What the boot control knows of one slot's image. */
export interface SlotImage {
  readonly filename: string;
  readonly releaseCounter: number;
  /** Plaintext length in bytes. */
  readonly length: number;
  /** SHA-256 of the plaintext in the slot, 32 bytes. */
  readonly sha256: Uint8Array;
}

/**
 * Why an image lost its place: its starts were used up (power loss, crash), and so on; `withdrawn`:
 * it passed, but another ECU of its bundle did not.
 */
export type RollbackReason =
  | 'unconfirmed'
  | 'watchdog'
  | 'self-test'
  | 'image-damaged'
  | 'withdrawn';

/** How often the trial of one image has failed; kept until another image fails or one is confirmed. */
export interface FailedTrials {
  readonly releaseCounter: number;
  /** SHA-256 of the image's plaintext. */
  readonly sha256: Uint8Array;
  readonly count: number;
}

export interface BootStatus {
  /** The slot that is running now (0 or 1). */
  readonly active: number;
  /** The slot that boots when nothing is pending. */
  readonly confirmed: number;
  /** The slot on trial, not yet confirmed. */
  readonly pending: number | undefined;
  readonly attemptsRemaining: number;
  /** Least release counter that may be installed (HRD-04); rises only at confirmation. */
  readonly counter: number;
  readonly slots: readonly [SlotImage | undefined, SlotImage | undefined];
  /** The image whose trial ended without confirmation, until `acknowledge` (truthful report). */
  readonly rolledBack: SlotImage | undefined;
  /** Why; present with `rolledBack`. */
  readonly rollbackReason: RollbackReason | undefined;
  readonly failedTrials: FailedTrials | undefined;
  /** The boot record was lost and made again from the journal's copy; until `acknowledge`. */
  readonly recovered: boolean;
}

/** Boot control of one slot pair. Every change is one atomic, durable record. */
export interface Boot {
  status(): BootStatus;
  /** Sets `image` in `slot` to be tried at the next start, `attempts` times at most. */
  activate(slot: number, image: SlotImage, attempts: number): void;
  /** Makes the running trial image the confirmed one and raises the counter to its release. */
  confirm(): void;
  /** While a trial runs: so many more starts of the image, which stays unconfirmed (DBP-18). */
  extendTrial(attempts: number): void;
  /**
   * Gives up the pending image; the confirmed one boots. Counts as a failed trial of the image,
   * unless it was withdrawn.
   */
  rollback(reason: RollbackReason): void;
  /** Forgets `rolledBack` and `recovered`, once they are to be reported. */
  acknowledge(): void;
}

/** A running watchdog: when it is not fed in time, the ECU restarts. */
export interface WatchdogTimer {
  /** The time begins anew. */
  feed(): void;
  /** Stops it; the ECU is not restarted any more. */
  close(): void;
}

/**
 * Restarts an ECU whose program hangs, which no timer of the program itself can. The bootloader
 * opens it before it starts an image on trial, so that one hanging at its first line is caught too.
 */
export interface Watchdog {
  /** Starts it, or lets one that runs go on with the new time. `timeout` is in milliseconds. */
  open(options: { readonly timeout: number }): WatchdogTimer;
  /** The watchdog caused the restart before this run, not the power nor `reboot`. */
  readonly expired: boolean;
}

/**
 * A removable medium with files for offline updates (PURE-2), read only. Names are `FOLDER/FILE`,
 * of letters, digits and `- . _`. It may be absent, and be removed at any moment.
 */
export interface Medium {
  /** Length of a file in bytes; undefined when there is no such file, or no medium. */
  length(name: string): number | undefined;
  /** Fills `buffer` from `offset` of the file; false when the medium does not give all of it. */
  read(name: string, buffer: Uint8Array, offset: number): boolean;
}

/**
 * The platform's own program, engine and HAL, where it can be replaced over the air (kind `runtime`).
 * Its images lie in a slot pair of their own; the program on the board has chosen one and started it.
 */
export interface RuntimeProgram {
  readonly boot: Boot;
  /** Release number that the running program was built as. */
  readonly release: number;
  /** No slot holds its image, and the program that was put on the board by hand runs instead. */
  readonly replaced: boolean;
}

/** What a platform offers an image that runs beside the agent (a hosted ECU's firmware). */
export interface HostedFirmware {
  /** Starts the firmware in `slot` and tests it; false makes the trial roll back. */
  selfTest(ecuId: string, slot: number): boolean;
}

export interface Board {
  /** Program format that this platform's bootloader runs; 0: ECMAScript source text. */
  readonly bytecodeVersion: number;
  /** Version of the interfaces in this file that the platform implements. */
  readonly halVersion: number;
  /** Restarts this ECU; does not return control to the program. */
  reboot(): void;
  /** Free text for a person: one line of what happens, with a stable first word. */
  log(line: string): void;
}

/** Where one ECU's update is; `trial` to `confirmed` are the new image's first start. */
export type UpdateStage =
  | 'download'
  | 'downloaded'
  | 'transfer'
  | 'install'
  | 'checked'
  | 'trial'
  | 'passed'
  | 'confirmed'
  | 'failed';

export interface EcuProgress {
  readonly ecuId: string;
  readonly stage: UpdateStage;
  /** Bytes done in this stage, of how many. */
  readonly bytes: number;
  readonly of: number;
}

/** What would be installed; `length` is the image's in bytes. */
export interface ConsentQuestion {
  readonly images: readonly {
    readonly ecuId: string;
    readonly filename: string;
    readonly releaseCounter: number;
    readonly length: number;
  }[];
}

/** The vehicle around a Primary: who watches an update, and who may put it off. */
export interface VehicleInterface {
  /** Every ECU with an update under way, after each change. */
  progress(ecus: readonly EcuProgress[]): void;
  /** Asked before anything is installed; `no` ends this bundle, `later` is asked again. */
  consent(question: ConsentQuestion): 'yes' | 'no' | 'later';
}

/** Everything a program of the agent gets. */
export interface Hal {
  readonly flash: Flash;
  /** Boot control of the agent's own slot pair; the bootloader has chosen the running slot. */
  readonly boot: Boot;
  /** Absent where the program is never replaced, or its boot record is lost. */
  readonly runtime?: RuntimeProgram;
  readonly keyValue: KeyValue;
  readonly can: Can;
  readonly net: Net;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly clock: Clock;
  readonly watchdog: Watchdog;
  readonly hosted: HostedFirmware;
  /** Absent where nothing can be plugged in. */
  readonly medium?: Medium;
  readonly board: Board;
  /** A Primary's; without it nobody watches, and consent is given. */
  readonly vehicle?: VehicleInterface;
}
