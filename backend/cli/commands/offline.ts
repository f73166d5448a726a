/** `ota offline …`: media for vehicles without a network (PURE-2). */
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { filename, identifier, roleName } from '../../../agent/metadata/common.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { daysFromNow } from '../image-targets.ts';
import { makeOfflineBundle } from '../offline-bundle.ts';
import {
  clientOf,
  keysFolderOf,
  keysOption,
  passphraseOf,
  passphraseOption,
  serverOptions,
} from '../settings.ts';

const defaultDays = 30;
const maxDays = 365;

export const offlineCommands: readonly Command[] = [
  {
    name: 'offline bundle',
    summary: 'Write a medium that updates vehicles without a network',
    positionals: [],
    options: {
      out: { value: 'DIR', help: "the medium's folder to make", required: true },
      campaign: { value: 'NAME', help: 'name of the campaign', required: true },
      image: { value: 'NAME', help: 'a published image', required: true, multiple: true },
      vehicle: { value: 'ID', help: 'a vehicle (default: all)', multiple: true },
      hardware: { value: 'ID', help: 'only ECUs of this hardware', multiple: true },
      'expires-days': { value: 'N', help: `validity of the campaign (default ${defaultDays})` },
      ...keysOption,
      ...passphraseOption,
      ...serverOptions,
    },
    notes: [
      'Every ECU gets the image that is for its hardware; its content key is wrapped for it alone.',
      'Needs the keys director-offline-snapshot-N and director-offline-targets-N in offline/.',
      'Give the Primary the folder as it is. A newer edition of a campaign ends the older ones.',
    ],
    run,
  },
];

async function run(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const out = given.optional('out') ?? '';
  const name = given.text('campaign', roleName);
  const filenames = given.texts('image', filename);
  const vehicleIds = given.texts('vehicle', identifier);
  const hardwareIds = given.texts('hardware', identifier);
  const days = given.integer('expires-days', 1, maxDays, defaultDays);
  const repeated = filenames.find((one, index) => filenames.indexOf(one) !== index);
  if (repeated !== undefined) given.refuse(`--image ${repeated} is given more than once`);
  if (given.refusal) return given.refusal;
  const passphrase = passphraseOf(given, context);
  if (isRefusal(passphrase)) return passphrase;
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const campaign = await makeOfflineBundle({
    crypto: createNodeCrypto(),
    client,
    keysFolder: keysFolderOf(given, context),
    passphrase,
    out,
    name,
    filenames,
    vehicleIds,
    hardwareIds,
    expires: daysFromNow(days),
    now: daysFromNow(0),
    progress: context.progress,
  });
  if (isRefusal(campaign)) return campaign;
  const { assignments, vehicles, version } = campaign;
  return {
    lines: [
      ...assignments.map(
        ({ vehicleId, ecuId, target }) => `${vehicleId} ${ecuId} gets ${filenames[target]}`,
      ),
      `campaign ${name}, version ${version}, for ${vehicles.length} vehicles is in ${out}`,
    ],
    json: {
      campaign: name,
      version,
      folder: out,
      assignments: assignments.map(({ vehicleId, ecuId, target }) => ({
        vehicleId,
        ecuId,
        filename: filenames[target]!,
      })),
    },
  };
}
