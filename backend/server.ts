/** The backend as one process: stores, keys, Roots, and its three planes (SRV-01). */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { isRefusal, type Refusal, refuse } from '../agent/codes.ts';
import { createNodeCrypto } from '../hal/node/crypto.ts';
import { Admission } from './admission/admission.ts';
import type { Configuration, Ports } from './configuration.ts';
import { createCommitWindow } from './director/accept-manifest.ts';
import { createSigningWindow } from './director/signing.ts';
import { recordSilentVehicles } from './director/silence.ts';
import { VerificationPool } from './director/verification-pool.ts';
import { addAdmission } from './http/admission-hooks.ts';
import { DevicePlane } from './http/device-plane.ts';
import { addDirectorRoutes } from './http/director-routes.ts';
import { addImagesRoutes } from './http/images-routes.ts';
import { createListener, type ListenerOptions } from './http/listener.ts';
import { addOperatorRoutes } from './http/operator-routes.ts';
import { importFirstTargets } from './images/first-targets.ts';
import { Metrics } from './metrics.ts';
import { Doorbell } from './notify/doorbell.ts';
import type { Services } from './services.ts';
import { portVariables } from './settings.ts';
import { reasonOf } from './signer/durable-file.ts';
import { EnrolmentAuthority } from './signer/enrolment-authority.ts';
import { keyFileProvider } from './signer/key-files.ts';
import { type KeySource, keyPairProvider } from './signer/key-pairs.ts';
import { OnlineKeys, unlessUnavailable } from './signer/online-keys.ts';
import { Token } from './signer/pkcs11/token.ts';
import { RootStore } from './signer/root-store.ts';
import { BlobsUnavailable } from './store/blobs.ts';
import type { OpenDatabase } from './store/database.ts';
import { imageBySha256 } from './store/images.ts';
import { senderById } from './store/inventory.ts';
import { openBlobs } from './store/open-blobs.ts';
import { openDatabase } from './store/open-database.ts';
import { lastRestore } from './store/restores.ts';

export interface Backend {
  /** The ports that were really taken; the doorbell's where the broker is an embedded one. */
  readonly ports: Ports & { readonly doorbell?: number };
  readonly metrics: Metrics;
  readonly admission: Admission;
  /** Stops listening, lets running requests end (10 s at most), closes the stores. */
  close(): Promise<void>;
}

export interface BackendOptions {
  /** Key pairs from elsewhere than `<keysFolder>/online/*.key`. */
  readonly keys?: KeySource;
  /** Unix seconds; the machine's clock by default. */
  readonly now?: () => number;
}

const drainMilliseconds = 10_000;
/** Between two looks for vehicles that send no manifests. */
const silenceLookMilliseconds = 5_000;

type PlaneLimits = Omit<ListenerOptions, 'logLevel' | 'plane' | 'metrics' | 'devices'> & {
  /** Absent: as configured. */
  readonly maxConnectionsPerAddress?: number;
};

const devicePlane = {
  requestMilliseconds: 10_000,
  idleMilliseconds: 10_000,
  maxConnections: 4_096,
} as const;

const imagesLimits = {
  ...devicePlane,
  // A Primary takes bytes as fast as its ECUs erase flash, which can take a while.
  idleMilliseconds: 60_000,
} as const;

const operatorPlane = {
  // The largest image over a slow line; silence ends an upload much earlier.
  requestMilliseconds: 3_600_000,
  idleMilliseconds: 30_000,
  maxConnections: 64,
  maxConnectionsPerAddress: 64,
  streams: true,
} as const;

/**
 * Starts the backend.
 * @returns the running backend; codes `key-file-invalid`, `passphrase-wrong`, `file-unreadable`,
 *   `metadata-not-stored` and those of Roots, `port-taken`, `configuration-invalid`, those of
 *   `Token.open`
 */
