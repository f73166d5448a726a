/** `kill -9` of the backend at random instants under load, with everything looked at after each. */
import { setTimeout as pause } from 'node:timers/promises';
import { seededRandom } from '../../hal/emulated/faulty-flash.ts';
import { checkAll } from './checks.ts';
import { type Acknowledged, Load, type UploadedImage } from './load.ts';
import { ProcessBackend } from './process-backend.ts';

/** A kill comes after fewer acknowledgements than this, then within so many milliseconds. */
const acknowledgementsBetween = 60;
const millisecondsAfter = 40;
/** One start in so many is killed, too, before it is done. */
const startsPerKill = 4;
/** Images of earlier rounds that are downloaded again after each kill; at the end, all are. */
const imagesAgain = 3;

export interface KillsOptions {
  readonly kills: number;
  readonly seed: number;
  /** One line about each kill. */
  readonly onKill?: (line: string) => void;
}

export interface KillsResult {
  readonly kills: number;
  readonly killsWhileStarting: number;
  readonly acknowledged: Readonly<Acknowledged>;
  /** Requests without an answer, and manifests among them that were stored nevertheless. */
  readonly unanswered: number;
  readonly storedUnanswered: number;
  /** Acknowledged and lost, used twice, half there, or refused without reason. */
  readonly problems: readonly string[];
}

/** Metadata is made anew every few seconds, so that versions rise while the backend dies. */
const environment = {
  ...{ TIMESTAMP_SECONDS: '10', SNAPSHOT_SECONDS: '20', TARGETS_SECONDS: '40' },
} as const;

export async function killBackend({ kills, seed, onKill }: KillsOptions): Promise<KillsResult> {
  const backend = ProcessBackend.create(environment);
  const random = seededRandom(seed);
  const load = new Load(backend, random);
  const problems: string[] = [];
  let storedUnanswered = 0;
  let killsWhileStarting = 0;
  const check = async (images: readonly UploadedImage[]) => {
    const found = await checkAll(load, images);
    storedUnanswered += found.storedUnanswered;
    problems.push(...found.problems);
  };
  /** Its time to start is what a kill in the midst of one is measured by. */
  let startMilliseconds = 0;
  const start = async () => {
    if (startMilliseconds > 0 && random(startsPerKill) === 0) {
      const { listening } = backend.spawn();
      listening.catch(() => undefined);
      await pause(random(startMilliseconds));
      await backend.kill();
      killsWhileStarting += 1;
    }
    const before = performance.now();
    await backend.start();
    startMilliseconds = Math.ceil(performance.now() - before);
  };
  try {
    await start();
    await load.prepare();
    for (let number = 1; number <= kills; number++) {
      const before = load.images.length;
      const working = load.run();
      await load.more(random(acknowledgementsBetween));
      await pause(random(millisecondsAfter));
      await backend.kill();
      load.stop();
      await working;
      await start();
      const earlier = Array.from({ length: imagesAgain }, () => load.images[random(before)]!);
      await check([...load.images.slice(before), ...earlier]);
      const { manifests, uploads } = load.acknowledged;
      const state = problems.length === 0 ? 'consistent' : problems.at(-1);
      onKill?.(`kill ${number}: ${manifests} manifests, ${uploads} uploads so far; ${state}`);
    }
    await drain(load, backend, problems);
    await start();
    await check(load.images);
  } finally {
    load.leave();
    await backend.remove();
  }
  const { acknowledged, unanswered } = load;
  problems.push(...load.problems);
  return { kills, killsWhileStarting, acknowledged, unanswered, storedUnanswered, problems };
}

/** SIGTERM under load: it ends by itself, and what it had taken it has answered. */
async function drain(load: Load, backend: ProcessBackend, problems: string[]): Promise<void> {
  for (const vehicle of load.vehicles) vehicle.unanswered = [];
  const working = load.run();
  await load.more(acknowledgementsBetween);
  await backend.terminate();
  load.stop();
  await working;
  await backend.start();
  const { storedUnanswered } = await checkAll(load, []);
  if (storedUnanswered > 0) problems.push(`SIGTERM: ${storedUnanswered} taken and not answered`);
  await backend.terminate();
}

/** The last line. */
export function summariseKills(result: KillsResult): string {
  const { kills, killsWhileStarting, acknowledged, problems } = result;
  const { manifests, uploads, assignments, enrolments } = acknowledged;
  const work = [
    `${manifests} manifests`,
    `${uploads} uploads`,
    `${assignments} assignments`,
    `${enrolments} enrolments`,
  ];
  const when = `${kills} kills under load, ${killsWhileStarting} while starting`;
  return `${when}: ${work.join(', ')} acknowledged, ${problems.length} lost or reused`;
}
