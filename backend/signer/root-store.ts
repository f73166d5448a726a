/** The Roots of both repositories: imported at start, published later, kept for ever (FNM-01). */
import { join } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../agent/codes.ts';
import { maxRootBytes } from '../../agent/limits.ts';
import type { RepositoryName } from '../../agent/metadata/common.ts';
import { type Root, root as rootSchema } from '../../agent/metadata/root.ts';
import type { Crypto } from '../../hal/types.ts';
import type { Database } from '../store/database.ts';
import { insertRoot, latestRoot } from '../store/metadata.ts';
import { storedDocument } from '../store/stored-document.ts';
import { readSmallFile } from './durable-file.ts';
import type { OnlineKeys, Roots } from './online-keys.ts';
import { verifyNextRoot } from './root-trust.ts';

/** Old Roots may have expired; the operator is warned of an expired newest one (server.ts). */
const anyTime = -1;

export class RootStore {
  private readonly database: Database;
  private readonly crypto: Crypto;
  private readonly keys: OnlineKeys;
  private roots: Roots;

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
  ): RootStore | Refusal {
    return database.transaction(() => {
      const director = importRoots(database, crypto, 'director', join(folder, 'director'));
      if (isRefusal(director)) return director;
      const images = importRoots(database, crypto, 'images', join(folder, 'images'));
      if (isRefusal(images)) return images;
      const roots = { director, images };
      return keys.fit(roots) ?? new RootStore(database, crypto, keys, roots);
    });
  }

  /** The newest Root of a repository. */
  latest(repository: RepositoryName): Root {
    return this.roots[repository];
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
  ): Root | Refusal {
    const current = this.roots[repository];
    const next = verifyNextRoot(this.crypto, repository, current, version, bytes, now);
    if (isRefusal(next)) return next;
    const roots = { ...this.roots, [repository]: next };
    const misfit = this.keys.fit(roots);
    if (misfit !== undefined) return misfit;
    this.database.run(insertRoot, repository, version, bytes);
    this.roots = roots;
    return next;
  }
}

function importRoots(
  database: Database,
  crypto: Crypto,
  repository: RepositoryName,
  folder: string,
): Root | Refusal {
  const stored = database.one(latestRoot, repository);
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
    database.run(insertRoot, repository, version, bytes);
    current = next;
  }
}
