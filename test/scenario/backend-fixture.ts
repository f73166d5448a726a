/**
 * A real backend on free ports, with a small key ceremony, an operator and vehicles that speak to it
 * over HTTP. Everything is signed, sealed and encrypted for real.
 */
import type { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AlgorithmName } from '../../agent/codec/cose-key.ts';
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { decode, encode, type Schema } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { keyId } from '../../agent/crypto/key-id.ts';
import { wrapContentKey } from '../../agent/crypto/key-wrap.ts';
import { signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { CobblestoneEncryptor } from '../../agent/image/cobblestone.ts';
import { imageContext } from '../../agent/image/image-context.ts';
import { hashAlgorithms, profiles, type RoleName, roles } from '../../agent/metadata/common.ts';
import {
  type EcuDescription,
  ecuRoles,
  emptyAnswer,
  type RefusalAnswer,
  type Registration,
  refusalAnswer,
  registration,
  verifications,
} from '../../agent/metadata/device-messages.ts';
import {
  type Manifest,
  manifest as manifestSchema,
  type Report,
  report as reportSchema,
} from '../../agent/metadata/report.ts';
import { root as rootSchema } from '../../agent/metadata/root.ts';
import {
  cobblestoneFormat,
  imageKinds,
  type Target,
  type Targets,
  targets as targetsSchema,
} from '../../agent/metadata/targets.ts';
import { type Configuration, defaultLifetimes, type Ports } from '../../backend/configuration.ts';
import {
  assignmentAnswer,
  assignmentRequest,
  contentKeyRequest,
  deviceRequest,
  enrolmentTokenAnswer,
  enrolmentTokenRequest,
  publishAnswer,
  uploadAnswer,
  wrappingKeyAnswer,
} from '../../backend/http/messages.ts';
import { type Backend, startBackend } from '../../backend/server.ts';
import { defaultQuotas, defaultServerName } from '../../backend/settings.ts';
import { makeDeviceRoot, signEnrolmentCa } from '../../backend/signer/device-authorities.ts';
import type { KeySource } from '../../backend/signer/key-pairs.ts';
import type { OnlineKeyName } from '../../backend/signer/online-keys.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { generateKeyPair, type KeyPair, signerOf } from '../../hal/node/signing.ts';

export const crypto = createNodeCrypto();
export const operatorToken = 'operator-token-of-the-tests';
const composite: AlgorithmName = 'MLDSA65-ECDSA-P256-SHA512';

/** The instant at which tests begin; their clock moves only when they say so. */
export const startSeconds = 1_790_000_000;
const yearSeconds = 31_536_000;
/** How long the certificates of devices are valid. */
export const certificateSeconds = 90 * 86_400;

export interface Ceremony {
  readonly online: Readonly<Record<OnlineKeyName, KeyPair>>;
  readonly directorRoot: readonly KeyPair[];
  readonly imagesRoot: readonly KeyPair[];
  readonly imagesTargets: readonly KeyPair[];
}

function pairs(count: number): readonly KeyPair[] {
  return Array.from({ length: count }, () => generateKeyPair(composite));
}

/** Fresh keys: two of two for the offline roles. */
export function holdCeremony(): Ceremony {
  const names = ['targets', 'snapshot', 'timestamp', 'time'].map((role) => `director-${role}`);
  const signing = [...names, 'images-snapshot', 'images-timestamp'];
  const online = Object.fromEntries(signing.map((name) => [name, generateKeyPair(composite)]));
  online['director-wrapping'] = generateKeyPair('MLKEM768-P256');
  return {
    online: online as Readonly<Record<OnlineKeyName, KeyPair>>,
    directorRoot: pairs(2),
    imagesRoot: pairs(2),
    imagesTargets: pairs(2),
  };
}

type RoleTable = Partial<Readonly<Record<RoleName, readonly KeyPair[]>>>;

/** Encodes and signs a Root that names each role's keys, all of which have to sign. */
export function signRoot(
  version: number,
  table: RoleTable,
  signers: readonly KeyPair[],
  expires = startSeconds + yearSeconds,
): Uint8Array {
  const named = Object.entries(table) as [RoleName, readonly KeyPair[]][];
  const payload = encode(rootSchema, {
    type: roles.root,
    formatVersion: 1,
    version,
    expires,
    keys: named.flatMap(([, keys]) => keys.map((pair) => pair.key)),
    roles: named.map(([role, keys]) => ({
      role: roles[role],
      profile: profiles.composite,
      keyIds: keys.map((pair) => keyId(crypto, pair.key)),
      threshold: keys.length,
    })),
  });
  return signEnvelope(crypto, signers.map(signerOf), 'metadata', payload);
}

export function directorTable(keys: Ceremony): RoleTable {
  return {
    root: keys.directorRoot,
    targets: [keys.online['director-targets']],
    snapshot: [keys.online['director-snapshot']],
    timestamp: [keys.online['director-timestamp']],
    time: [keys.online['director-time']],
  };
}

export function imagesTable(keys: Ceremony): RoleTable {
  return {
    root: keys.imagesRoot,
    targets: keys.imagesTargets,
    snapshot: [keys.online['images-snapshot']],
    timestamp: [keys.online['images-timestamp']],
  };
}

/** Writes the first Roots as the ceremony leaves them. */
export function writeRoots(folder: string, keys: Ceremony): void {
  for (const repository of ['director', 'images']) {
    mkdirSync(join(folder, repository), { recursive: true });
  }
  const director = signRoot(1, directorTable(keys), keys.directorRoot);
  writeFileSync(join(folder, 'director', '1.root.cbor'), director);
  const images = signRoot(1, imagesTable(keys), keys.imagesRoot);
  writeFileSync(join(folder, 'images', '1.root.cbor'), images);
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** `application/cbor` by default. */
  readonly type?: string;
}

/** One HTTP request; the path goes out exactly as given. */
export function call(port: number, path: string, options: Call = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body, type = 'application/cbor' } = options;
  const outgoing = httpRequest({
    host: '127.0.0.1',
    port,
    path,
    method,
    agent: false,
    headers: {
      ...(body && { 'content-type': type, 'content-length': String(body.length) }),
      ...headers,
    },
  });
  return answerTo(outgoing, body);
}

