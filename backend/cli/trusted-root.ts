/**
 * The operator's own view of who may sign: Root 1 from the ceremony, then every later version under
 * the rules that vehicles keep (Uptane §5.4.4.3). What a server says is believed only through it.
 */
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxRootBytes, maxRootRotationsPerCycle } from '../../agent/limits.ts';
import type { RepositoryName } from '../../agent/metadata/common.ts';
import type { Root } from '../../agent/metadata/root.ts';
import type { Crypto } from '../../hal/types.ts';
import { verifyNextRoot } from '../signer/root-trust.ts';
import { readRoot } from './key-folder.ts';
import type { OperatorClient } from './operator-client.ts';

/** An expired Root still leads to its successor; vehicles judge the newest one by their time. */
const anyTime = -1;

/** A Root that was verified, with its bytes. */
export interface TrustedRoot {
  readonly repository: RepositoryName;
  readonly root: Root;
  readonly bytes: Uint8Array;
}

/** Where Root versions come from; `metadata-absent` or `file-unreadable` ends the chain. */
type RootSource = (version: number) => Promise<Uint8Array | Refusal> | Uint8Array | Refusal;

/** Path of repository metadata on the operator plane. */
export function metadataPath(repository: RepositoryName, name: string): string {
  return `/${repository}/metadata/${name}`;
}

/** The newest Root in the keys folder. Codes `file-unreadable`, `cbor-…`, `signature-…`, `root-…`. */
export async function loadRoot(
  crypto: Crypto,
  folder: string,
  repository: RepositoryName,
): Promise<TrustedRoot | Refusal> {
  const bytes = readRoot(folder, repository, 1);
  if (isRefusal(bytes)) return bytes;
  const root = verifyNextRoot(crypto, repository, undefined, 1, bytes, anyTime);
  if (isRefusal(root)) return root;
  const anchor = { repository, root, bytes };
  const source = (version: number) => readRoot(folder, repository, version);
  return follow(crypto, anchor, source, Number.POSITIVE_INFINITY);
}

/**
 * The server's newest Root, verified version by version from a trusted one.
 * @param onRoot gets every Root that is newer than `trusted`
 */
export async function followServer(
  crypto: Crypto,
  trusted: TrustedRoot,
  client: OperatorClient,
  onRoot?: (next: TrustedRoot) => void,
): Promise<TrustedRoot | Refusal> {
  const source = (version: number) =>
    client.getFile(metadataPath(trusted.repository, `${version}.root.cbor`), maxRootBytes);
  return follow(crypto, trusted, source, maxRootRotationsPerCycle, onRoot);
}

async function follow(
  crypto: Crypto,
  start: TrustedRoot,
  source: RootSource,
  maxSteps: number,
  onRoot?: (next: TrustedRoot) => void,
): Promise<TrustedRoot | Refusal> {
  let trusted = start;
  for (let steps = 0; steps <= maxSteps; steps++) {
    const version = trusted.root.version + 1;
    const bytes = await source(version);
    if (isRefusal(bytes)) {
      const end = bytes.refused === 'metadata-absent' || bytes.refused === 'file-unreadable';
      return end ? trusted : bytes;
    }
    const { repository, root: previous } = trusted;
    const root = verifyNextRoot(crypto, repository, previous, version, bytes, anyTime);
    if (isRefusal(root)) return root;
    trusted = { repository, root, bytes };
    onRoot?.(trusted);
  }
  return refuse('root-too-many', `more than ${maxSteps} Root versions at once`);
}
