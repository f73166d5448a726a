/** `ota verify-repo`, `ota sign`, `ota key …`: repositories in folders, composed and judged by hand. */
import { existsSync } from 'node:fs';
import { coseKey } from '../../../agent/codec/cose-key.ts';
import { attackOf, isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import { keyId } from '../../../agent/crypto/key-id.ts';
import { maxDirectorTargetsBytes } from '../../../agent/limits.ts';
import { filename, identifier, profiles, roleName } from '../../../agent/metadata/common.ts';
import { target } from '../../../agent/metadata/targets.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { generateKeyPair, signerOf } from '../../../hal/node/signing.ts';
import type { KeyValue } from '../../../hal/types.ts';
import { toBase64Url, toJson } from '../../http/json-view.ts';
import { readSmallFile, reasonOf, writeDurableFile } from '../../signer/durable-file.ts';
import { readKeyFile, readKeyFilePublicKey, writeKeyFile } from '../../signer/key-file.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { hex } from '../format.ts';
import { passphraseOf, passphraseOption } from '../settings.ts';
import { type Half, signatureAlgorithms, signedRoles, signFile } from '../sign-file.ts';
import { StateFolder } from '../state-folder.ts';
import { verifyRepository } from '../verify-repository.ts';

const maxInputBytes = 4 * maxDirectorTargetsBytes;
const profileNames = Object.keys(profiles) as (keyof typeof profiles)[];
const halves: readonly Half[] = ['ml-dsa', 'ecdsa'];
/** scrypt's N of `--for-tests`. */
const cheapCost = 2;

export const repositoryCommands: readonly Command[] = [
  {
    name: 'verify-repo',
    summary: 'Judge two repositories in folders as a vehicle would',
    positionals: [],
    options: {
      director: { value: 'DIR', help: "the Director's files", required: true },
      images: { value: 'DIR', help: "the Image repository's files", required: true },
      time: { value: 'T', help: 'unix seconds or 2026-11-24T12:00:00Z', required: true },
      vehicle: { value: 'ID', help: 'the vehicle', required: true },
      ecu: { value: 'ID', help: 'an ECU of it', required: true, multiple: true },
      hardware: { value: 'ID', help: 'hardware of that ECU', required: true, multiple: true },
      image: { value: 'NAME', help: 'check the file HASH.NAME of this assigned image too' },
      state: { value: 'DIR', help: 'what was trusted before; kept for the next call' },
      primary: { help: 'the named ECUs are all of the vehicle; another one is refused' },
      partial: { help: 'partial verification: Director Root and Targets only' },
      profile: { value: 'NAME', help: `${profileNames.join('|')} (default ${profileNames[0]})` },
    },
    notes: [
      'Files: 1.root.cbor, 2.root.cbor …, timestamp.cbor, N.snapshot.cbor, N.targets.cbor, N.ROLE.cbor',
      'for delegated roles, HASH.NAME for images. Without --state the first Root of each folder is',
      'trusted. Prints one JSON object: result (ok or refused), code, row, attack, detail, targets.',
      'Exit status: 0 ok, 1 refused, 2 wrong arguments or a folder that cannot be read.',
    ],
    run: verifyRepo,
  },
  {
    name: 'sign',
    summary: 'Sign a payload by keys in files',
    positionals: [],
    options: {
      role: { value: signedRoles.join('|'), help: 'what the payload is', required: true },
      key: { value: 'FILE', help: 'key file; each signs once', multiple: true },
      in: { value: 'FILE', help: 'payload or signed file, CBOR or JSON view', required: true },
      out: { value: 'FILE', help: 'the signed file', required: true },
      by: { value: 'FILE', help: 'Root, or delegating Targets, by whose keys it has to be signed' },
      name: { value: 'ROLE', help: 'delegated role that is signed, named in --by' },
      keep: { help: 'keep the signatures that the file has' },
      half: { value: halves.join('|'), help: 'with --force: one half of a composite signature' },
      force: { help: 'sign it whatever it is' },
      ...passphraseOption,
    },
    notes: [
      'Refused unless forced: a payload that is malformed, expired or of another role; too few or no',
      'signatures (a Root by its own keys, anything by those of --by); a key given twice; one half of a',
      'composite. A delegated role is signed as --role targets. A file that cannot be read is refused',
      'in any case.',
    ],
    run: sign,
  },
  {
    name: 'key new',
    summary: 'Make a key pair in a file',
    positionals: [],
    options: {
      out: { value: 'FILE', help: 'the key file; must not exist', required: true },
      algorithm: { value: 'NAME', help: 'default ML-DSA-65 with P-256, the composite' },
      'for-tests': { help: 'a passphrase that is cheap to try: for keys of no worth' },
      ...passphraseOption,
    },
    notes: [`Algorithms: ${signatureAlgorithms.join(', ')}.`],
    run: newKey,
  },
  {
    name: 'key show',
    summary: "Show a key file's public key and key id",
    positionals: ['FILE'],
    options: {},
    notes: ['The key is as a Root or a delegation lists it in the JSON view; the key id likewise.'],
    run: showKey,
  },
];

async function verifyRepo(given: Arguments): Promise<Outcome | Refusal> {
  const ecuIds = given.texts('ecu', identifier);
  const hardwareIds = given.texts('hardware', identifier);
  if (ecuIds.length !== hardwareIds.length) {
    given.refuse(`${ecuIds.length} --ecu with ${hardwareIds.length} --hardware: they go in pairs`);
  }
  const vehicleId = given.text('vehicle', identifier);
  const image = given.optional('image') === undefined ? undefined : given.text('image', filename);
  const profile = given.optional('profile') ? given.choice('profile', profileNames) : 'composite';
  const now = timeOf(given);
  if (given.refusal) return given.refusal;
  const state = stateOf(given);
  if (isRefusal(state)) return state;
  const outcome = verifyRepository({
    crypto: createNodeCrypto(),
    folders: { director: given.optional('director')!, images: given.optional('images')! },
    state,
    profile,
    vehicleId,
    ecus: ecuIds.map((ecuId, i) => ({ ecuId, hardwareId: hardwareIds[i]! })),
    everyEcu: given.flag('primary'),
    partial: given.flag('partial'),
    now,
    ...(image !== undefined && { image }),
  });
  if (isRefusal(outcome) && outcome.refused === 'argument-invalid') return outcome;
  const json = isRefusal(outcome)
    ? {
        result: 'refused',
        code: outcome.refused,
        row: outcome.row,
        attack: attackOf(outcome) ?? null,
        detail: outcome.detail,
        targets: [],
      }
    : {
        result: 'ok',
        code: null,
        row: null,
        attack: null,
        detail: null,
        targets: outcome.map((one) => toJson(target, one)),
      };
  return { lines: [JSON.stringify(json)], json, negative: isRefusal(outcome) };
}

function timeOf(given: Arguments): number {
  const text = given.optional('time')!;
  const date = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)
    ? Date.parse(text) / 1_000
    : Number.NaN;
  const seconds = /^[0-9]{1,16}$/.test(text) ? Number(text) : date;
  if (!Number.isSafeInteger(seconds)) {
    given.refuse(`--time '${text}': expected unix seconds or a time like 2026-11-24T12:00:00Z`);
  }
  return seconds;
}

