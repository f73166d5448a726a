/**
 * A PKCS#11 token that makes and keeps P-256 keys and signs with them (CKM_EC_KEY_PAIR_GEN,
 * CKM_ECDSA); the keys never leave it.
 *
 * Tokens lock themselves after a few wrong PINs, and what restarts this server must not use them up.
 * So a PIN that was refused is not tried again, and a server that never logged in does not try where
 * the token says that somebody's last PIN was wrong: a person does (`ota token`).
 */
import { randomBytes } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import { SignerUnavailable } from '../online-keys.ts';
import { helperPath, operations, results, TokenError, TokenHelper } from './token-helper.ts';

/** Flags of CK_TOKEN_INFO. */
const flags = { pinCountLow: 0x10000, pinFinalTry: 0x20000, pinLocked: 0x40000 } as const;

/** Length of a key's CKA_ID. */
export const tokenKeyIdBytes = 16;
const pointBytes = 65;
/** In a CKA_EC_POINT, the OCTET STRING around the point; some tokens leave it away. */
const octetString = Buffer.from([0x04, pointBytes]);
/**
 * Between two attempts to reach a token that could not be reached, at least; and how many times as
 * long as the attempt took, so that one which hangs holds nobody up most of the time.
 */
const pauseMilliseconds = 1_000;
const pauseFactor = 4;

export interface TokenSettings {
  /** Path of the vendor's PKCS#11 library. */
  readonly module: string;
  /** The token's label, which tells it from others of the module. */
  readonly label: string;
  readonly pin: string;
  /** The compiled token-helper.c, where it is not at its place. */
  readonly helper?: string;
}

export interface TokenOptions {
  /** A person has asked: one more PIN may be tried although the last one was wrong. */
  readonly byPerson?: boolean;
  /** Keys will be made or destroyed. */
  readonly writable?: boolean;
}

/** A key in the token. */
export interface TokenKeyInfo {
  /** P-256 point, 65 bytes. */
  readonly point: Uint8Array;
  /** False for a key that the token would give away. */
  readonly guarded: boolean;
}

interface Connection {
  readonly helper: TokenHelper;
  /** By CKA_ID in hex: handles are worth something in this session only. */
  readonly keys: Map<string, TokenKeyInfo & { readonly handle: Uint8Array }>;
}

export class Token {
  private readonly settings: TokenSettings;
  private readonly options: TokenOptions;
  private connection: Connection | undefined;
  private connecting: Promise<Connection | Refusal> | undefined;
  /** Stands for good after a refused PIN, else for a while. */
  private refused: { readonly refusal: Refusal; readonly until: number } | undefined;
  /** This PIN has opened the token before. */
  private proven = false;
  /** This PIN was tried, and was not the token's. */
  private pinRefused = false;

  constructor(settings: TokenSettings, options: TokenOptions = {}) {
    this.settings = settings;
    this.options = options;
  }

  /**
   * Logs in, so that what is wrong is known before it is needed.
   * @returns codes `token-pin-refused`, `signer-unavailable`, `configuration-invalid`
   */
  async open(): Promise<Refusal | undefined> {
    const connection = await this.connect();
    return isRefusal(connection) ? connection : undefined;
  }

  /** How often a PIN was shown to the token. */
  attempts = 0;

  /** For tests, which end it. */
  get processId(): number | undefined {
    return this.connection?.helper.processId;
  }

  /**
   * Makes a P-256 key that stays in the token.
   * @param label what a person reads in a list of the token's keys
   * @returns its CKA_ID; codes of `open`
   */
  async generate(label: string): Promise<Uint8Array | Refusal> {
    const id = new Uint8Array(randomBytes(tokenKeyIdBytes));
    const made = await this.attempt(({ helper }) => {
      return helper.call(operations.generate, Buffer.from(label), id);
    });
    return isRefusal(made) ? made : id;
  }

  /** A key by its CKA_ID. Codes of `open`, and `key-file-invalid`: there is no such P-256 key. */
  async key(id: Uint8Array): Promise<TokenKeyInfo | Refusal> {
    return await this.attempt((connection) => find(connection, id));
  }

  /** Destroys a key, of which there may be nothing left. Codes of `open`. */
  async destroy(id: Uint8Array): Promise<Refusal | undefined> {
    const gone = await this.attempt(({ helper, keys }) => {
      keys.delete(Buffer.from(id).toString('hex'));
      return helper.call(operations.destroy, id);
    });
    return isRefusal(gone) ? gone : undefined;
  }

  /**
   * Signs by the key of a CKA_ID. Rejects with `SignerUnavailable`.
   * @param digest SHA-256 of the message
   * @returns r | s, 64 bytes
   */
  async sign(id: Uint8Array, digest: Uint8Array): Promise<Uint8Array> {
    const signed = await this.attempt(async (connection) => {
      const key = await find(connection, id);
      if (isRefusal(key)) return key;
      const [signature] = await connection.helper.call(operations.sign, key.handle, digest);
      return new Uint8Array(signature!);
    });
    if (isRefusal(signed)) throw new SignerUnavailable(`${signed.refused}: ${signed.detail}`);
    return signed;
  }

  /** Gives the session up, so that the next call begins a new one. */
  close(): void {
    this.connection?.helper.close();
    this.connection = undefined;
  }

