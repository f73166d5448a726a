/**
 * Publishing the Image repository's Targets, which are signed offline: judged by the stored Root or
 * by the delegation (IMG-05), against the images that were really uploaded.
 */
import { decodeEnvelope, type Envelope } from '../../agent/codec/cose-sign.ts';
import { sameBytes } from '../../agent/codec/reader.ts';
import { decode } from '../../agent/codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { verifyEnvelope } from '../../agent/crypto/verify-envelope.ts';
import { ciphertextLength } from '../../agent/image/cobblestone.ts';
import { maxRolesPerSnapshot, maxTargetsBytes } from '../../agent/limits.ts';
import { hashAlgorithms, roles } from '../../agent/metadata/common.ts';
import {
  cobblestoneFormat,
  type Target,
  type Targets,
  targets as targetsSchema,
} from '../../agent/metadata/targets.ts';
import type { PublicationAnswer, PublishAnswer } from '../http/messages.ts';
import type { Services } from '../services.ts';
import { delegatedAuthority, roleAuthority, signedMetadata } from '../signer/root-trust.ts';
import { imageByDigest, imageBySha256 } from '../store/images.ts';
import { insertImageMetadata, latestImageMetadata } from '../store/metadata.ts';
import { inTurn, type WithinTransaction } from '../transactions.ts';
import { type Chain, chainsTo, covers, targetsVersions } from './listing.ts';
import { issueImageMetadata } from './metadata.ts';

/** A signed Targets file on its way in: `targets` or a delegated role, under the version it is named. */
export interface IncomingTargets {
  readonly role: string;
  readonly version: number;
  readonly file: Uint8Array;
}

/**
 * Publishes the next version of `targets` or of a delegated role, with a new Snapshot and Timestamp.
 * Codes as `publishTogether`.
 */
export async function publishTargets(
  services: Services,
  role: string,
  version: number,
  file: Uint8Array,
): Promise<PublishAnswer | Refusal> {
  const published = await publishTogether(services, [{ role, version, file }]);
  return isRefusal(published) ? published : { version, ...published };
}

/**
 * Publishes several files with one Snapshot, in one transaction: all or none, so that no vehicle
 * ever sees a delegation without its role, or an image between two files. Each is judged by those
 * before it.
 * @returns codes `metadata-not-next`, `cbor-…`, `signature-…`, `delegation-role`,
 *   `delegation-limit`, `metadata-expired`, `request-malformed`, `root-threshold`, and per image
 *   `image-unknown`, `image-length`, `image-not-encrypted`, `target-format`, `target-filename`
 */
export function publishTogether(
  services: Services,
  files: readonly IncomingTargets[],
): Promise<PublicationAnswer | Refusal> {
  return inTurn(services, 'images', async (within) => {
    const { database, roots } = within;
    await roots.follow(database);
    for (const file of files) {
      const refused = await takeFile(within, file);
      if (refused !== undefined) return refused;
    }
    if ((await targetsVersions(within)).length > maxRolesPerSnapshot) {
      return refuse('delegation-limit', `more than ${maxRolesPerSnapshot} roles`);
    }
    await issueImageMetadata(within, 'snapshot');
    return {
      snapshotVersion: (await database.one(latestImageMetadata, 'snapshot'))!.version,
      timestampVersion: (await database.one(latestImageMetadata, 'timestamp'))!.version,
    };
  });
}

async function takeFile(
  services: WithinTransaction,
  { role, version, file }: IncomingTargets,
): Promise<Refusal | undefined> {
  const { database } = services;
  const expected = ((await database.one(latestImageMetadata, role))?.version ?? 0) + 1;
  // MET-07, HRD-02: exactly the next version
  if (version !== expected) {
    return refuse('metadata-not-next', `${role}: version ${version} where ${expected} is next`);
  }
  const envelope = decodeEnvelope(file, maxTargetsBytes);
  if (isRefusal(envelope)) return envelope;
  const targets =
    role === 'targets'
      ? openTopLevel(services, envelope)
      : await openDelegated(services, role, envelope);
  if (isRefusal(targets)) return targets;
  const refused = await checkTargets(services, version, targets);
  if (refused !== undefined) return refused;
  const rootVersion = services.roots.latest('images').version;
  await database.run(insertImageMetadata, role, version, targets.expires, rootVersion, file);
  return undefined;
}

function openTopLevel(services: Services, envelope: Envelope): Targets | Refusal {
  const authority = roleAuthority(services.crypto, services.roots.latest('images'), 'targets');
  if (isRefusal(authority)) return authority;
  const refused = verifyEnvelope(services.crypto, envelope, authority, signedMetadata);
  return refused ?? decode(targetsSchema, envelope.payload, maxTargetsBytes);
}

