/**
 * What an ECU knows when it leaves the factory (Uptane §5.4.1 items 1 and 2): the metadata that it
 * verifies by, and a time. Nothing is copied: the shipped verification takes each file over the
 * Roots that were stored before, so that the store holds what it would accept, and no more.
 */
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { maxDirectorTargetsBytes, maxTargetsBytes, nonceBytes } from '../../agent/limits.ts';
import { cborMetadata } from '../../agent/verify/cbor-metadata.ts';
import { checkDelegations } from '../../agent/verify/delegations.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import { PartialVerification } from '../../agent/verify/partial-verification.ts';
import { RepositoryVerification } from '../../agent/verify/repository-verification.ts';
import { checkDirectorTargets } from '../../agent/verify/targets.ts';
import { TimeKeeper } from '../../agent/verify/time.ts';
import { readTimeAuthority } from '../../agent/verify/time-authority.ts';
import type { FileRequest } from '../../agent/verify/verification.ts';
import type { Clock, Crypto, KeyValue, Random } from '../../hal/types.ts';

export interface MetadataProvision {
  readonly keyValue: KeyValue;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  /** Answers for the repositories, where the vehicle is registered already. */
  readonly fetch: (file: FileRequest) => Promise<Uint8Array | undefined | Refusal>;
  /** An attestation of the time over these nonces. */
  readonly postTime: (nonces: readonly Uint8Array[]) => Promise<Uint8Array | Refusal>;
  readonly vehicleId: string;
  readonly partial: boolean;
}

/** Fills an ECU's key-value store. Throws when a repository offers what the ECU would refuse. */
export async function provisionMetadata(provision: MetadataProvision): Promise<void> {
  const { keyValue, crypto, partial, vehicleId } = provision;
  const store = new MetadataStore(keyValue);
  const now = await provisionTime(provision, store);
  const context = {
    crypto,
    format: cborMetadata,
    profile: 'composite',
    vehicleId,
    store,
    now,
  } as const;
  if (partial) {
    await run(provision, new PartialVerification({ ...context, ecus: [], everyEcu: false }));
    return;
  }
  // KEY-01, KEY-03: Root, Timestamp, Snapshot and Targets of both repositories
  await runRepository(
    provision,
    new RepositoryVerification(context, 'director', {
      maxBytes: maxDirectorTargetsBytes,
      judge: checkDirectorTargets,
    }),
  );
  await runRepository(
    provision,
    new RepositoryVerification(context, 'images', {
      maxBytes: maxTargetsBytes,
      judge: (targets) => checkDelegations(context, targets),
    }),
  );
}

/** KEY-04: an attestation of now, over a nonce of the factory, stored as the lower bound of time. */
async function provisionTime(
  { keyValue, crypto, clock, random, postTime, partial }: MetadataProvision,
  store: MetadataStore,
): Promise<number> {
  const authority = orThrow(
    readTimeAuthority({ crypto, format: cborMetadata, profile: 'composite', store, partial }),
  );
  const time = new TimeKeeper({ keyValue, clock, crypto });
  time.setAuthority(authority);
  const nonce = random.bytes(nonceBytes);
  return orThrow(time.accept(orThrow(await postTime([nonce])), nonce));
}

interface Machine {
  ask(): FileRequest | undefined;
  supply(file: Uint8Array | undefined): Refusal | undefined;
}

async function runRepository(
  provision: MetadataProvision,
  verification: RepositoryVerification,
): Promise<void> {
  refuseNothing(verification.start());
  await run(provision, verification);
}

/** Answers every request of a verification from the repositories. */
async function run({ fetch }: MetadataProvision, machine: Machine): Promise<void> {
  for (let ask = machine.ask(); ask !== undefined; ask = machine.ask()) {
    refuseNothing(machine.supply(orThrow(await fetch(ask))));
  }
}

function refuseNothing(refusal: Refusal | undefined): void {
  if (refusal !== undefined) {
    throw new Error(`provisioning: ${refusal.refused} (${refusal.row}) ${refusal.detail}`);
  }
}

function orThrow<T>(result: T | Refusal): T {
  if (isRefusal(result)) refuseNothing(result);
  return result as T;
}
