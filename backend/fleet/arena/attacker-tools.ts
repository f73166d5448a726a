/** Small tools of several attackers. */
import type { RepositoryName } from '../../../agent/metadata/common.ts';
import { snapshot } from '../../../agent/metadata/snapshot.ts';
import { type Target, type Targets, targets } from '../../../agent/metadata/targets.ts';
import { timestamp } from '../../../agent/metadata/timestamp.ts';
import type { Answer, Exchange, Interceptor } from '../attacks/attacker-proxy.ts';
import { slowRetrieval } from '../attacks/slow-retrieval.ts';
import { hostedEcuId } from '../vehicle-layout.ts';
import type { Arena } from './arena.ts';
import { documentOf } from './stolen-keys.ts';

export const firmwareEcu = hostedEcuId('partial');

/** Lets an attacker meet the requests for files whose path ends so. */
export function meet(
  repository: RepositoryName,
  ending: string,
  answer: (exchange: Exchange) => Promise<Answer> | Answer,
): Interceptor {
  return async (exchange) =>
    exchange.repository === repository && exchange.path.endsWith(ending)
      ? answer(exchange)
      : undefined;
}

/** Lets images whose names begin so drip; everything else passes. */
export function dripImages(beginning: string): Interceptor {
  const slow = slowRetrieval();
  return async (exchange) => {
    const [, filename] = /^\/targets\/[0-9a-f]+\.(.*)$/.exec(exchange.path) ?? [];
    if (filename?.startsWith(beginning) !== true) return undefined;
    // The same drip, for another file: it looks at the end of the path.
    return slow.intercept({ ...exchange, repository: 'director', path: '/timestamp.cbor' });
  };
}

/** A metadata file as the honest repository has it; undefined when it has none of that name. */
export async function honestFile(
  arena: Arena,
  repository: RepositoryName,
  name: string,
): Promise<Uint8Array | undefined> {
  // A partial verifier knows no version: the newest is meant.
  if (name === 'targets.cbor') return (await newestTargets(arena, repository)).file;
  return arena.fetch(repository, name).catch(() => undefined);
}

/** An answer with a metadata file. */
export function fileAnswer(body: Uint8Array): Answer {
  return { status: 200, headers: { 'content-type': 'application/cbor' }, body };
}

/** The newest Targets of a repository, as it signed them, and their version. */
export async function newestTargets(
  arena: Arena,
  repository: RepositoryName,
): Promise<{ readonly file: Uint8Array; readonly document: Targets }> {
  const first = documentOf(timestamp, await arena.fetch(repository, 'timestamp.cbor'));
  const name = `${first.snapshot.version}.snapshot.cbor`;
  const second = documentOf(snapshot, await arena.fetch(repository, name));
  const { value } = second.versions.find(({ key }) => key === 'targets')!;
  const file = await arena.fetch(repository, `${value}.targets.cbor`);
  return { file, document: documentOf(targets, file) };
}

/** A listed image as a Director would assign it; its key object exists nowhere. */
export function assignedTo(target: Target, ecuId: string): Target {
  const assignment = { ecuId, keyObjectSha256: new Uint8Array(32), keyObjectLength: 1_200 };
  return { ...target, assignment };
}

/** Published firmware of `partial-firmware`, newest first. */
export async function listedFirmware(arena: Arena): Promise<readonly Target[]> {
  const { document } = await newestTargets(arena, 'images');
  return document.targets
    .filter(({ filename }) => filename.startsWith(firmwareEcu))
    .sort((a, b) => b.mustMatch.releaseCounter - a.mustMatch.releaseCounter);
}

/** Waits until the Primary has ended `count` more cycles with a failure. */
export async function failedCycles(arena: Arena, count: number): Promise<void> {
  const failed = () => arena.lines.filter((line) => line.startsWith('primary cycle-ended')).length;
  const goal = failed() + count;
  await arena.until(async () => failed() >= goal, `${count} failed cycles`);
}
