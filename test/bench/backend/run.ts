/**
 * `make bench-backend`: what one backend process bears, with its client on the same machine. Printed
 * and written to out/bench-backend.json; never a pass or a fail. Ratios are taken in one sitting.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { TestBackend, TestVehicle } from '../../scenario/backend-fixture.ts';
import type { Result } from '../measure.ts';
import { benchDevicePlane } from './device-plane.ts';
import { benchFleetSize } from './fleet-size.ts';
import { unlimitedQuotas } from './load.ts';
import { benchManifests, benchOverload, benchPolls } from './requests.ts';
import { benchSigning } from './signing.ts';
import { benchPool } from './verification.ts';

const fleetSize = 64;
const results: Result[] = [];

function show(more: readonly Result[]): void {
  for (const result of more) {
    const digits = result.value < 1 ? 5 : result.value < 100 ? 1 : 0;
    const value = `${result.value.toFixed(digits)} ${result.unit}`;
    process.stdout.write(`${result.name.padEnd(38)} ${value.padStart(16)}  ${result.note}\n`);
    results.push(result);
  }
}

const cores = availableParallelism();
process.stdout.write(`${cores} cores, Node ${process.version}, the clients on the same machine\n`);
// First: what a silent vehicle takes shows in memory that nothing else has freed before.
show(await benchDevicePlane());
show(await benchSigning());
show(await benchPool());
const backend = await TestBackend.start({ quotas: unlimitedQuotas });
backend.now = Math.floor(Date.now() / 1_000);
const vehicles = Array.from({ length: fleetSize }, (_, i) => new TestVehicle(`vehicle-${i}`));
for (const vehicle of vehicles) await backend.register(vehicle);
show(await benchManifests(backend, vehicles));
show(await benchPolls(backend, vehicles));
show(await benchOverload(backend));
await backend.stop();
show(await benchFleetSize());
mkdirSync('out', { recursive: true });
const sitting = { cores, node: process.version, results };
writeFileSync('out/bench-backend.json', `${JSON.stringify(sitting, undefined, 2)}\n`);
process.stdout.write('\nwritten to out/bench-backend.json\n');