  /** Whatever goes wrong ends the session: a token that was pulled out and put back is found again. */
  private async attempt<T>(act: (connection: Connection) => Promise<T>): Promise<T | Refusal> {
    const connection = await this.connect();
    if (isRefusal(connection)) return connection;
    try {
      return await act(connection);
    } catch (error) {
      if (error instanceof TokenError) connection.helper.close();
      else if (!(error instanceof SignerUnavailable)) throw error;
      return refuse('signer-unavailable', (error as Error).message);
    }
  }

  private async connect(): Promise<Connection | Refusal> {
    if (this.connection !== undefined && this.connection.helper.ending === undefined) {
      return this.connection;
    }
    this.connecting ??= this.begin().finally(() => {
      this.connecting = undefined;
    });
    return await this.connecting;
  }

  private async begin(): Promise<Connection | Refusal> {
    this.connection = undefined;
    if (this.refused !== undefined && performance.now() < this.refused.until) {
      return this.refused.refusal;
    }
    const begun = performance.now();
    const opened = await this.logIn();
    if (!isRefusal(opened)) {
      this.proven = true;
      this.refused = undefined;
      this.connection = opened;
      return opened;
    }
    const now = performance.now();
    const pause = Math.max(pauseMilliseconds, pauseFactor * (now - begun));
    const until = this.pinRefused ? Number.POSITIVE_INFINITY : now + pause;
    this.refused = { refusal: opened, until };
    return opened;
  }

  private async logIn(): Promise<Connection | Refusal> {
    const { module, label, pin, helper: program = helperPath } = this.settings;
    if (!isThere(program, constants.X_OK)) {
      const advice = 'make token-helper builds it';
      return refuse('configuration-invalid', `${program}: no such program; ${advice}`);
    }
    if (!isThere(module, constants.R_OK)) {
      return refuse('configuration-invalid', `OTA_PKCS11_MODULE: ${module}: cannot be read`);
    }
    const helper = new TokenHelper(program, module, process.env);
    const writable = Uint8Array.of(this.options.writable === true ? 1 : 0);
    let refusal: Refusal | undefined;
    try {
      const [answer] = await helper.call(operations.select, Buffer.from(label), writable);
      refusal = this.whyNotTry(answer!.readUInt32BE(0));
      if (refusal === undefined) {
        this.attempts += 1;
        await helper.call(operations.login, Buffer.from(pin));
        return { helper, keys: new Map() };
      }
    } catch (error) {
      refusal = refusalOf(error, label);
      this.pinRefused = refusal.refused === 'token-pin-refused';
    }
    helper.close();
    return refusal;
  }

  private whyNotTry(state: number): Refusal | undefined {
    const { label } = this.settings;
    if (state & flags.pinLocked) {
      return refuse('token-pin-refused', `token '${label}': its PIN is locked; unlock it first`);
    }
    if (this.options.byPerson) return undefined;
    // A PIN that has been right may be tried once more, unless that would be the last time.
    const risky = this.proven ? flags.pinFinalTry : flags.pinCountLow | flags.pinFinalTry;
    if ((state & risky) === 0) return undefined;
    const advice = 'nothing was tried; see that OTA_PKCS11_PIN is right by: ota token';
    return refuse('token-pin-refused', `token '${label}': the last PIN was wrong; ${advice}`);
  }
}

function refusalOf(error: unknown, label: string): Refusal {
  if (error instanceof SignerUnavailable) return refuse('signer-unavailable', error.message);
  if (!(error instanceof TokenError)) throw error;
  switch (error.result) {
    case results.noneMatches:
      return refuse('signer-unavailable', `no token '${label}' (OTA_PKCS11_TOKEN) is there`);
    case results.severalMatch:
      return refuse('configuration-invalid', `OTA_PKCS11_TOKEN: several tokens have '${label}'`);
    case results.pinIncorrect:
    case results.pinLengthRange:
    case results.pinExpired:
    case results.pinLocked:
    case results.pinNotInitialized: {
      const why = `refuses OTA_PKCS11_PIN (0x${error.result.toString(16)}); it is not tried again`;
      return refuse('token-pin-refused', `token '${label}' ${why}`);
    }
    default:
      return refuse('signer-unavailable', `token '${label}': ${error.message}`);
  }
}

async function find({ helper, keys }: Connection, id: Uint8Array) {
  const name = Buffer.from(id).toString('hex');
  const known = keys.get(name);
  if (known !== undefined) return known;
  let answer: readonly Buffer[];
  try {
    answer = await helper.call(operations.find, id);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    const { result } = error;
    if (result === results.noneMatches || result === results.severalMatch) {
      const many = result === results.noneMatches ? 'no key' : 'several keys';
      return refuse('key-file-invalid', `the token has ${many} of CKA_ID ${name}`);
    }
    throw error;
  }
  const [handle, encoded, guards] = answer as [Buffer, Buffer, Buffer];
  const wrapped = encoded.length === pointBytes + 2 && encoded.subarray(0, 2).equals(octetString);
  const point = new Uint8Array(wrapped ? encoded.subarray(2) : encoded);
  if (point.length !== pointBytes) {
    return refuse('key-file-invalid', `the token's key of CKA_ID ${name} is not one of P-256`);
  }
  const guarded = guards[0] === 1 && guards[1] === 0;
  const key = { handle: new Uint8Array(handle), point, guarded };
  keys.set(name, key);
  return key;
}

function isThere(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
