import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { commands } from '../../../backend/cli/commands.ts';
import { run } from '../../../backend/cli/run.ts';

const test = suite('ota: arguments');
const folder = mkdtempSync(join(tmpdir(), 'ota-arguments-'));
const emptyFile = join(folder, 'empty');
writeFileSync(emptyFile, '\n');
/** A port of the discard service, on which nothing listens: no test below may get that far. */
const secrets = { OTA_OPERATOR_TOKEN: 'a-token-of-the-tests', OTA_PASSPHRASE: 'a passphrase' };

async function ota(words: readonly string[], environment: Record<string, string> = secrets) {
  let out = '';
  let error = '';
  const status = await run(words, {
    environment: { OTA_URL: 'http://127.0.0.1:9', OTA_KEYS: join(folder, 'none'), ...environment },
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
    interactive: false,
  });
  return { status, out, error };
}

const publish = 'image publish F --filename n --hardware h --release 1 --kind opaque';
const assign = 'assign --vehicle v --ecu e --image i';

/** Command line, and what the message has to name. */
const misuses: readonly (readonly [string, RegExp])[] = [
  ['frobnicate', /unknown command 'frobnicate'/],
  ['--frobnicate', /unknown command '--frobnicate'/],
  ['image', /'image' needs an action: expected one of publish, list/],
  ['image frobnicate', /unknown command 'image frobnicate'.*publish/],
  ['image --json', /'image' needs an action|"code":"argument-invalid"/],
  ['status --frobnicate', /'--frobnicate'/],
  ['status extra', /'extra' is one argument too many/],
  ['status --url', /--url <value>/],
  ['status --url --json', /--url/],
  ['status --url=', /--url has an empty value/],
  ['status --json=yes', /--json/],
  ['status --url a --url b', /--url is given more than once/],
  ['status --url nowhere', /--url 'nowhere': expected http:\/\/HOST:PORT/],
  ['status --url ftp://host', /expected http/],
  ['status --url http://user:secret@host', /expected http/],
  ['status --url http://host/path', /expected http/],
  ['status --token a --token-file b', /exclude each other/],
  [`status --token-file ${emptyFile}`, /operator token.*is empty/],
  ['inspect', /FILE is missing/],
  ['inspect a b', /'b' is one argument too many/],
  ['image publish', /FILE is missing/],
  ['image publish F', /--filename NAME is missing/],
  ['image publish F --filename n', /--hardware ID\[,ID\] is missing/],
  [publish.replace('--release 1', '--release -1'), /--release/],
  [publish.replace('--release 1', '--release=-1'), /--release '-1'/],
  [publish.replace('--release 1', '--release 1.5'), /--release '1.5'/],
  [publish.replace('--release 1', '--release 0x10'), /--release '0x10'/],
  [publish.replace('--release 1', '--release 1e3'), /--release '1e3'/],
  [publish.replace('--release 1', '--release 9007199254740992'), /--release '9007199254740992'/],
  [publish.replace('--release 1', `--release ${'9'.repeat(400)}`), /--release/],
  [
    publish.replace('opaque', 'opaquer'),
    /--kind 'opaquer': expected one of agent, opaque, runtime/,
  ],
  [publish.replace('opaque', 'toString'), /--kind 'toString'/],
  [publish.replace('--filename n', '--filename ../n'), /--filename '..\/n'.*not allowed/],
  [publish.replace('--filename n', '--filename a/b'), /--filename/],
  [publish.replace('--filename n', `--filename ${'n'.repeat(129)}`), /--filename.*128/],
  [publish.replace('--filename n', '--filename ümlaut'), /--filename/],
  [publish.replace('--hardware h', '--hardware a,,b'), /--hardware ''/],
  [publish.replace('--hardware h', '--hardware a/b'), /--hardware 'a\/b'/],
  [`${publish} --bytecode-version 1`, /--bytecode-version: only for --kind agent and runtime/],
  [`${publish} --hal-version x`, /--hal-version 'x'/],
  [`${publish} --expires-days 0`, /--expires-days '0': expected a whole number from 1/],
  [
    publish.replace('--hardware h', `--hardware ${Array.from({ length: 33 }, (_, i) => `h${i}`)}`),
    /at most 32/,
  ],
  ['image remove', /NAME is missing/],
  ['image remove a/b', /NAME 'a\/b'/],
  ['vehicle show', /ID is missing/],
  ['vehicle show ../v', /ID '..\/v'/],
  ['vehicle token --vehicle a/b', /--vehicle 'a\/b'/],
  ['metadata refresh', /--vehicle ID is missing/],
  ['assign --vehicle v', /--ecu ID is missing/],
  [`${assign} --ecu f`, /2 --ecu with 1 --image/],
  [`${assign} --step 1 --step 2`, /1 --ecu with 2 --step/],
  [`${assign} --step 1024`, /--step '1024': expected a whole number from 0 to 1023/],
  [`${assign} --policy never`, /--policy 'never': expected one of stop, retry, two-phase/],
  [`${assign} --policy retry --attempts 17`, /--attempts '17': expected .* 1 to 16/],
  [`${assign} --attempts 2`, /--attempts goes with --policy/],
  [`${assign} --ecu e --image j`, /--ecu e is given more than once/],
  ['ceremony --director-root-keys 0', /--director-root-keys '0'/],
  ['ceremony --director-root-keys 9', /--director-root-keys '9'/],
  ['ceremony --director-root-keys 2 --director-root-threshold 3', /threshold 3: expected 1 to 2/],
  ['ceremony --images-root-keys 8 --images-targets-keys 8', /more than 65536 bytes/],
  ['ceremony --images-targets-threshold 0', /--images-targets-threshold '0'/],
  [`ceremony --out ${folder}`, /has content already/],
  [`ceremony --out ${emptyFile}`, /not a folder/],
  ['root show', /--repository director\|images is missing/],
  ['root show --repository both', /--repository 'both': expected one of director, images/],
  ['root rotate --repository images', /--role/],
  ['root rotate --repository images --role time', /--role time: not a role of the images/],
  ['root rotate --repository director --role time --number 2', /--number/],
  ['help frobnicate', /unknown command 'frobnicate'/],
];

