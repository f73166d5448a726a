/** `ota broker-files`: who is listed for a NATS server is a vehicle, and one that it can serve. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { run } from '../../../backend/cli/run.ts';
import { natsFiles } from '../../../backend/notify/nats.ts';

const test = suite<{ folder: string }>('ota broker-files');
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'ota-broker-files-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

async function refusalOf(folder: string, list: string | undefined): Promise<string> {
  const file = join(folder, 'vehicles.txt');
  if (list !== undefined) writeFileSync(file, list);
  let said = '';
  const out = join(folder, 'broker');
  const status = await run(['broker-files', '--out', out, '--nats-vehicles', file], {
    environment: { OTA_PASSPHRASE: 'x' },
    out: () => undefined,
    error: (text) => {
      said += text;
    },
    interactive: false,
  });
  assert.ok(status !== 0);
  assert.not.ok(existsSync(out), 'nothing is written');
  return said;
}

test('a vehicle whose id has a dot is refused: it would be a level of the subject', async ({
  folder,
}) => {
  const said = await refusalOf(folder, 'car-1\ncar.2\n');
  assert.match(said, /argument-invalid/);
  assert.match(said, /'car\.2': NATS has no topics with a dot/);
});

test('what is no identifier never comes into the configuration', async ({ folder }) => {
  for (const line of ['car-1", permissions: {publish: ">"}', '>', 'car\u00e4', 'a'.repeat(65)]) {
    assert.match(await refusalOf(folder, `car-1\n${line}\n`), /argument-invalid/, line);
  }
});

test('a list that is not there is refused by its name', async ({ folder }) => {
  assert.match(await refusalOf(folder, undefined), /file-unreadable.*vehicles\.txt/);
});

test('a vehicle may hear its own subject and publish nothing; backends publish and hear nothing', () => {
  const [configuration] = natsFiles({
    folder: '/etc/broker',
    port: 8_883,
    server: { chain: 'CHAIN', key: 'KEY', notAfter: 0 },
    anchors: ['ROOT'],
    vehicleIds: ['car-1'],
  });
  const users = configuration!.text.split('\n').filter((line) => line.includes('{user:'));
  assert.equal(
    users.map((line) => line.trim()),
    [
      '{user: "CN=ota-backend", allowed_connection_types: ["MQTT"], permissions: {publish: {allow: ["ota.*"]}, subscribe: {deny: ">"}}}',
      '{user: "CN=vehicle:car-1", allowed_connection_types: ["MQTT"], permissions: {publish: {deny: ">"}, subscribe: {allow: ["ota.vehicle:car-1","$MQTT.sub.>"]}}}',
    ],
  );
});

test.run();
