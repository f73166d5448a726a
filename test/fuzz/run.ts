/**
 * `make fuzz`: at least a million cases on two processes, in twenty minutes at most.
 * Environment: SEED, an integer; CASES; the seed is printed, and gives the same cases again.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Campaign } from './campaign.ts';

const processes = 2;
const milliseconds = 1_200_000;
const seed = Number(process.env['SEED'] || Date.now() % 4_294_967_296);
const wanted = Number(process.env['CASES'] || 1_000_000);
const crashFolder = 'out/fuzz';
if (!Number.isSafeInteger(seed) || !(wanted > 0)) {
  process.stderr.write('fuzz: SEED and CASES are whole numbers\n');
  process.exit(2);
}
process.chdir(join(import.meta.dirname, '../..'));
console.log(`seed ${seed} (SEED=${seed} make fuzz runs the same cases again)`);

function share(index: number): Promise<Campaign> {
  const cases = Math.ceil(wanted / processes);
  const options = { seed: (seed + index) % 4_294_967_296, cases, verifierEvery: 32, guided: true };
  const given = JSON.stringify({ ...options, crashFolder, milliseconds });
  const child = spawn(process.execPath, ['test/fuzz/worker.ts', given], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      if (status === 0) resolve(JSON.parse(out) as Campaign);
      else reject(new Error(`a worker ended with ${status}`));
    });
  });
}

const start = performance.now();
const shares = await Promise.all(Array.from({ length: processes }, (_, i) => share(i)));
const sum = (of: (one: Campaign) => number) => shares.reduce((total, one) => total + of(one), 0);
const cases = sum((one) => one.cases);
const crashes = shares.flatMap((one) => one.crashes);
for (const { target, message, input } of crashes) {
  console.log(
    `\n${target}: ${message}\n  input ${input.length > 400 ? `${input.slice(0, 400)}…` : input}`,
  );
}
const seconds = Math.round((performance.now() - start) / 1_000);
console.log(
  `${cases} cases in ${seconds} s, ${sum((one) => one.verifierCases)} of the verifier; ` +
    `${sum((one) => one.kept)} inputs reached something new; ` +
    `${Math.max(...shares.map((one) => one.reachedCharacters))} characters of the agent's source reached; ${crashes.length} crashes`,
);
if (crashes.length > 0) console.log(`inputs are in ${crashFolder}; each becomes a named test`);
if (cases < wanted) console.log(`only ${cases} of ${wanted} cases in the time`);
process.exitCode = crashes.length > 0 || cases < wanted ? 1 : 0;
