import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('ota launcher');
const launcher = resolve('backend/cli/ota.js');

/** Runs the launcher and gathers what it says; `signal` is the one that ended it. */
function start(words: readonly string[], file = launcher, environment: object = {}) {
  const child = spawn(process.execPath, [file, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let out = '';
  let error = '';
  child.stdout!.on('data', (bytes) => {
    out += bytes;
  });
  child.stderr!.on('data', (bytes) => {
    error += bytes;
  });
  return { child, ended: ended(child, () => ({ out, error })) };
}

function ended(child: ChildProcess, texts: () => { out: string; error: string }) {
  return new Promise<{ code: number | null; signal: string | null; out: string; error: string }>(
    (settle) => child.on('close', (code, signal) => settle({ code, signal, ...texts() })),
  );
}

test('the exit status is that of the command', async () => {
  assert.is((await start(['help']).ended).code, 0);
  assert.is((await start(['inspect', '/nowhere']).ended).code, 1);
  const misuse = await start(['frobnicate']).ended;
  assert.is(misuse.code, 2);
  assert.match(misuse.error, /unknown command 'frobnicate'/);
});

test('it works from another folder and through a link, as npx runs it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ota-launcher-'));
  const link = join(folder, 'ota');
  symlinkSync(launcher, link);
  assert.match((await start(['help'], link).ended).out, /^Usage: ota COMMAND/);
  rmSync(folder, { recursive: true });
});

test('a signal ends the command', async () => {
  let close = (): void => undefined;
  const asked = new Promise<string>((url) => {
    // A backend that never answers keeps the command waiting.
    const server = createServer(() => arrived());
    server.listen(0, '127.0.0.1', () => {
      url(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
    close = () => {
      server.closeAllConnections();
      server.close();
    };
  });
  let arrived = (): void => undefined;
  const waiting = new Promise<void>((go) => {
    arrived = go;
  });
  const environment = { OTA_URL: await asked, OTA_OPERATOR_TOKEN: 'a-token-of-the-tests' };
  const { child, ended: end } = start(['status'], launcher, environment);
  await waiting;
  child.kill('SIGTERM');
  const { signal, code } = await end;
  close();
  assert.ok(signal === 'SIGTERM' || code === 143, `${signal} ${code}`);
});

test('without a new enough Node it says what to do', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ota-launcher-'));
  mkdirSync(join(folder, 'backend', 'cli'), { recursive: true });
  cpSync(launcher, join(folder, 'backend', 'cli', 'ota.js'));
  cpSync('package.json', join(folder, 'package.json'));
  // The version is read from process.versions: a preload stands for an older Node.
  const preload = `data:text/javascript,${encodeURIComponent(
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.19.0' } });",
  )}`;
  const options = { NODE_OPTIONS: `--import=${preload}` };
  const { code, error } = await start(['help'], join(folder, 'backend/cli/ota.js'), options).ended;
  assert.is(code, 1);
  assert.match(error, /needs Node 24\.6 or newer; this is 20\.19\.0/);
  assert.match(error, /make setup/);
  rmSync(folder, { recursive: true });
});

test.run();
