/**
 * The process that holds the PKCS#11 module (token-helper.c, which says the messages). Requests wait
 * in a bounded line and are answered in order; one that takes too long ends the process, for a module
 * that hangs does not come back.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { SignerUnavailable } from '../online-keys.ts';

export const operations = {
  select: 1,
  login: 2,
  find: 3,
  sign: 4,
  generate: 5,
  destroy: 6,
} as const;

/** Where `make token-helper` leaves the program, and the container image has it. */
export const helperPath = fileURLToPath(
  new URL('../../../out/pkcs11/token-helper', import.meta.url),
);

/** Signing takes a device some milliseconds; a transaction may wait for it. */
const callMilliseconds = 5_000;
/** Making a key takes a slow one seconds. */
const generateMilliseconds = 60_000;
/** For a module to end its sessions. */
const closeMilliseconds = 5_000;
const maxWaiting = 256;
const maxAnswerBytes = 1_024;
const nonsense = 'token-helper answered nonsense';
/** What is kept of what a module says on standard error. */
const maxComplaintCharacters = 400;

/** Codes of PKCS#11 (CK_RV) that are told apart, and two of the program's own. */
export const results = {
  ok: 0,
  pinIncorrect: 0xa0,
  pinLengthRange: 0xa2,
  pinExpired: 0xa3,
  pinLocked: 0xa4,
  tokenNotPresent: 0xe0,
  alreadyLoggedIn: 0x100,
  pinNotInitialized: 0x102,
  severalMatch: 0xffff0001,
  noneMatches: 0xffff0002,
} as const;

/** What the module answered a call by, other than CKR_OK. */
export class TokenError extends Error {
  readonly result: number;

  constructor(result: number) {
    super(`the token answers 0x${result.toString(16)} (CK_RV of PKCS#11)`);
    this.result = result;
  }
}

interface Call {
  readonly resolve: (fields: readonly Buffer[]) => void;
  readonly reject: (error: Error) => void;
  readonly deadline: NodeJS.Timeout;
}

export class TokenHelper {
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private readonly calls: Call[] = [];
  private received = Buffer.alloc(0);
  private complaint = '';
  private ended: SignerUnavailable | undefined;

  /**
   * @param program the compiled token-helper.c
   * @param module path of a PKCS#11 library
   * @param environment of the process: modules find their configuration by it
   */
  constructor(program: string, module: string, environment: NodeJS.ProcessEnv) {
    this.child = spawn(program, [module], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: withoutSecrets(environment),
    });
    const { stdin, stdout, stderr } = this.child;
    stdout.on('data', (bytes: Buffer) => this.receive(bytes));
    stderr.on('data', (bytes: Buffer) => {
      this.complaint = `${this.complaint}${bytes}`.slice(-maxComplaintCharacters);
    });
    stdin.on('error', () => undefined); // its end is told by `close`
    this.child.on('error', (error) => this.end(error.message));
    this.child.on('close', (code, signal) => {
      const said = this.complaint.trim().replace(/\s+/g, ' ');
      this.end(`token-helper ended (${signal ?? code})${said && `: ${said}`}`);
    });
    this.keepRunning(false);
  }

  /** For tests, which end it. */
  get processId(): number | undefined {
    return this.child.pid;
  }

  /** Why it takes no more calls; undefined while it does. */
  get ending(): SignerUnavailable | undefined {
    return this.ended;
  }

  /**
   * One call of the module. Rejects with `TokenError` by what it answers, with `SignerUnavailable`
   * where there is no answer.
   */
  call(operation: number, ...fields: readonly Uint8Array[]): Promise<readonly Buffer[]> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) return reject(this.ended);
      if (this.calls.length >= maxWaiting) {
        return reject(new SignerUnavailable(`${maxWaiting} signatures wait for the token already`));
      }
      const limit = operation === operations.generate ? generateMilliseconds : callMilliseconds;
      const deadline = setTimeout(() => {
        this.end(`the token did not answer for ${limit} ms`);
      }, limit);
      if (this.calls.length === 0) this.keepRunning(true);
      this.calls.push({ resolve, reject, deadline });
      const message = requestOf(operation, fields);
      // Zeroed once it is with the process: it may be the PIN.
      this.child.stdin.write(message, () => message.fill(0));
    });
  }

  /** Takes no more calls, and lets the module end its sessions. */
  close(): void {
    if (this.ended !== undefined) return;
    this.settleAll(new SignerUnavailable('the token was closed'));
    this.child.stdin.end();
    setTimeout(() => this.child.kill('SIGKILL'), closeMilliseconds).unref();
  }

  /** An idle process must not keep this one alive; a call must. */
  private keepRunning(keep: boolean): void {
    const { stdin, stdout, stderr } = this.child;
    for (const held of [
      this.child,
      stdin,
      stdout,
      stderr,
    ] as unknown as readonly NodeJS.RefCounted[]) {
      if (keep) held.ref();
      else held.unref();
    }
  }

  private receive(bytes: Buffer): void {
    this.received = Buffer.concat([this.received, bytes]);
    while (this.received.length >= 4 && this.ended === undefined) {
      const length = this.received.readUInt32BE(0);
      if (length < 4 || length > maxAnswerBytes) {
        this.end(nonsense);
        return;
      }
      if (this.received.length < 4 + length) return;
      const answer = this.received.subarray(4, 4 + length);
      this.received = this.received.subarray(4 + length);
      this.settle(answer);
    }
  }

  private settle(answer: Buffer): void {
    const call = this.calls.shift();
    const fields = fieldsOf(answer.subarray(4));
    if (call === undefined || fields === undefined) {
      this.end(nonsense);
      return;
    }
    clearTimeout(call.deadline);
    if (this.calls.length === 0) this.keepRunning(false);
    const result = answer.readUInt32BE(0);
    if (result === results.ok) call.resolve(fields);
    else call.reject(new TokenError(result));
  }

  private end(why: string): void {
    if (this.ended !== undefined) return;
    this.child.kill('SIGKILL');
    this.settleAll(new SignerUnavailable(why));
  }

  /** What waits is not answered any more. */
  private settleAll(error: SignerUnavailable): void {
    this.ended = error;
    this.keepRunning(false);
    for (const { reject, deadline } of this.calls.splice(0)) {
      clearTimeout(deadline);
      reject(error);
    }
  }
}

function requestOf(operation: number, fields: readonly Uint8Array[]): Buffer {
  const length = fields.reduce((sum, field) => sum + 2 + field.length, 1);
  const message = Buffer.alloc(4 + length);
  message.writeUInt32BE(length, 0);
  message.writeUInt8(operation, 4);
  let at = 5;
  for (const field of fields) {
    message.writeUInt16BE(field.length, at);
    message.set(field, at + 2);
    at += 2 + field.length;
  }
  return message;
}

function fieldsOf(bytes: Buffer): readonly Buffer[] | undefined {
  const fields: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < 2) return undefined;
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) return undefined;
    fields.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return fields;
}

/** A vendor's module has no use for our passphrases and passwords. */
function withoutSecrets(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const ours = /^(OTA_|DATABASE_|S3_|MQTT_|NODE_)/;
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !ours.test(name)));
}
