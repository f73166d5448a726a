/** `make bench`: speed and memory, printed and written to out/bench.json. Never a pass or a fail. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { benchAgentSize } from './agent-size.ts';
import { benchBusTime } from './bus-time.ts';
import { benchDecryption } from './decryption.ts';
import type { Result } from './measure.ts';
import { benchNativePrograms } from './native-programs.ts';
import { benchUpdates } from './update.ts';
import { benchVerification } from './verification.ts';

const results: Result[] = [];
const benches = [
  benchAgentSize,
  benchVerification,
  benchNativePrograms,
  benchDecryption,
  benchBusTime,
  benchUpdates,
];
for (const bench of benches) {
  for (const result of await bench()) {
    const digits = result.value < 100 ? 1 : 0;
    const value = `${result.value.toFixed(digits)} ${result.unit}`;
    process.stdout.write(`${result.name.padEnd(38)} ${value.padStart(14)}  ${result.note}\n`);
    results.push(result);
  }
}
mkdirSync('out', { recursive: true });
writeFileSync('out/bench.json', `${JSON.stringify({ results }, undefined, 2)}\n`);
process.stdout.write('\nwritten to out/bench.json\n');
