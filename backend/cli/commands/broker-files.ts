/** `ota broker-files`: a mosquitto or a NATS server as the doorbell's broker, ready to start. */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isRefusal, type Refusal, refuse } from '../../../agent/codes.ts';
import { identifier } from '../../../agent/metadata/common.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { mosquittoFiles } from '../../notify/mosquitto.ts';
import { fitsNats, natsFiles } from '../../notify/nats.ts';
import { defaultServerName } from '../../settings.ts';
import { readDeviceRootCertificate } from '../../signer/device-authorities.ts';
import { readSmallFile, reasonOf, writeDurableFile } from '../../signer/durable-file.ts';
import { EnrolmentAuthority } from '../../signer/enrolment-authority.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Outcome } from '../command.ts';
import {
  keysFolderOf,
  keysOption,
  onlinePassphraseOf,
  onlinePassphraseOption,
  passphraseOf,
  passphraseOption,
  withToken,
} from '../settings.ts';

const defaultPort = 8_883;
const defaultPublisherPort = 8_884;
const defaultDays = 90;
const maxDays = 825;
const secondsPerDay = 86_400;
/** A line for each of a hundred thousand vehicles, and more. */
const maxListBytes = 16_777_216;

export const brokerCommands: readonly Command[] = [
  {
    name: 'broker-files',
    summary: "Write the configuration of a mosquitto, or a NATS server, as the doorbell's broker",
    positionals: [],
    options: {
      out: { value: 'DIR', help: 'folder for it, where the broker will find it', required: true },
      'nats-vehicles': {
        value: 'FILE',
        help: 'for a NATS server instead: ids of the vehicles that may listen, one a line',
      },
      host: { value: 'ADDRESS', help: 'address that it listens on (default: all)' },
      port: { value: 'PORT', help: `for vehicles (default ${defaultPort})` },
      'publisher-port': { value: 'PORT', help: `for backends (default ${defaultPublisherPort})` },
      name: { value: 'NAME', help: `DNS name in its certificate (default ${defaultServerName})` },
      days: { value: 'N', help: `how long its certificate is valid (default ${defaultDays})` },
      ...keysOption,
      ...passphraseOption,
      ...onlinePassphraseOption,
    },
    notes: [
      'Start it by: mosquitto -c DIR/mosquitto.conf; backends by MQTT_URL=mqtts://HOST:PUBLISHER-PORT.',
      'Run it again before the certificate ends, or after ota enrolment-ca, and restart mosquitto.',
      'NATS: nats-server -c DIR/nats.conf; vehicles and backends by the one port. Run it again and',
      'nats-server --signal reload when vehicles are added.',
    ],
    run,
  },
];

async function run(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const keysFolder = keysFolderOf(given, context);
  const folder = resolve(given.optional('out')!);
  const port = given.integer('port', 1, 65_535, defaultPort);
  const publisherPort = given.integer('publisher-port', 1, 65_535, defaultPublisherPort);
  const days = given.integer('days', 1, maxDays, defaultDays);
  const host = given.optional('host');
  const name = given.optional('name') ?? defaultServerName;
  const vehicleIds = vehiclesOf(given);
  if (given.refusal) return given.refusal;
  // What stands in the configuration's lines must not become lines of its own.
  for (const text of [folder, host ?? '', name]) {
    if (/\s/.test(text)) return refuse('argument-invalid', `'${text}': has a blank or line break`);
  }
  const online = onlinePassphraseOf(given, context) ?? passphraseOf(given, context);
  if (isRefusal(online)) return online;
  const root = readDeviceRootCertificate(keysFolder);
  if (isRefusal(root)) return root;
  const issued = await withToken(context, async (token) => {
    const keys = { folder: keysFolder, passphrase: online, token };
    const seconds = days * secondsPerDay;
    const authority = await EnrolmentAuthority.open(createNodeCrypto(), keys, seconds);
    if (isRefusal(authority)) return authority;
    const server = await authority.issueServer(name, Math.floor(Date.now() / 1_000), seconds);
    return { server, anchors: [root.toString(), ...authority.anchors] };
  });
  if (isRefusal(issued)) return issued;
  const { server, anchors } = issued;
  const common = { folder, host, port, server, anchors };
  const files =
    vehicleIds === undefined
      ? mosquittoFiles({ ...common, publisherPort })
      : natsFiles({ ...common, vehicleIds });
  try {
    mkdirSync(folder, { recursive: true });
    for (const { name: file, text, secret } of files) {
      writeDurableFile(join(folder, file), Buffer.from(text), secret ? 0o600 : 0o644);
    }
  } catch (error) {
    return refuse('file-unwritable', `${folder}: ${reasonOf(error)}`);
  }
  const program = vehicleIds === undefined ? 'mosquitto' : 'nats-server';
  return {
    lines: [
      `${program} -c ${join(folder, files[0]!.name)}`,
      `valid until ${server.notAfter} (unix seconds)`,
    ],
    json: {
      ...{ folder, port, notAfter: server.notAfter },
      ...(vehicleIds === undefined ? { publisherPort } : { vehicles: vehicleIds.length }),
    },
  };
}

/** The vehicles that a file lists, for a NATS server; undefined without a file. */
function vehiclesOf(given: Arguments): readonly string[] | undefined {
  const name = 'nats-vehicles';
  const file = given.optional(name);
  if (file === undefined) return undefined;
  const bytes = given.accept(readSmallFile(file, maxListBytes), new Uint8Array(0));
  const lines = Buffer.from(bytes).toString('latin1').split('\n');
  const vehicleIds = lines.map((line) => line.trim()).filter((line) => line !== '');
  for (const vehicleId of vehicleIds) {
    // Nothing else than a name may come into the configuration.
    given.checked(name, vehicleId, identifier);
    if (!fitsNats(vehicleId)) {
      given.refuse(`--${name} '${vehicleId}': NATS has no topics with a dot; use a mosquitto`);
    }
  }
  return vehicleIds;
}
