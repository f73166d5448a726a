/** A run of many cases from one seed: mutated inputs, kept when they reach something new. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Coverage } from './coverage.ts';
import { decoderTargets, type Target } from './decoders.ts';
import { mutateBytes } from './mutate.ts';
import { Random } from './random.ts';
import { VerifierTarget } from './verifier.ts';

export interface CampaignOptions {
  readonly seed: number;
  readonly cases: number;
  /** A case in so many is one of the verifier, which costs a thousand times as much. */
  readonly verifierEvery: number;
  readonly guided: boolean;
  /** Where inputs that broke a property are written; nowhere when undefined. */
  readonly crashFolder?: string;
  /** Ends the run early, in milliseconds of `performance.now()`. */
  readonly until?: number;
}

export interface Crash {
  readonly target: string;
  readonly message: string;
  readonly input: string;
}

export interface Campaign {
  readonly cases: number;
  readonly verifierCases: number;
  /** Inputs beyond the first ones that reached something new. */
  readonly kept: number;
  readonly reachedCharacters: number;
  readonly crashes: readonly Crash[];
}

const batchSize = 256;
/** One batch in so many is judged by its coverage: reading that costs as much as many cases. */
const guidedEvery = 8;
const maxCrashes = 10;

export function runCampaign(options: CampaignOptions): Campaign {
  // Before anything runs: V8 counts blocks only of functions that it compiles from now on.
  const coverage = options.guided ? new Coverage() : undefined;
  const random = new Random(options.seed);
  const verifier = new VerifierTarget();
  const targets = decoderTargets(options.seed, verifier.envelopes());
  const corpora = targets.map((target) => [...target.seeds]);
  const crashes: Crash[] = [];
  let kept = 0;
  let batches = 0;
  let cases = 0;
  let verifierCases = 0;

  const check = (target: Target, input: Uint8Array): void => {
    try {
      target.check(input);
    } catch (error) {
      crashes.push(note(options, target.name, error, input));
    }
  };
  const judgeBatch = (at: number, inputs: readonly Uint8Array[]): void => {
    const run = (some: readonly Uint8Array[]) => () => {
      for (const input of some) check(targets[at]!, input);
    };
    batches += 1;
    if (coverage === undefined || batches % guidedEvery !== 0) {
      run(inputs)();
      return;
    }
    if (!coverage.wouldBeNews(run(inputs))) return;
    // Halved, as long as one half has something new
    let rest = inputs;
    while (rest.length > 1) {
      const half = rest.slice(0, Math.ceil(rest.length / 2));
      rest = coverage.wouldBeNews(run(half)) ? half : rest.slice(half.length);
    }
    if (coverage.isNews(run(rest))) {
      corpora[at]!.push(rest[0]!);
      kept += 1;
    }
  };
  for (const [at, seeds] of corpora.entries()) {
    for (const input of seeds.slice()) coverage?.isNews(() => check(targets[at]!, input));
  }
  const goesOn = () =>
    cases < options.cases &&
    crashes.length < maxCrashes &&
    (options.until === undefined || performance.now() < options.until);
  while (goesOn()) {
    const at = random.below(targets.length);
    const corpus = corpora[at]!;
    const inputs: Uint8Array[] = [];
    for (let i = 0; i < batchSize && cases + i < options.cases; i++) {
      inputs.push(mutateBytes(random, random.pick(corpus), random.pick(corpus)));
    }
    judgeBatch(at, inputs);
    cases += inputs.length;
    for (let i = 0; i < Math.ceil(inputs.length / options.verifierEvery); i++) {
      const state = `verifier case ${cases + i}`;
      try {
        if (random.below(2) === 0) verifier.changedOnTheWay(random);
        else verifier.changedByDirector(random);
      } catch (error) {
        crashes.push(note(options, state, error, new Uint8Array(0)));
      }
      verifierCases += 1;
    }
  }
  coverage?.close();
  return {
    cases: cases + verifierCases,
    verifierCases,
    kept,
    reachedCharacters: coverage?.characters ?? 0,
    crashes,
  };
}

function note(options: CampaignOptions, target: string, error: unknown, input: Uint8Array): Crash {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (options.crashFolder !== undefined) {
    mkdirSync(options.crashFolder, { recursive: true });
    const name = createHash('sha256').update(input).digest('hex').slice(0, 16);
    writeFileSync(join(options.crashFolder, `${target.replace(/\W/g, '-')}-${name}`), input);
  }
  return { target, message, input: Buffer.from(input).toString('hex') };
}
