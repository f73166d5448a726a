/** Whether a vehicle costs more where many others are registered: 100 of them, then 100,000. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { TestBackend, TestVehicle } from '../../scenario/backend-fixture.ts';
import type { Result } from '../measure.ts';
import { encodeRequest, ratePerSecond, sendLoad, unlimitedQuotas } from './load.ts';

const fleets = [100, 100_000];
const active = 16;
const manifestsPerVehicle = 50;
const pollMilliseconds = 3_000;

/** Rows as a registration leaves them, copied from one of the vehicles that really registered. */
const copies = [
  `INSERT INTO vehicles (vehicle_id, primary_ecu_id, registered, fleet)
   SELECT 'copy-' || i, 'copy-' || i || '-primary', registered, fleet
   FROM copied, vehicles WHERE vehicle_id = 'vehicle-0'`,
  `INSERT INTO ecus (ecu_id, vehicle_id, position, description)
   SELECT 'copy-' || i || CASE position WHEN 0 THEN '-primary' ELSE '-brakes' END, 'copy-' || i,
     position, description
   FROM copied, ecus WHERE vehicle_id = 'vehicle-0'`,
  `INSERT INTO ecu_keys (key_id, ecu_id)
   SELECT randomblob(32), 'copy-' || i || '-primary' FROM copied`,
  `INSERT INTO director_metadata (vehicle_id, role, version, expires, root_version, bytes)
   SELECT 'copy-' || i, role, version, expires, root_version, bytes
   FROM copied, director_metadata WHERE vehicle_id = 'vehicle-0'`,
];

/** Registers copies in the database of a backend that is switched off. */
function registerCopies(stateFolder: string, from: number, to: number): void {
  const database = new DatabaseSync(join(stateFolder, 'director.sqlite'));
  database.exec('PRAGMA synchronous = OFF; BEGIN');
  const copied = `WITH RECURSIVE copied (i) AS
    (SELECT ${from} UNION ALL SELECT i + 1 FROM copied WHERE i < ${to})`;
  for (const copy of copies) database.exec(`${copied} ${copy}`);
  database.exec('COMMIT; ANALYZE');
  database.close();
}

interface Cost {
  /** CPU microseconds of the backend. */
  readonly poll: number;
  readonly manifest: number;
}

export async function benchFleetSize(): Promise<Result[]> {
  const backend = await TestBackend.start({ quotas: unlimitedQuotas });
  backend.now = Math.floor(Date.now() / 1_000);
  const vehicles = Array.from({ length: active }, (_, i) => new TestVehicle(`vehicle-${i}`));
  for (const vehicle of vehicles) await backend.register(vehicle);
  const costs: Cost[] = [];
  let registered = active;
  let counter = 1;
  for (const fleet of fleets) {
    await backend.backend.close();
    registerCopies(backend.configuration.stateFolder, registered + 1, fleet);
    registered = fleet;
    await backend.open();
    costs.push(await measure(backend, vehicles, counter));
    counter += manifestsPerVehicle;
  }
  await backend.backend.close();
  const { size } = statSync(join(backend.configuration.stateFolder, 'director.sqlite'));
  await backend.open();
  await backend.stop();
  const [few, many] = costs;
  const compare = (name: string, cost: (costs: Cost) => number): Result => {
    const [before, after] = [cost(few!), cost(many!)];
    return {
      name: `${name}, ${fleets[1]!.toLocaleString('en')} vehicles`,
      value: after,
      unit: 'CPU us',
      note: `${(after / before).toFixed(2)}x of ${before.toFixed(0)} with ${fleets[0]}`,
    };
  };
  return [
    compare('poll', ({ poll }) => poll),
    compare('manifest', ({ manifest }) => manifest),
    {
      name: 'database for a vehicle',
      value: size / fleets[1]! / 1_024,
      unit: 'KiB',
      note: 'two ECUs, their keys, Targets, Snapshot and Timestamp, before any manifest',
    },
  ];
}

/** CPU of this process, the backend, for each answer; the vehicles are another process. */
async function measure(
  backend: TestBackend,
  vehicles: readonly TestVehicle[],
  counter: number,
): Promise<Cost> {
  const { director: port } = backend.backend.ports;
  const polls = vehicles.map(({ vehicleId }) => [
    encodeRequest('GET', `/metadata/${vehicleId}/timestamp.cbor`),
  ]);
  const manifests = vehicles.map((vehicle) =>
    Array.from({ length: manifestsPerVehicle }, (_, i) => {
      const body = vehicle.manifest({ counter: counter + i });
      return encodeRequest('POST', `/manifest/${vehicle.vehicleId}`, body);
    }),
  );
  const costOf = async (requests: Uint8Array[][], repeat: boolean, milliseconds: number) => {
    const before = process.cpuUsage();
    const result = await sendLoad({ port, requests, repeat, milliseconds });
    const { user, system } = process.cpuUsage(before);
    const answers = ratePerSecond(result) * result.seconds;
    return (user + system) / answers;
  };
  return {
    poll: await costOf(polls, true, pollMilliseconds),
    manifest: await costOf(manifests, false, 60_000),
  };
}
