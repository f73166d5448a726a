/** `ota assign`: what the ECUs of a vehicle shall run. */
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { maxBundleAttempts, maxEcusPerVehicle, maxInstallStep } from '../../../agent/limits.ts';
import { filename, identifier } from '../../../agent/metadata/common.ts';
import { bundleFailures } from '../../../agent/metadata/targets.ts';
import type { Arguments } from '../arguments.ts';
import { assign } from '../assign.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { clientOf, serverOptions } from '../settings.ts';

const policies = Object.keys(bundleFailures) as (keyof typeof bundleFailures)[];

export const assignCommands: readonly Command[] = [
  {
    name: 'assign',
    summary: 'Assign published images to ECUs of a vehicle',
    positionals: [],
    options: {
      vehicle: { value: 'ID', help: 'which vehicle', required: true },
      ecu: { value: 'ID', help: 'an ECU of it', required: true, multiple: true },
      image: { value: 'NAME', help: 'its image', required: true, multiple: true },
      step: {
        value: 'N',
        help: 'when it installs: lower steps first (default: 0)',
        multiple: true,
      },
      policy: {
        value: 'POLICY',
        help: `when one fails: ${policies.join(', ')} (default: as it is)`,
      },
      attempts: { value: 'N', help: 'tries before it counts as failed (default: 1)' },
      ...serverOptions,
    },
    notes: [
      'The first --ecu gets the first --image, the second the second, and so on:',
      '  ota assign --vehicle V1 --ecu gateway --image gw-2.bin --ecu brakes --image br-7.bin',
      'ECUs that are not named keep what they have been assigned.',
      'With --step there is one for each --ecu; ECUs of a higher step wait until those of the',
      'lower ones have confirmed. The policy is one for all of the vehicle: stop and report;',
      'retry, --attempts times; two-phase: all ECUs confirm together, or all go back.',
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
  const steps = given.integers('step', 0, maxInstallStep);
  if (steps.length > 0 && steps.length !== ecus.length) {
    given.refuse(`${ecus.length} --ecu with ${steps.length} --step: none, or one for each`);
  }
  const attempts = given.integer('attempts', 1, maxBundleAttempts);
  const named = given.optional('policy') !== undefined;
  const policy = named ? given.choice('policy', policies) : undefined;
  if (!named && given.optional('attempts') !== undefined) {
    given.refuse('--attempts goes with --policy');
  }
  const repeated = ecus.find((ecu, index) => ecus.indexOf(ecu) !== index);
  if (repeated !== undefined) given.refuse(`--ecu ${repeated} is given more than once`);
  if (given.refusal) return given.refusal;
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const assignments = ecus.map((ecuId, index) => ({
    ecuId,
    filename: images[index]!,
    ...(steps.length > 0 && { installStep: steps[index]! }),
  }));
  const answer = await assign(client, {
    vehicleId,
    assignments,
    ...(policy && { bundlePolicy: { onFailure: bundleFailures[policy], attempts } }),
  });
  if (isRefusal(answer)) return answer;
  return {
    lines: [
      ...assignments.map(({ ecuId, filename: name }) => `${ecuId} shall run ${name}`),
      ...(policy ? [`when one fails: ${policy}, ${attempts} attempts`] : []),
      `Director Targets ${answer.version} of ${vehicleId} say so`,
    ],
    json: {
      vehicleId,
      version: answer.version,
      assignments,
      ...(policy && { bundlePolicy: { onFailure: policy, attempts } }),
    },
  };
}
