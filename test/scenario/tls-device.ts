/** What a vehicle shows of itself on the device plane, for clients by Node's own TLS. */
import { X509Certificate } from 'node:crypto';
import { request as httpsRequest } from 'node:https';
import { encode } from '../../agent/codec/schema.ts';
import { signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { enrolmentProof, registrationAnswer } from '../../agent/metadata/device-messages.ts';
import { defaultServerName } from '../../backend/settings.ts';
import { importPrivateKey } from '../../hal/node/key-format.ts';
import { generateKeyPair, type KeyPair, signerOf } from '../../hal/node/signing.ts';
import {
  type Answer,
  answerTo,
  type Call,
  crypto,
  expectValue,
  type TestBackend,
  type TestVehicle,
} from './backend-fixture.ts';

export interface Device {
  readonly pair: KeyPair;
  readonly chain: readonly Uint8Array[];
}

export interface TlsCall extends Call {
  readonly device?: Device;
  readonly tls?: object;
}

/** Certificates in PEM, as Node's TLS takes them; plain data, so that it can go to other processes. */
export interface ClientOptions {
  readonly ca: string;
  readonly servername: string;
  readonly rejectUnauthorized: boolean;
  readonly cert?: string;
  readonly key?: string | Buffer;
}

const pem = (chain: readonly Uint8Array[]) =>
  chain.map((der) => new X509Certificate(der).toString()).join('');

export function clientOptions(root: X509Certificate, device?: Device): ClientOptions {
  return {
    ca: root.toString(),
    servername: defaultServerName,
    // The fixture's clock is not the machine's.
    rejectUnauthorized: false,
    ...(device && {
      cert: pem(device.chain),
      key: importPrivateKey('ESP256', device.pair.secret).export({ type: 'pkcs8', format: 'pem' }),
    }),
  };
}

/** One request over TLS, with the device's certificate where one is given. */
export function callByTls(
  root: X509Certificate,
  port: number,
  path: string,
  options: TlsCall = {},
): Promise<Answer> {
  const { method = 'GET', body, type = 'application/cbor', device, tls } = options;
  const outgoing = httpsRequest({
    ...{ host: '127.0.0.1', port, path, method, agent: false },
    ...clientOptions(root, device),
    ...tls,
    headers: body && { 'content-type': type, 'content-length': String(body.length) },
  });
  return answerTo(outgoing, body);
}

/** The body of `POST /register` with the proof of a device key, which says `said`. */
export function registrationBody(
  vehicle: TestVehicle,
  token: string,
  pair: KeyPair,
  said?: object,
): Uint8Array {
  const content = encode(enrolmentProof, { token, vehicleId: vehicle.vehicleId, ...said });
  const proof = signEnvelope(crypto, [signerOf(pair)], 'enrolment', content);
  return vehicle.registration(token, { deviceKey: pair.key, proof });
}

/** Registers a vehicle with a fresh token and a fresh key. */
export async function enrolDevice(
  backend: TestBackend,
  root: X509Certificate,
  vehicle: TestVehicle,
): Promise<Device> {
  const pair = generateKeyPair('ESP256');
  const body = registrationBody(vehicle, await backend.token(), pair);
  const { director } = backend.backend.ports;
  const answer = await callByTls(root, director, '/register', { method: 'POST', body });
  return { pair, chain: expectValue(registrationAnswer, answer).certificate!.chain };
}