function stateOf(given: Arguments): KeyValue | Refusal {
  const folder = given.optional('state');
  if (folder === undefined) return forgetful();
  try {
    return new StateFolder(folder);
  } catch (error) {
    return refuse('argument-invalid', `--state ${folder}: ${reasonOf(error)}`);
  }
}

/** State of one call. */
function forgetful(): KeyValue {
  const values = new Map<string, Uint8Array>();
  return {
    read: (key) => values.get(key),
    write: (key, value) => void values.set(key, value),
    delete: (key) => void values.delete(key),
  };
}

async function sign(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const role = given.choice('role', signedRoles);
  const name = given.optional('name') === undefined ? undefined : given.text('name', roleName);
  const half = given.optional('half') === undefined ? undefined : given.choice('half', halves);
  if (name !== undefined && given.optional('by') === undefined) given.refuse('--name needs --by');
  const input = given.accept(readSmallFile(given.optional('in')!, maxInputBytes), noBytes);
  const by = given.optional('by');
  const authority = by && given.accept(readSmallFile(by, maxInputBytes), noBytes);
  if (given.refusal) return given.refusal;
  const signers = [];
  for (const path of given.list('key')) {
    const passphrase = passphraseOf(given, context);
    if (isRefusal(passphrase)) return passphrase;
    const pair = readKeyFile(path, passphrase);
    if (isRefusal(pair)) return pair;
    if (pair.key.algorithm === 'MLKEM768-P256') {
      return refuse('argument-invalid', `--key ${path}: this key signs nothing`);
    }
    signers.push(signerOf(pair));
  }
  const signed = signFile({
    crypto: createNodeCrypto(),
    role,
    input,
    signers,
    keep: given.flag('keep'),
    force: given.flag('force'),
    now: Math.floor(Date.now() / 1_000),
    ...(half && { half }),
    ...(authority && { authority }),
    ...(name && { roleName: name }),
  });
  if (isRefusal(signed)) return signed;
  const out = given.optional('out')!;
  writeDurableFile(out, signed);
  const sha256 = toBase64Url(createNodeCrypto().digest('SHA-256', signed));
  return {
    lines: [`${out}: ${role}, ${signers.length} signatures made, ${signed.length} bytes`],
    json: { path: out, length: signed.length, sha256 },
  };
}

const noBytes = new Uint8Array(0);

async function newKey(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const out = given.optional('out')!;
  const algorithm = given.optional('algorithm')
    ? given.choice('algorithm', signatureAlgorithms)
    : 'MLDSA65-ECDSA-P256-SHA512';
  if (existsSync(out)) given.refuse(`--out ${out}: exists already; keys are never overwritten`);
  if (given.refusal) return given.refusal;
  const passphrase = passphraseOf(given, context);
  if (isRefusal(passphrase)) return passphrase;
  const pair = generateKeyPair(algorithm);
  writeKeyFile(out, pair, passphrase, given.flag('for-tests') ? { cost: cheapCost } : {});
  return shown(out, pair.key);
}

async function showKey(given: Arguments): Promise<Outcome | Refusal> {
  const [path] = given.positionals;
  const key = readKeyFilePublicKey(path!);
  return isRefusal(key) ? key : shown(path!, key);
}

function shown(path: string, key: Parameters<typeof keyId>[1]): Outcome {
  const id = keyId(createNodeCrypto(), key);
  return {
    lines: [
      `${path}: ${key.algorithm}`,
      `key id ${hex(id)}`,
      `  in the JSON view ${toBase64Url(id)}`,
    ],
    json: {
      path,
      keyId: toBase64Url(id),
      key: toJson(coseKey, key),
    },
  };
}
