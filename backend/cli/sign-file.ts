/**
 * Signs one document by hand: a payload in CBOR or in the JSON view, by keys in files. What no
 * verifier would take is refused, unless it is forced: tests have to compose it.
 */
import { type AlgorithmName, type PublicKey, publicKeyBytes } from '../../agent/codec/cose-key.ts';
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  type Signature,
} from '../../agent/codec/cose-sign.ts';
import { compareBytes } from '../../agent/codec/reader.ts';
import { decode, encode, type Schema } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { mlDsaSignatureBytes } from '../../agent/crypto/composite.ts';
import { type Signer, signEnvelope } from '../../agent/crypto/sign-envelope.ts';
import { type Authority, verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { type ProfileName, profiles } from '../../agent/metadata/common.ts';
import { type Root, root } from '../../agent/metadata/root.ts';
import { snapshot } from '../../agent/metadata/snapshot.ts';
import { type Targets, targets } from '../../agent/metadata/targets.ts';
import { timeAttestation } from '../../agent/metadata/time.ts';
import { timestamp } from '../../agent/metadata/timestamp.ts';
import {
  authorityOf,
  checkKeyTable,
  identify,
  profileAlgorithms,
  resolveAuthority,
} from '../../agent/verify/authority.ts';
import { fullRoles } from '../../agent/verify/root.ts';
import type { Crypto } from '../../hal/types.ts';
import { fromJson } from '../http/json-view.ts';

/** Roles whose documents can be signed by hand; delegated roles sign as `targets`. */
export const signedRoles = ['root', 'targets', 'snapshot', 'timestamp', 'time'] as const;
export type SignedRole = (typeof signedRoles)[number];

const metadata = { root, targets, snapshot, timestamp } as const;

/** One half of a composite signature, alone: what a test of HRD-18 needs. */
export type Half = 'ml-dsa' | 'ecdsa';

export interface SignFileOptions {
  readonly crypto: Crypto;
  readonly role: SignedRole;
  /** CBOR payload, signed file, or either in the JSON view. */
  readonly input: Uint8Array;
  readonly signers: readonly Signer[];
  /** Signed Root, or the signed Targets that delegate: by whom the document has to be signed. */
  readonly authority?: Uint8Array;
  /** Name of the delegated role in `authority`. */
  readonly roleName?: string;
  /** Keeps the signatures of a signed `input`. */
  readonly keep: boolean;
  readonly half?: Half;
  /** Signs whatever it is. */
  readonly force: boolean;
  /** Unix seconds. */
  readonly now: number;
}

/**
 * Signs a payload.
 * @returns the signed file; codes `cbor-…` and `request-malformed` (the payload), `key-duplicate`,
 *   `metadata-role-type`, `metadata-expired`, `signature-…`, `root-threshold`, `delegation-role`
 */
export function signFile(options: SignFileOptions): Uint8Array | Refusal {
  const { crypto, role, force } = options;
  const given = readInput(options);
  if (isRefusal(given)) return given;
  if (!force) {
    const refused = checkBefore(options, given.payload);
    if (refused !== undefined) return refused;
  }
  const domain = role === 'time' ? 'time' : 'metadata';
  const signed = signEnvelope(crypto, options.signers, domain, given.payload);
  const envelope = decodeEnvelope(signed, signed.length);
  if (isRefusal(envelope)) return envelope;
  const made = envelope.signatures.map((one) => halved(one, options.half));
  const signatures = options.keep ? [...given.signatures, ...made] : made;
  const file = { payload: given.payload, signatures };
  const refused = force ? undefined : checkAfter(options, file);
  return refused ?? encodeEnvelope(file);
}

/** The payload that `input` holds or is, with the signatures that it has already. */
function readInput({ role, input, force }: SignFileOptions): Envelope | Refusal {
  // No CBOR document begins like JSON: 0x7b and 0x5b would be strings of 2^56 bytes.
  const first = new TextDecoder().decode(input.subarray(0, 64)).trimStart().charAt(0);
  if (first === '{' || first === '[') return fromJsonText(role, input, force);
  const envelope = decodeEnvelope(input, input.length);
  if (!isRefusal(envelope)) return envelope;
  // Whatever else it is, it may be forced; checkBefore decodes it otherwise.
  return { payload: input, signatures: [] };
}

function fromJsonText(role: SignedRole, input: Uint8Array, force: boolean): Envelope | Refusal {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(input));
  } catch (error) {
    return refuse('request-malformed', `--in: ${(error as Error).message}`);
  }
  return fromView(role, json, force);
}

