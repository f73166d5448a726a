/**
 * Director Roots without a time: from the trusted one as far as there are any (Uptane §5.4.4.3 but
 * for its step 3). A device that was off for long may meet a time source whose key it does not know
 * yet; the Roots in between name it. Nothing but Roots is taken on this way, and before anything
 * else is, the final Root's expiry is judged by the time that its key has attested (CRT-06).
 */
import type { Refusal } from '../codes.ts';
import { partialRoles, RootUpdate } from './root.ts';
import type { VerificationContext } from './signed-file.ts';
import type { FileRequest } from './verification.ts';

export class RootWalk {
  private readonly update: RootUpdate;
  private ended: boolean;

  constructor(context: VerificationContext) {
    this.update = new RootUpdate(context, 'director', partialRoles);
    this.ended = this.update.start() !== undefined;
  }

  /** The next Root by its name; undefined at the end. */
  ask(): FileRequest | undefined {
    return this.ended ? undefined : this.update.ask();
  }

  /** Takes the Root that was asked for; undefined ends the walk. Codes of `RootUpdate.supply`. */
  supply(file: Uint8Array | undefined): Refusal | undefined {
    const refused = file === undefined ? undefined : this.update.supply(file);
    this.ended = file === undefined || refused !== undefined;
    return refused;
  }
}
