/** `ota assign`: what the ECUs of a vehicle shall run. */
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { maxEcusPerVehicle } from '../../../agent/limits.ts';
import { filename, identifier } from '../../../agent/metadata/common.ts';
import type { Arguments } from '../arguments.ts';
import { assign } from '../assign.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { clientOf, serverOptions } from '../settings.ts';

export const assignCommands: readonly Command[] = [
  {
    name: 'assign',
    summary: 'Assign published images to ECUs of a vehicle',
    positionals: [],
    options: {
      vehicle: { value: 'ID', help: 'which vehicle', required: true },
      ecu: { value: 'ID', help: 'an ECU of it', required: true, multiple: true },
      image: { value: 'NAME', help: 'its image', required: true, multiple: true },
      ...serverOptions,
    },
    notes: [
      'The first --ecu gets the first --image, the second the second, and so on:',
      '  ota assign --vehicle V1 --ecu gateway --image gw-2.bin --ecu brakes --image br-7.bin',
      'ECUs that are not named keep what they have been assigned.',
    ],
    run,
  },
];

async function run(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const vehicleId = given.text('vehicle', identifier);
  const ecus = given.texts('ecu', identifier);
  const images = given.texts('image', filename);
  if (ecus.length !== images.length) {
    given.refuse(`${ecus.length} --ecu with ${images.length} --image: they go in pairs`);
  }
  if (ecus.length > maxEcusPerVehicle) given.refuse(`--ecu: at most ${maxEcusPerVehicle}`);
  const repeated = ecus.find((ecu, index) => ecus.indexOf(ecu) !== index);
  if (repeated !== undefined) given.refuse(`--ecu ${repeated} is given more than once`);
  if (given.refusal) return given.refusal;
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const assignments = ecus.map((ecuId, index) => ({ ecuId, filename: images[index]! }));
  const answer = await assign(client, { vehicleId, assignments });
  if (isRefusal(answer)) return answer;
  return {
    lines: [
      ...assignments.map(({ ecuId, filename: name }) => `${ecuId} shall run ${name}`),
      `Director Targets ${answer.version} of ${vehicleId} say so`,
    ],
    json: { vehicleId, version: answer.version, assignments },
  };
}