/** Sends a request with its body; the whole answer. */
export function answerTo(outgoing: ClientRequest, body?: Uint8Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    outgoing.on('response', (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: new Uint8Array(Buffer.concat(pieces)),
        }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Decodes an answer that has to be a success. */
export function expectValue<T>(schema: Schema<T>, answer: Answer): T {
  if (answer.status >= 300) throw new Error(`status ${answer.status}: ${codeOf(answer)}`);
  return opened(decode(schema, answer.body, answer.body.length));
}

/** The refusal in an answer. */
export function refusalOf(answer: Answer): RefusalAnswer {
  return opened(decode(refusalAnswer, answer.body, answer.body.length));
}

/** `status code`, for comparing at a glance. */
export function codeOf(answer: Answer): string {
  if (answer.status < 400) return String(answer.status);
  return `${answer.status} ${refusalOf(answer).code}`;
}

export function opened<T>(value: T | Refusal): T {
  if (isRefusal(value)) throw new Error(`${value.refused}: ${value.detail}`);
  return value;
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** The payload of a signed answer, its signatures unchecked. */
export function payloadOf<T>(schema: Schema<T>, bytes: Uint8Array): T {
  const envelope = opened(decodeEnvelope(bytes, bytes.length));
  return opened(decode(schema, envelope.payload, envelope.payload.length));
}

/** An ECU with its private keys. */
export interface TestEcu {
  readonly description: EcuDescription;
  readonly signing: KeyPair;
  readonly wrapping: KeyPair;
}

export function makeEcu(
  ecuId: string,
  role: keyof typeof ecuRoles = 'secondary',
  hardwareId = 'hw-a',
  verification: keyof typeof verifications = 'full',
): TestEcu {
  const signing = generateKeyPair('ESP256');
  const wrapping = generateKeyPair('MLKEM768-P256');
  const description = {
    ecuId,
    hardwareId,
    role: ecuRoles[role],
    verification: verifications[verification],
    signingKey: signing.key,
    wrappingKey: wrapping.key,
  };
  return { description, signing, wrapping };
}

const factoryDigest = crypto.digest('SHA-256', new Uint8Array([1]));

/** A report of an ECU that runs its factory image, with `changes`. */
export function makeReport(ecu: TestEcu, vehicleId: string, changes: Partial<Report>): Report {
  return {
    ecuId: ecu.description.ecuId,
    vehicleId,
    hardwareId: ecu.description.hardwareId,
    installed: {
      filename: 'factory.bin',
      length: 1,
      hashes: [{ key: hashAlgorithms['SHA-256'], value: factoryDigest }],
      releaseCounter: 1,
    },
    detections: [],
    time: startSeconds,
    counter: 1,
    ...changes,
  };
}

export function signReport(report: Report, signer: KeyPair): Uint8Array {
  const payload = encode(reportSchema, report);
  return signEnvelope(crypto, [signerOf(signer)], 'report', payload, { payloadHash: true });
}

export function signManifest(
  vehicleId: string,
  primaryEcuId: string,
  reports: readonly Uint8Array[],
  signer: KeyPair,
  absent: Manifest['absent'] = undefined,
): Uint8Array {
  const stated = absent && { absent };
  const payload = encode(manifestSchema, { vehicleId, primaryEcuId, reports, ...stated });
  return signEnvelope(crypto, [signerOf(signer)], 'manifest', payload, { payloadHash: true });
}

/** A vehicle of a Primary and a Secondary. */
export class TestVehicle {
  readonly vehicleId: string;
  readonly primary: TestEcu;
  readonly secondary: TestEcu;

  constructor(vehicleId: string) {
    this.vehicleId = vehicleId;
    this.primary = makeEcu(`${vehicleId}-primary`, 'primary', 'hw-gateway');
    this.secondary = makeEcu(`${vehicleId}-brakes`, 'secondary', 'hw-brakes');
  }

  get ecus(): readonly TestEcu[] {
    return [this.primary, this.secondary];
  }

  registration(token: string, changes: Partial<Registration> = {}): Uint8Array {
    return encode(registration, {
      token,
      vehicleId: this.vehicleId,
      primaryEcuId: this.primary.description.ecuId,
      ecus: this.ecus.map((ecu) => ecu.description),
      ...changes,
    });
  }

  /** A manifest in which every ECU reports `changes` and signs for itself. */
  manifest(changes: Partial<Report>): Uint8Array {
    const reports = this.ecus.map((ecu) =>
      signReport(makeReport(ecu, this.vehicleId, changes), ecu.signing),
    );
    const { description, signing } = this.primary;
    return signManifest(this.vehicleId, description.ecuId, reports, signing);
  }
}

/** An encrypted image as an operator makes it. */
export interface TestImage {
  readonly ciphertext: Uint8Array;
  readonly contentKey: Uint8Array;
  readonly target: Target;
}

export function makeImage(
  filename: string,
  plaintext: Uint8Array,
  hardwareIds: readonly string[],
  releaseCounter = 2,
): TestImage {
  const contentKey = crypto.digest('SHA-256', generateKeyPair('ESP256').secret);
  const plaintextSha256 = crypto.digest('SHA-256', plaintext);
  const encryptor = new CobblestoneEncryptor({
    crypto,
    contentKey,
    context: imageContext(filename, releaseCounter, plaintextSha256),
    salt: crypto.digest('SHA-256', contentKey).subarray(0, 24),
  });
  const pieces = [encryptor.header(), ...encryptor.update(plaintext), encryptor.finish()];
  const ciphertext = new Uint8Array(Buffer.concat(pieces));
  const target: Target = {
    filename,
    length: ciphertext.length,
    hashes: [
      { key: hashAlgorithms['SHA-256'], value: crypto.digest('SHA-256', ciphertext) },
      { key: hashAlgorithms['SHA-512'], value: crypto.digest('SHA-512', ciphertext) },
    ],
    mustMatch: {
      plaintextLength: plaintext.length,
      plaintextSha256,
      hardwareIds,
      releaseCounter,
      kind: imageKinds.opaque,
      encryption: cobblestoneFormat,
    },
  };
  return { ciphertext, contentKey, target };
}

/** An operator's tools and what devices ask, against a backend in this process or another. */
export abstract class TestOperator {
  readonly keys: Ceremony;
  /** Where the backend listens. */
  abstract readonly ports: Ports;
  /** Unix seconds of the backend's clock. */
  abstract now: number;

  constructor(keys: Ceremony) {
    this.keys = keys;
  }

  director(path: string, options?: Call): Promise<Answer> {
    return call(this.ports.director, path, options);
  }

  images(path: string, options?: Call): Promise<Answer> {
    return call(this.ports.images, path, options);
  }

  /** A request with the operator's token. */
  operator(path: string, options: Call = {}): Promise<Answer> {
    const headers = { authorization: `Bearer ${operatorToken}`, ...options.headers };
    return call(this.ports.operator, path, { ...options, headers });
  }

  async token(vehicleId?: string): Promise<string> {
    const body = encode(enrolmentTokenRequest, vehicleId === undefined ? {} : { vehicleId });
    const answer = await this.operator('/enrolment-tokens', { method: 'POST', body });
    return expectValue(enrolmentTokenAnswer, answer).token;
  }

  setRevoked(vehicleId: string, revoked: boolean): Promise<Answer> {
    const body = encode(deviceRequest, { revoked });
    return this.operator(`/vehicles/${vehicleId}/device`, { method: 'POST', body });
  }

  async register(vehicle: TestVehicle): Promise<void> {
    const body = vehicle.registration(await this.token());
    expectValue(emptyAnswer, await this.director('/register', { method: 'POST', body }));
  }

  upload(filename: string, body: Uint8Array): Promise<Answer> {
    const headers = { 'upload-filename': filename };
    const type = 'application/octet-stream';
    return this.operator('/upload', { method: 'POST', body, headers, type });
  }

  /** Signs Targets of the Image repository by its offline keys. */
  signTargets(
    version: number,
    changes: Partial<Targets>,
    signers: readonly KeyPair[] = this.keys.imagesTargets,
  ): Uint8Array {
    const payload = encode(targetsSchema, {
      type: roles.targets,
      formatVersion: 1,
      version,
      expires: this.now + yearSeconds,
      targets: [],
      ...changes,
    });
    return signEnvelope(crypto, signers.map(signerOf), 'metadata', payload);
  }

  publish(name: string, body: Uint8Array): Promise<Answer> {
    return this.operator(`/images/metadata/${name}`, { method: 'PUT', body });
  }

  /** Seals an image's content key to the Director and hands it over. */
  async sendContentKey(image: TestImage): Promise<Answer> {
    const key = expectValue(wrappingKeyAnswer, await this.operator('/director/wrapping-key'));
    const { filename } = image.target;
    const ciphertextSha256 = image.target.hashes[0]!.value;
    const context = ['director', 'director', filename, ciphertextSha256] as const;
    const sealed = opened(wrapContentKey(crypto, key, image.contentKey, context));
    const body = encode(contentKeyRequest, { filename, ciphertextSha256, sealed });
    return this.operator('/content-keys', { method: 'POST', body });
  }

  /** Uploads images, publishes them as Targets `version` and hands over their keys. */
  async release(version: number, images: readonly TestImage[]): Promise<void> {
    for (const image of images) {
      expectValue(uploadAnswer, await this.upload(image.target.filename, image.ciphertext));
    }
    const targets = images.map((image) => image.target);
    const body = this.signTargets(version, { targets });
    expectValue(publishAnswer, await this.publish(`${version}.targets.cbor`, body));
    for (const image of images) expectValue(emptyAnswer, await this.sendContentKey(image));
  }

  assign(vehicleId: string, ecuId: string, filename: string): Promise<Answer> {
    const body = encode(assignmentRequest, { vehicleId, assignments: [{ ecuId, filename }] });
    return this.operator('/assignments', { method: 'POST', body });
  }

  async assigned(vehicleId: string, ecuId: string, filename: string): Promise<number> {
    return expectValue(assignmentAnswer, await this.assign(vehicleId, ecuId, filename)).version;
  }

  manifest(vehicleId: string, body: Uint8Array): Promise<Answer> {
    return this.director(`/manifest/${vehicleId}`, { method: 'POST', body });
  }
}

/** The running backend with its operator's tools. */
async function withDatabase(changes: Partial<Configuration>): Promise<Partial<Configuration>> {
  if (sharedDatabase === undefined) return changes;
  return { ...changes, database: { url: await sharedDatabase(), connections: 4 } };
}

/** Where two backends side by side keep their state; undefined: one backend, in its folder. */
let sharedDatabase: (() => Promise<string>) | undefined;

/**
 * From now on every `TestBackend` is two backends over one database and one folder of images: they
 * take the requests in turn.
 */
export function runSideBySide(newDatabase: () => Promise<string>): void {
  sharedDatabase = newDatabase;
}

export class TestBackend extends TestOperator {
  readonly folder: string;
  backend!: Backend;
  /** All that take requests: `backend`, and the other one where there are two. */
  private all: readonly Backend[] = [];
  private turn = 0;
  override now = startSeconds;

  private readonly changes: Partial<Configuration>;

  private constructor(keys: Ceremony, folder: string, changes: Partial<Configuration>) {
    super(keys);
    this.folder = folder;
    this.changes = changes;
  }

  static async start(changes: Partial<Configuration> = {}): Promise<TestBackend> {
    const folder = mkdtempSync(join(tmpdir(), 'ota-backend-'));
    const fixture = new TestBackend(holdCeremony(), folder, await withDatabase(changes));
    writeRoots(join(fixture.folder, 'keys'), fixture.keys);
    await fixture.open();
    return fixture;
  }

  /**
   * With mutual TLS of the device plane; its authorities as a ceremony leaves them.
   * @param now what the backend's clock says, for peers that judge by the machine's
   */
  static async startWithTls(
    changes: Partial<Configuration> = {},
    now = startSeconds,
  ): Promise<{ backend: TestBackend; root: X509Certificate }> {
    const deviceTls = { serverName: defaultServerName, certificateSeconds };
    const temporary = mkdtempSync(join(tmpdir(), 'ota-backend-'));
    const settings = await withDatabase({ deviceTls, ...changes });
    const backend = new TestBackend(holdCeremony(), temporary, settings);
    backend.now = now;
    const { keysFolder: folder, passphrase } = backend.configuration;
    writeRoots(folder, backend.keys);
    for (const name of ['devices', 'online', 'offline']) mkdirSync(join(folder, name));
    const keyFile = { cost: 16 }; // keys of no worth
    const place = { folder, passphrase, onlinePassphrase: passphrase, now, keyFile };
    const root = makeDeviceRoot(place);
    signEnrolmentCa(place, root, 1, 1_825, generateKeyPair('ESP256'));
    await backend.open();
    return { backend, root: root.certificate };
  }

  /** Of the backend whose turn it is. */
  override get ports(): Backend['ports'] {
    this.turn += 1;
    return this.all[this.turn % this.all.length]!.ports;
  }

  get configuration(): Configuration {
    return {
      stateFolder: join(this.folder, 'state'),
      keysFolder: join(this.folder, 'keys'),
      passphrase: 'none: keys come from memory',
      operatorToken,
      ports: { director: 0, images: 0, operator: 0 },
      host: '127.0.0.1',
      lifetimes: defaultLifetimes,
      quotas: defaultQuotas,
      logLevel: 'silent',
      ...this.changes,
    };
  }

  async open(keys: KeySource = (name) => this.keys.online[name]): Promise<void> {
    const options = { keys, now: () => this.now };
    const count = this.configuration.database === undefined ? 1 : 2;
    const starts = Array.from({ length: count }, () => startBackend(this.configuration, options));
    this.all = (await Promise.all(starts)).map(opened);
    this.backend = this.all[0]!;
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((backend) => backend.close()));
  }

  async restart(): Promise<void> {
    await this.close();
    await this.open();
  }

  async stop(): Promise<void> {
    await this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Names of all files in the blob store, temporary ones too. */
  blobFiles(): readonly string[] {
    const folder = join(this.folder, 'state', 'blobs');
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name);
  }
}
