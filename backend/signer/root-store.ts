/** The Roots of both repositories: imported at start, published later, kept for ever (FNM-01). */
import { join } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxRootBytes } from '../../agent/limits.ts';
import type { RepositoryName } from '../../agent/metadata/common.ts';
import { type Root, root as rootSchema } from '../../agent/metadata/root.ts';
import type { Crypto } from '../../hal/types.ts';
import type { Database } from '../store/database.ts';
import { lockByName } from '../store/locks.ts';
import { insertRoot, latestRoot, type RootVersion, rootVersions } from '../store/metadata.ts';
import { storedDocument } from '../store/stored-document.ts';
import { readSmallFile } from './durable-file.ts';
import { type OnlineKeys, type Roots, SignerUnavailable } from './online-keys.ts';
import { verifyNextRoot } from './root-trust.ts';

/** Old Roots may have expired; the operator is warned of an expired newest one (server.ts). */
const anyTime = -1;

export class RootStore {
  private readonly database: Database;
  private readonly crypto: Crypto;
  private readonly keys: OnlineKeys;
  private roots: Roots;
  /** One look after the other: a slower one must not bring older Roots back. */
  private looks: Promise<void> = Promise.resolve();

  private constructor(database: Database, crypto: Crypto, keys: OnlineKeys, roots: Roots) {
    this.database = database;
    this.crypto = crypto;
    this.keys = keys;
    this.roots = roots;
  }

  /**
   * Takes the stored Roots, imports those that follow from `<folder>/{director,images}/N.root.cbor`
   * and loads the online keys that they name.
   * @returns codes `metadata-not-stored` (no first Root), those of `verifyNextRoot` and of
   *   `OnlineKeys.fit`
   */
  static open(
    database: Database,
    crypto: Crypto,
    keys: OnlineKeys,
    folder: string,
  ): Promise<RootStore | Refusal> {
    return database.transaction(async (within) => {
      await within.one(lockByName, 'roots');
      const director = await importRoots(within, crypto, 'director', join(folder, 'director'));
      if (isRefusal(director)) return director;
      const images = await importRoots(within, crypto, 'images', join(folder, 'images'));
      if (isRefusal(images)) return images;
      const roots = { director, images };
      return (await keys.fit(roots)) ?? new RootStore(database, crypto, keys, roots);
    });
  }

  /** The newest Root of a repository. */
  latest(repository: RepositoryName): Root {
    return this.roots[repository];
  }

  /**
   * Takes over what another process has published. Throws when the online keys here are not those
   * of the newest Roots: nothing may be signed under older ones. With `SignerUnavailable` where
   * their token does not answer.
   */
  async follow(database: Database): Promise<void> {
    if (!database.shared) return;
    const versions = await database.all(rootVersions);
    if (this.behind(versions).length === 0) return;
    const look = this.looks.then(() => this.takeOver(database, versions));
    this.looks = look.catch(() => undefined);
    await look;
  }

  private behind(versions: readonly RootVersion[]): readonly RepositoryName[] {
    return versions
      .filter(({ repository, version }) => this.roots[repository].version < version)
      .map(({ repository }) => repository);
  }

  private async takeOver(database: Database, versions: readonly RootVersion[]): Promise<void> {
    const roots = { ...this.roots };
    for (const repository of this.behind(versions)) {
      const { bytes } = (await database.one(latestRoot, repository))!;
      roots[repository] = storedDocument(rootSchema, bytes, maxRootBytes, 'Root');
    }
    const misfit = await this.keys.fit(roots);
    if (misfit?.refused === 'signer-unavailable') throw new SignerUnavailable(misfit.detail);
    if (misfit !== undefined) throw new Error(`keys of the newest Root: ${misfit.detail}`);
    this.roots = roots;
  }

  /**
   * Publishes the next Root. Codes of `verifyNextRoot`, and of `OnlineKeys.fit`: a Root under which
   * this server could sign nothing is not published.
   */
  publish(
    repository: RepositoryName,
    version: number,
    bytes: Uint8Array,
    now: number,
  ): Promise<Root | Refusal> {
    return this.database.transaction(async (within) => {
      await within.one(lockByName, 'roots');
      await this.follow(within);
      const current = this.roots[repository];
      const next = verifyNextRoot(this.crypto, repository, current, version, bytes, now);
      if (isRefusal(next)) return next;
      const roots = { ...this.roots, [repository]: next };
      const misfit = await this.keys.fit(roots);
      if (misfit !== undefined) return misfit;
      await within.run(insertRoot, repository, version, bytes);
      within.afterCommit(() => {
        this.roots = roots;
      });
      return next;
    });
  }
}

async function importRoots(
  database: Database,
  crypto: Crypto,
  repository: RepositoryName,
  folder: string,
): Promise<Root | Refusal> {
  const stored = await database.one(latestRoot, repository);
  let current = stored && storedDocument(rootSchema, stored.bytes, maxRootBytes, 'Root');
  for (;;) {
    const version: number = (current?.version ?? 0) + 1;
    const bytes = readSmallFile(join(folder, `${version}.root.cbor`), maxRootBytes);
    if (isRefusal(bytes)) {
      return current ?? refuse('metadata-not-stored', `no ${repository} Root: ${bytes.detail}`);
    }
    const next = verifyNextRoot(crypto, repository, current, version, bytes, anyTime);
    if (isRefusal(next)) {
      return refuse(next.refused, `${repository} Root ${version}: ${next.detail}`, next.row);
    }
    await database.run(insertRoot, repository, version, bytes);
    current = next;
  }
}