/** IMG-05: the signers may write this role, and along some chain this role may write its images. */
async function openDelegated(
  services: Services,
  role: string,
  envelope: Envelope,
): Promise<Targets | Refusal> {
  let refused = refuse('delegation-role', `nobody delegates to ${role}`, 'IMG-05');
  const chains = (await chainsTo(services, role)).filter(({ authority }) => {
    const invalid = isRefusal(authority)
      ? authority
      : verifyEnvelope(services.crypto, envelope, authority, signedMetadata);
    if (invalid !== undefined) refused = invalid;
    return invalid === undefined;
  });
  if (chains.length === 0) return refused;
  const targets = decode(targetsSchema, envelope.payload, maxTargetsBytes);
  if (isRefusal(targets)) return targets;
  const outside = targets.targets.find((entry) => !isCovered(chains, entry));
  return outside === undefined
    ? targets
    : refuse('target-filename', `${role} may not list ${outside.filename}`, 'IMG-05');
}

/** By every delegation of one chain, for each hardware id. */
function isCovered(chains: readonly Chain[], { filename, mustMatch }: Target): boolean {
  return mustMatch.hardwareIds.every((id) =>
    chains.some(({ delegations }) => delegations.every((one) => covers(one, filename, id))),
  );
}

async function checkTargets(
  services: Services,
  version: number,
  targets: Targets,
): Promise<Refusal | undefined> {
  if (targets.version !== version) {
    return refuse('metadata-not-next', `signed version ${targets.version}, named ${version}`);
  }
  if (targets.expires <= services.now()) return refuse('metadata-expired', 'already expired');
  const { vehicleId, timeKeys, bundlePolicy } = targets;
  if (vehicleId !== undefined || timeKeys !== undefined || bundlePolicy !== undefined) {
    const what = 'vehicle id, time keys and bundle policy are for the Director';
    return refuse('request-malformed', what, 'TGT-03');
  }
  const delegations = checkDelegations(services, targets);
  if (delegations !== undefined) return delegations;
  const names = new Set<string>();
  for (const entry of targets.targets) {
    if (names.has(entry.filename)) {
      return refuse('request-malformed', `${entry.filename} is listed twice`, 'TGT-02');
    }
    names.add(entry.filename);
    const refused = await checkEntry(services, entry);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/** DEL-03, DEL-08, HRD-06: every verifier can resolve what is delegated. */
function checkDelegations({ crypto }: Services, targets: Targets): Refusal | undefined {
  if (targets.delegations === undefined) return undefined;
  const { keys, delegations } = targets.delegations;
  for (const delegation of delegations) {
    if (delegation.minimumRoles < 1 || delegation.minimumRoles > delegation.roles.length) {
      return refuse('root-threshold', 'minimum of roles out of range', 'DEL-08');
    }
    for (const role of delegation.roles) {
      if (Object.hasOwn(roles, role.name)) {
        return refuse('delegation-role', `${role.name} is a role of its own`, 'DEL-08');
      }
      const authority = delegatedAuthority(crypto, keys, role);
      if (isRefusal(authority)) return refuse(authority.refused, authority.detail, 'DEL-03');
    }
  }
  return undefined;
}

/** One listed image against what was uploaded under its name. */
async function checkEntry(services: Services, entry: Target): Promise<Refusal | undefined> {
  const { database } = services;
  const { filename, length, hashes, mustMatch } = entry;
  if (entry.assignment !== undefined) {
    return refuse('request-malformed', `${filename}: only the Director assigns`, 'CUS-06');
  }
  // IMG-06: every digest is that of the one file uploaded under this name
  for (const { key, value } of hashes) {
    const image = await database.one(imageByDigest, filename, value, value);
    const digest = key === hashAlgorithms['SHA-256'] ? image?.sha256 : image?.sha512;
    if (image === undefined || !sameBytes(digest!, value)) {
      return refuse('image-unknown', `${filename} was not uploaded with this hash`);
    }
    if (image.length !== length) {
      return refuse('image-length', `${filename} has ${image.length} bytes, ${length} listed`);
    }
  }
  if (mustMatch.encryption !== cobblestoneFormat) {
    return refuse('target-format', `${filename}: encryption '${mustMatch.encryption}'`);
  }
  if (ciphertextLength(mustMatch.plaintextLength) !== length) {
    return refuse('target-format', `${filename}: lengths of plaintext and ciphertext disagree`);
  }
  // CUS-04: what is stored must be ciphertext; a plaintext digest among the stored files shows one
  if ((await database.one(imageBySha256, mustMatch.plaintextSha256)) !== undefined) {
    return refuse('image-not-encrypted', `${filename}: its plaintext is stored here`);
  }
  return undefined;
}
