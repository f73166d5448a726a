/**
 * Signing for many vehicles at once (docs/POUF.md §3.4): who needs new metadata within a short
 * window gets it in one transaction and under one signature a role. What cannot wait is not put
 * here: it is signed at once by `issueMetadata`.
 */
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { BatchWindow } from '../batch-window.ts';
import type { Services } from '../services.ts';
import type { DirectorRole } from '../store/metadata.ts';
import { changeVehicles, inTransaction, type WithinTransaction } from '../transactions.ts';
import { type Issue, issueTogether, staleRole } from './metadata.ts';

/** How long the first vehicle of a batch waits for others. */
export const signingWindowMilliseconds = 100;
/** Largest batch: a transaction of a few hundred milliseconds. */
export const maxVehiclesPerBatch = 4_096;

/** A vehicle whose metadata may have to be made anew. */
export interface SigningRequest {
  readonly vehicleId: string;
  /**
   * Called in the transaction of the batch, as a part that is undone alone by a refusal: the change
   * itself. Returns the first role to make anew, undefined for none.
   */
  readonly prepare: (services: WithinTransaction) => Promise<DirectorRole | Refusal | undefined>;
}

/** A refusal of `prepare`, what it threw, or undefined once the metadata is signed and stored. */
type Outcome = Refusal | Thrown | undefined;

class Thrown {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

export type SigningWindow = BatchWindow<SigningRequest, Outcome>;

export function createSigningWindow(services: () => Services): SigningWindow {
  return new BatchWindow({
    milliseconds: signingWindowMilliseconds,
    maxItems: maxVehiclesPerBatch,
    run: (requests) => signBatchOf(services(), requests),
  });
}

function signBatchOf(
  services: Services,
  requests: readonly SigningRequest[],
): Promise<readonly Outcome[]> {
  const vehicleIds = requests.map(({ vehicleId }) => vehicleId);
  return changeVehicles(services, vehicleIds, async (within) => {
    const issues = new Map<string, Issue>();
    const outcomes: Outcome[] = [];
    for (const { vehicleId, prepare } of requests) {
      const from = await attempt(() => inTransaction(within, prepare));
      const made = from !== undefined && !(from instanceof Thrown) && !isRefusal(from);
      outcomes.push(made ? undefined : from);
      if (!made) continue;
      issues.set(vehicleId, { vehicleId, from: earlier(issues.get(vehicleId)?.from, from) });
    }
    await issueTogether(within, [...issues.values()]);
    return outcomes;
  });
}

/** One request that fails by a bug must not fail those that came with it. */
async function attempt<T>(act: () => Promise<T>): Promise<T | Thrown> {
  try {
    return await act();
  } catch (error) {
    return new Thrown(error);
  }
}

const order: readonly DirectorRole[] = ['targets', 'snapshot', 'timestamp'];

function earlier(one: DirectorRole | undefined, other: DirectorRole): DirectorRole {
  return one !== undefined && order.indexOf(one) < order.indexOf(other) ? one : other;
}

/** Has a change and its metadata signed with those of other vehicles. */
export async function signInWindow(
  services: Services,
  request: SigningRequest,
): Promise<Refusal | undefined> {
  const outcome = await services.signing.add(request);
  if (outcome instanceof Thrown) throw outcome.error;
  return outcome;
}

/** Re-issues what is past half of its life or was made under an older Root; the rest stays. */
export async function freshenMetadata(services: Services, vehicleId: string): Promise<void> {
  if ((await staleRole(services, vehicleId)) === undefined) return;
  const prepare = (within: Services) => staleRole(within, vehicleId);
  await signInWindow(services, { vehicleId, prepare });
}
