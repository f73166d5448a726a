/** One verification cycle over both repositories, with composite signatures, fetching left out. */
import { isRefusal } from '../../agent/codes.ts';
import type { FileRequest } from '../../agent/verify/verification.ts';
import { RepositorySimulator, SimulatedVerifier } from '../simulator/repository-simulator.ts';
import { median, type Result, timeRuns } from './measure.ts';

const runs = 15;

export function benchVerification(): Result[] {
  const sim = new RepositorySimulator('composite');
  sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 1 });
  const fetch = sim.fetch.bind(sim);
  const files = new Map<string, Uint8Array | undefined>();
  // The simulator signs on fetch: each file is made once, before the clock runs.
  sim.fetch = (request: FileRequest) => {
    const name = `${request.repository}/${request.name}`;
    if (!files.has(name)) files.set(name, fetch(request));
    return files.get(name);
  };
  const fresh = Array.from({ length: 2 * (runs + 1) }, () => new SimulatedVerifier(sim));
  const judge = (outcome: unknown) => {
    if (isRefusal(outcome)) throw new Error(outcome.detail);
  };
  const all = timeRuns(runs, (run) => judge(fresh[run]!.full()));
  const unchanged = timeRuns(runs, () => judge(fresh[0]!.full()));
  const partial = timeRuns(runs, (run) => judge(fresh[runs + 1 + run]!.partial()));
  const result = (name: string, times: readonly number[], note: string): Result => ({
    name,
    value: 1_000 * median(times),
    unit: 'µs',
    note,
  });
  return [
    result('full verification, everything new', all, '6 files, composite ML-DSA-65 + P-256'),
    result('full verification, nothing changed', unchanged, 'stored files are verified again'),
    result('partial verification, new Targets', partial, 'Director Targets'),
  ];
}