for (const [line, message] of misuses) {
  test(`'ota ${line.slice(0, 70)}' is refused, exit status 2`, async () => {
    const { status, out, error } = await ota(line.split(' '));
    assert.is(status, 2, error);
    if (line.includes('--json') && out !== '') {
      assert.match(out, /"code":"argument-invalid"/);
      return;
    }
    assert.is(out, '');
    assert.match(error, /^ota: argument-invalid: /);
    assert.match(error, message);
    assert.match(error, /\nSee 'ota help/);
  });
}

test('missing secrets are named with the way to give them', async () => {
  const none = { OTA_OPERATOR_TOKEN: '', OTA_PASSPHRASE: '' };
  const token = await ota(['status'], none);
  assert.is(token.status, 2);
  assert.match(token.error, /--token-file FILE or set OTA_OPERATOR_TOKEN/);
  const passphrase = await ota(['ceremony'], none);
  assert.is(passphrase.status, 2);
  assert.match(passphrase.error, /--passphrase-file FILE or set OTA_PASSPHRASE/);
});

test('secrets are read from the files that the environment names', async () => {
  const token = join(folder, 'token');
  writeFileSync(token, 'bad\u0007token\n');
  const { status, error } = await ota(['status'], { OTA_OPERATOR_TOKEN_FILE: token });
  assert.is(status, 2);
  assert.match(error, /operator token has characters/);
});

test('an unreadable file is a refused operation, exit status 1', async () => {
  for (const words of [
    ['inspect', folder],
    ['status', '--token-file', join(folder, 'absent')],
  ]) {
    const { status, error } = await ota(words);
    assert.is(status, 1);
    assert.match(error, /^ota: file-unreadable: /);
  }
});

test('a backend that does not run is named, exit status 1', async () => {
  const { status, error } = await ota(['status']);
  assert.is(status, 1);
  assert.match(error, /^ota: net-unreachable: nothing listens on http:\/\/127.0.0.1:9/);
});

test('--json gives one JSON value also for a refusal', async () => {
  const { status, out, error } = await ota(['status', '--json']);
  assert.is(status, 1);
  assert.is(error, '');
  assert.is((JSON.parse(out) as { code: string }).code, 'net-unreachable');
});

test('help lists every command and explains each', async () => {
  for (const words of [[], ['help'], ['--help'], ['-h']]) {
    const { status, out } = await ota(words);
    assert.is(status, 0);
    for (const { name } of commands) assert.ok(out.includes(`  ${name} `), name);
  }
  for (const { name, options } of commands) {
    const byHelp = await ota(['help', ...name.split(' ')]);
    const byOption = await ota([...name.split(' '), '--help']);
    assert.is(byHelp.status, 0);
    assert.is(byOption.out, byHelp.out);
    for (const option of Object.keys(options)) assert.ok(byHelp.out.includes(`--${option}`), name);
    for (const line of byHelp.out.split('\n').slice(1)) assert.ok(line.length <= 110, line);
  }
  assert.match((await ota(['help', 'image'])).out, /image publish/);
});

test('no option is declared both with and without a value', () => {
  for (const { name, options } of commands) {
    for (const [option, { multiple, value }] of Object.entries(options)) {
      assert.ok(!multiple || value !== undefined, `${name} --${option}`);
    }
  }
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