export async function startBackend(
  configuration: Configuration,
  options: BackendOptions = {},
): Promise<Backend | Refusal> {
  const { logLevel, operatorToken } = configuration;
  const database = await openDatabase(configuration);
  if (isRefusal(database)) return database;
  const token = configuration.token && new Token(configuration.token);
  const services = await openServices(configuration, options, database, token);
  const closeEngines = async () => {
    token?.close();
    await database.close();
  };
  if (isRefusal(services)) {
    await closeEngines();
    return services;
  }
  const { metrics, admission, enrolment, now } = services;
  const closeServices = async () => {
    await services.verifier.close();
    metrics.close();
    await closeEngines();
  };
  const devicesWithTls =
    enrolment &&
    (await unlessUnavailable(
      DevicePlane.open(services, enrolment, configuration.deviceTls!.serverName),
    ));
  if (isRefusal(devicesWithTls)) {
    await closeServices();
    return devicesWithTls;
  }
  const open = (plane: keyof Ports, limits: PlaneLimits) => {
    const devices = plane === 'operator' ? undefined : devicesWithTls;
    const app = createListener({ logLevel, plane, metrics, devices, ...limits });
    const { maxConnectionsPerAddress = configuration.quotas.connections } = limits;
    const quotas = plane !== 'operator';
    const options = { plane, admission, maxConnectionsPerAddress, devices, quotas, now };
    addAdmission(app, options);
    return [app, options] as const;
  };
  const [director, directorPlane] = open('director', devicePlane);
  const [images, imagesPlane] = open('images', imagesLimits);
  const [operator, operatorsPlane] = open('operator', operatorPlane);
  addDirectorRoutes(director, services, directorPlane);
  addImagesRoutes(images, services, imagesPlane);
  addOperatorRoutes(operator, services, operatorsPlane, operatorToken);
  warnOfExpiredRoots(services, operator);
  await removeUnknownBlobs(services, operator);
  const refused = await importFirstTargets(services, configuration.keysFolder);
  if (refused !== undefined) {
    operator.log.warn({ code: refused.refused, detail: refused.detail }, 'no image Targets yet');
  }
  const planes = { director, images, operator } as const;
  let lookedUntil = '';
  const look = async () => {
    try {
      lookedUntil = await recordSilentVehicles(services, lookedUntil);
    } catch (err) {
      operator.log.error({ code: 'internal-error', err }, 'the look for silent vehicles');
    }
  };
  await look();
  const looks = setInterval(look, silenceLookMilliseconds);
  looks.unref();
  const close = async () => {
    clearInterval(looks);
    admission.draining = true;
    devicesWithTls?.close();
    await services.doorbell.close();
    await Promise.all(Object.values(planes).map(stop));
    // What had been taken is answered by now; nothing waits any more.
    await closeServices();
  };
  const ports = { director: 0, images: 0, operator: 0 };
  for (const name of ['director', 'images', 'operator'] as const) {
    const port = await listen(planes[name], name, configuration);
    if (isRefusal(port)) {
      await close();
      return port;
    }
    ports[name] = port;
  }
  const { doorbell, host } = configuration;
  const unheard = doorbell && (await services.doorbell.open(doorbell, host, devicesWithTls));
  if (unheard !== undefined) {
    await close();
    return unheard;
  }
  const { port } = services.doorbell;
  const taken = { ...ports, ...(port !== undefined && { doorbell: port }) };
  return { ports: taken, metrics, admission, close };
}

async function openServices(
  configuration: Configuration,
  options: BackendOptions,
  database: OpenDatabase,
  token: Token | undefined,
): Promise<Services | Refusal> {
  const { keysFolder, passphrase, lifetimes, deviceTls } = configuration;
  const crypto = createNodeCrypto();
  const now = options.now ?? (() => Math.floor(Date.now() / 1000));
  const files = { folder: keysFolder, passphrase, token };
  const metrics = new Metrics();
  const provider = options.keys
    ? keyPairProvider(crypto, options.keys)
    : keyFileProvider(crypto, files);
  const keys = new OnlineKeys(crypto, provider, metrics);
  const roots = await RootStore.open(database, crypto, keys, keysFolder);
  if (isRefusal(roots)) return roots;
  const enrolment =
    deviceTls && (await EnrolmentAuthority.open(crypto, files, deviceTls.certificateSeconds));
  if (isRefusal(enrolment)) return enrolment;
  const blobs = await openBlobs(configuration, database.shared);
  const admission = new Admission({
    limits: configuration.quotas,
    metrics,
    shared: database.shared,
    async vehicleOf(vehicleId) {
      const row = await database.one(senderById, vehicleId);
      return row && { fleet: row.fleet, urgent: row.urgent > 0 };
    },
  });
  const restored = (await database.one(lastRestore))?.restored ?? 0;
  const services: Services = {
    ...{
      database,
      restored,
      blobs,
      crypto,
      keys,
      roots,
      lifetimes,
      now,
      metrics,
      admission,
      enrolment,
    },
    memory: admission.memory,
    verifier: new VerificationPool(metrics),
    commits: createCommitWindow(() => services),
    signing: createSigningWindow(() => services),
    doorbell: new Doorbell(() => services),
  };
  return services;
}

/** An expired Root stops every vehicle, but the operator needs this server to publish the next. */
function warnOfExpiredRoots(services: Services, app: FastifyInstance): void {
  for (const repository of ['director', 'images'] as const) {
    const { version, expires } = services.roots.latest(repository);
    if (expires <= services.now()) {
      app.log.warn({ code: 'metadata-expired', repository, version, expires });
    }
  }
}

/** What was uploaded and never recorded; a store that is away keeps it until the next start. */
async function removeUnknownBlobs(services: Services, app: FastifyInstance): Promise<void> {
  const { database, blobs, restored } = services;
  // Another process may be about to record it; a lost database had recorded it.
  if (database.shared || restored > 0) return;
  try {
    await blobs.removeUnknown(
      async (sha256) => (await database.one(imageBySha256, sha256)) !== undefined,
    );
  } catch (error) {
    if (!(error instanceof BlobsUnavailable)) throw error;
    app.log.warn({ code: error.code, detail: error.message }, 'unrecorded uploads were not sought');
  }
}

async function listen(
  app: FastifyInstance,
  name: keyof Ports,
  configuration: Configuration,
): Promise<number | Refusal> {
  const { host, ports } = configuration;
  try {
    await app.listen({ host, port: ports[name] });
  } catch (error) {
    const place = `${host}:${ports[name]}`;
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      return refuse('port-taken', `${place} is taken; set ${portVariables[name]} to another port`);
    }
    const settings = `OTA_HOST, ${portVariables[name]}`;
    return refuse('configuration-invalid', `${settings}: ${place}: ${reasonOf(error)}`);
  }
  return (app.server.address() as AddressInfo).port;
}

async function stop(app: FastifyInstance): Promise<void> {
  const deadline = setTimeout(() => app.server.closeAllConnections(), drainMilliseconds);
  await app.close();
  clearTimeout(deadline);
}