/** A JSON view of the payload, or of a signed file as `ota inspect` shows it. */
function fromView(role: SignedRole, json: unknown, force: boolean): Envelope | Refusal {
  const shown = isObject(json) && 'content' in json ? json['content'] : json;
  const view = isObject(shown) && 'payload' in shown ? shown['payload'] : shown;
  const stated = isObject(view) ? view['type'] : undefined;
  const named = Object.keys(metadata).find((name) => name === stated);
  if (named !== undefined && named !== role && !force) {
    return refuse('metadata-role-type', forced(`a ${named} where ${role} is signed`));
  }
  const schema = schemaOf((named ?? role) as SignedRole);
  const value = fromJson(schema, view);
  return isRefusal(value) ? value : { payload: encode(schema, value), signatures: [] };
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function schemaOf(role: SignedRole): Schema<unknown> {
  return (role === 'time' ? timeAttestation : metadata[role]) as Schema<unknown>;
}

/** What is wrong with the document itself. */
function checkBefore({ role, signers, half, now }: SignFileOptions, payload: Uint8Array) {
  if (signers.length === 0) return refuse('signature-missing', forced('no --key'));
  const twice = signers.find((one, i) => signers.slice(0, i).some((other) => same(one, other)));
  if (twice !== undefined) return refuse('key-duplicate', forced('one key is given twice'));
  if (half !== undefined) {
    return refuse('signature-half', forced('no verifier takes one half of a composite signature'));
  }
  const value = decode(schemaOf(role), payload, payload.length);
  if (isRefusal(value)) {
    const other = signedRoles.find(
      (name) => name !== role && !isRefusal(decode(schemaOf(name), payload, payload.length)),
    );
    return other === undefined
      ? { ...value, detail: `${value.detail}; --force signs these bytes none the less` }
      : refuse('metadata-role-type', forced(`a ${other} where ${role} is signed`));
  }
  if (role === 'time') return undefined;
  const { expires } = value as { readonly expires: number };
  return expires > now
    ? undefined
    : refuse('metadata-expired', forced(`it expired at ${expires}, now ${now}`));
}

function same(a: Signer, b: Signer): boolean {
  return compareBytes(a.key.bytes, b.key.bytes) === 0;
}

function forced(what: string): string {
  return `${what}; --force signs it none the less`;
}

/** Whether those have signed who have to, as far as it can be known. */
function checkAfter(options: SignFileOptions, file: Envelope): Refusal | undefined {
  const { crypto, role } = options;
  const domain = role === 'time' ? 'time' : 'metadata';
  for (const authority of authoritiesOf(options, file.payload)) {
    if (isRefusal(authority)) return { ...authority, detail: forced(authority.detail) };
    const rule = { domain, payloadHash: 'forbidden' } as const;
    const refused = verifyEnvelope(crypto, file, authority, rule);
    if (refused !== undefined) return { ...refused, detail: forced(refused.detail) };
  }
  return undefined;
}

/** A Root is signed by its own keys and by those of the Root before it; others by `authority`. */
function authoritiesOf(options: SignFileOptions, payload: Uint8Array): (Authority | Refusal)[] {
  const { crypto, role, signers, authority, roleName } = options;
  const profile = profileOf(signers[0]!.key);
  const found: (Authority | Refusal)[] = [];
  if (role === 'root') {
    const own = decode(root, payload, payload.length) as Root;
    found.push(
      checkKeyTable(crypto, own, profile, fullRoles) ?? roleIn(crypto, own, role, profile),
    );
  }
  if (authority !== undefined) {
    const by = decodeEnvelope(authority, authority.length);
    if (isRefusal(by)) return [by];
    found.push(
      roleName === undefined
        ? fromRoot(crypto, by, role, profile)
        : fromDelegator(crypto, by, roleName, profile),
    );
  }
  return found;
}

function profileOf({ algorithm }: PublicKey): ProfileName {
  const names = Object.keys(profiles) as ProfileName[];
  return names.find((name) => profileAlgorithms[name].includes(algorithm)) ?? 'composite';
}

function roleIn(crypto: Crypto, value: Root, role: SignedRole, profile: ProfileName) {
  return (
    authorityOf(crypto, value, role, profile) ??
    refuse('root-threshold', `no ${role} keys for profile ${profile}`, 'ROOT-01')
  );
}

function fromRoot(crypto: Crypto, by: Envelope, role: SignedRole, profile: ProfileName) {
  const value = decode(root, by.payload, by.payload.length);
  return isRefusal(value) ? value : roleIn(crypto, value, role, profile);
}

function fromDelegator(crypto: Crypto, by: Envelope, name: string, profile: ProfileName) {
  const value: Targets | Refusal = decode(targets, by.payload, by.payload.length);
  if (isRefusal(value)) return value;
  const { keys, delegations } = value.delegations ?? { keys: [], delegations: [] };
  const named = delegations.flatMap(({ roles: all }) => all).find((one) => one.name === name);
  return named === undefined
    ? refuse('delegation-role', `nothing is delegated to ${name}`)
    : resolveAuthority(identify(crypto, keys), named, profile);
}

function halved(signature: Signature, half: Half | undefined): Signature {
  if (half === undefined) return signature;
  const { signature: both } = signature;
  const alone =
    half === 'ml-dsa' ? both.subarray(0, mlDsaSignatureBytes) : both.subarray(mlDsaSignatureBytes);
  return { ...signature, signature: alone };
}

/** Algorithms that sign. */
export const signatureAlgorithms = (Object.keys(publicKeyBytes) as AlgorithmName[]).filter(
  (name) => name !== 'MLKEM768-P256',
);
