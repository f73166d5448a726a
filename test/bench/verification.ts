/** Verification cycles over both repositories: time, bytes fetched, memory, and how they grow. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isRefusal } from '../../agent/codes.ts';
import type { ProfileName } from '../../agent/metadata/common.ts';
import { RepositorySimulator, SimulatedVerifier } from '../simulator/repository-simulator.ts';
import { delegationsOf, type MeasuredCase, vehicleOf } from '../simulator/verification-cases.ts';
import { type Result, timeRuns } from './measure.ts';

const runs = 30;
const settlingRuns = 3;
const profileNames: readonly (readonly [ProfileName, string])[] = [
  ['ecdsa', 'ESP256'],
  ['ml-dsa', 'ML-DSA-65'],
  ['composite', 'composite'],
];

/** Time of the fastest run, since other programs only ever add to it; and what it fetched. */
function measured(name: string, measuredCase: MeasuredCase): Result {
  const { cost } = measuredCase.run();
  const times = timeRuns(runs, () => void measuredCase.run());
  const { signatures, files, bytes } = cost;
  const note = `${files} files, ${bytes} bytes fetched, ${signatures} signature checks`;
  return { name, value: 1_000 * Math.min(...times), unit: 'µs', note };
}

function cycles(profile: ProfileName, algorithm: string): readonly Result[] {
  const unchanged = vehicleOf(1, profile).settle();
  const release = vehicleOf(1, profile).settle();
  release.sim.assign('ecu-0', { filename: 'app-0.bin', releaseCounter: 2 });
  release.publish();
  const rotation = vehicleOf(1, profile).settle();
  rotation.sim.director.rotate('root');
  rotation.publish();
  return [
    measured(`${algorithm}: nothing changed`, unchanged),
    measured(`${algorithm}: new Targets`, release),
    measured(`${algorithm}: Director Root rotated`, rotation),
    measured(`${algorithm}: first, 10 delegations`, delegationsOf(10, profile)),
  ];
}

function growth(): readonly Result[] {
  const ecus = [1, 10, 100, 1_000].map((count) =>
    measured(`vehicle of ${count} ECUs, nothing changed`, vehicleOf(count).settle()),
  );
  const delegations = [1, 10, 20, 32].map((count) =>
    measured(`${count} delegations searched`, delegationsOf(count)),
  );
  return [
    ...each('ECU', ecus, [1, 10, 100, 1_000]),
    ...each('delegation', delegations, [1, 10, 20, 32]),
  ];
}

/** Adds to each result what one more costs since the one before. */
function each(
  what: string,
  results: readonly Result[],
  counts: readonly number[],
): readonly Result[] {
  return results.map((result, i) => {
    const before = results[i - 1];
    if (before === undefined) return result;
    const more = (result.value - before.value) / (counts[i]! - counts[i - 1]!);
    return { ...result, note: `${result.note}; ${more.toFixed(1)} µs for each further ${what}` };
  });
}

/** What is held at most while a file is waited for, over what was held before: after collection. */
function heap(name: string, measuredCase: MeasuredCase): Result {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = (): number => {
    // Once frees objects, and then the memory of their byte arrays.
    collect();
    collect();
    return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  };
  // What earlier cases have left goes away over several collections: until no more of it does.
  let before = used();
  for (let last = Number.POSITIVE_INFINITY; before < last; ) {
    last = before;
    for (let run = 0; run < settlingRuns; run++) measuredCase.run(used);
    before = Math.min(last, used());
  }
  let most = before;
  const { decision } = measuredCase.run(() => {
    most = Math.max(most, used());
  });
  most = Math.max(most, used());
  const note = `held at most, garbage collected at each of the files; ${decision.assignments.length} images`;
  return { name, value: (most - before) / 1_024, unit: 'KiB', note };
}

/** Partial verification of composite Director Targets. */
function partial(): Result {
  const sim = new RepositorySimulator('composite');
  sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 1 });
  const fresh = Array.from({ length: runs + 1 }, () => new SimulatedVerifier(sim));
  const times = timeRuns(runs, (run) => {
    const outcome = fresh[run]!.partial();
    if (isRefusal(outcome)) throw new Error(outcome.detail);
  });
  const note = 'composite, Director Root and Targets';
  return {
    name: 'partial verification, new Targets',
    value: 1_000 * Math.min(...times),
    unit: 'µs',
    note,
  };
}

export function benchVerification(): Result[] {
  return [
    ...profileNames.flatMap(([profile, algorithm]) => cycles(profile, algorithm)),
    partial(),
    ...growth(),
    heap('verifier heap, 1 ECU, composite', vehicleOf(1, 'composite')),
    heap('verifier heap, 10 delegations', delegationsOf(10, 'composite')),
    heap('verifier heap, 1,000 ECUs', vehicleOf(1_000)),
  ];
}
