/** `ota verify-repo`: options, images, and how it ends. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assigned, compose, folder, image, later, model, ota, verifyWords } from './hand-made.ts';
import { app, behind, correct, judge, newState, replaced, told } from './verify-repo-fixture.ts';

const test = suite('ota verify-repo');

test('a repository signed without --force is verified', async () => {
  assert.is(await judge(correct(), false), 'ok app-1.bin');
});

test('FNM-02, FNM-03, VIM-09, PRI-09, PRI-10: --image looks at the file under each of its digests', async () => {
  const content = Buffer.alloc(56 + 1_000 + 16, 7);
  const digest = (name: string) => createHash(name).update(content).digest();
  const [short, long] = [digest('sha256'), digest('sha512')];
  const hashes = { '-16': short.toString('base64url'), '-44': long.toString('base64url') };
  const entry = { ...app, hashes };
  const director = await compose(model('director', [assigned(entry)]), false);
  const images = await compose(model('images', [entry]), false);
  const words = verifyWords(director, images);
  const judged = async (name: string) => told(await ota([...words, '--image', name]));
  assert.is(await judged('app-2.bin'), 'image-not-listed TGT-01');
  assert.is(await judged('app-1.bin'), 'image-unknown FNM-03');
  writeFileSync(join(images, `${short.toString('hex')}.app-1.bin`), content);
  assert.is(await judged('app-1.bin'), 'image-unknown FNM-03');
  const second = join(images, `${long.toString('hex')}.app-1.bin`);
  writeFileSync(second, content.subarray(1));
  assert.is(await judged('app-1.bin'), 'image-length VIM-09');
  writeFileSync(second, Buffer.alloc(content.length, 8));
  assert.is(await judged('app-1.bin'), 'image-hash PRI-09');
  writeFileSync(second, content);
  assert.is(await judged('app-1.bin'), 'ok app-1.bin');
});

test('CTG-08: --primary knows every ECU of the vehicle, a Secondary only itself', async () => {
  const other = image('app-2.bin', 6);
  const director = model('director', [assigned(app), assigned(other, 'ecu-2')]);
  const folders = [await compose(director, false), await compose(model('images', [app]), false)];
  const words = verifyWords(folders[0]!, folders[1]!);
  assert.is(told(await ota(words)), 'ok app-1.bin');
  assert.is(told(await ota([...words, '--primary'])), 'targets-ecu-unknown CTG-08');
  const both = [...words, '--primary', '--ecu', 'ecu-2', '--hardware', 'hw-a'];
  assert.is(told(await ota(both)), 'target-not-found RDL-08');
});

test('PV-03: --partial judges Director Root and Targets only', async () => {
  const director = await compose(correct().director, false);
  const words = [...verifyWords(director, join(folder, 'nothing')), '--partial'];
  assert.is(told(await ota(words)), 'ok app-1.bin');
  rmSync(join(director, '1.targets.cbor'));
  assert.is(told(await ota(words)), 'metadata-absent FNM-01');
});

test('HRD-03: without time nothing is verified', async () => {
  const words = verifyWords(await compose(correct().director, false), folder);
  const timed = (text: string) => [...replaced(words, '--time', text), '--partial'];
  const noTime = await ota(timed('0'));
  assert.is(told(noTime), 'time-unknown HRD-03');
  const date = await ota(timed('2027-01-15T08:00:00Z'));
  assert.is(told(date), 'ok app-1.bin');
  const late = new Date(later * 1_000).toISOString().replace('.000Z', 'Z');
  assert.is(told(await ota(timed(late))), 'metadata-expired CRT-06');
});

test('KEY-03: wrong arguments and folders end with status 2 and a sentence', async () => {
  const pair = correct();
  const director = await compose(pair.director, false);
  const images = await compose(pair.images, false);
  const words = verifyWords(director, images);
  const empty = join(folder, 'empty');
  mkdirSync(empty);
  const file = join(folder, 'a-file');
  writeFileSync(file, 'x');
  for (const [given, sentence] of [
    [words.slice(0, -2), /--hardware ID is missing/],
    [[...words, '--ecu', 'ecu-2'], /2 --ecu with 1 --hardware/],
    [replaced(words, '--time', 'today'), /--time 'today': expected unix seconds/],
    [replaced(words, '--vehicle', 'a b'), /--vehicle 'a b'/],
    [replaced(words, '--director', join(folder, 'nowhere')), /nowhere: no such file or folder/],
    [replaced(words, '--images', empty), /empty: no N\.root\.cbor/],
    [replaced(words, '--images', file), /a-file: part of the path is not a folder/],
    [[...words, '--state', file], /--state .*a-file: exists already/],
    [[...words, '--profile', 'best'], /--profile 'best': expected one of/],
  ] as const) {
    const { status, out, error } = await ota(given);
    assert.is(status, 2, error);
    assert.is(out, '');
    assert.match(error, sentence);
  }
  rmSync(join(images, 'timestamp.cbor'));
  mkdirSync(join(images, 'timestamp.cbor'));
  const { status, error } = await ota(words);
  assert.is(`${status} ${/timestamp.cbor: not a regular file/.test(error)}`, '2 true');
});

test('HRD-10: state is kept under encoded names, and a damaged state is no crash', async () => {
  const pair = correct();
  await behind(pair.images, ['..a']);
  const given = ['--state', newState()];
  assert.is(await judge(pair, false, given), 'ok app-1.bin');
  const names = readdirSync(given[1]!).sort();
  assert.ok(names.includes('images%2Frole%2F%2E%2Ea'), names.join());
  for (const name of names) writeFileSync(join(given[1]!, name), 'damaged');
  assert.is(await judge(pair, false, given), 'ok app-1.bin');
});

test('as a program: one JSON object on standard output, status 0 and 1', async () => {
  const pair = correct();
  const director = await compose(pair.director, false);
  const images = await compose(pair.images, false);
  const program = ['backend/cli/main.ts', ...verifyWords(director, images)];
  const good = execFileSync(process.execPath, program, { encoding: 'utf8' });
  assert.is(JSON.parse(good).targets[0].filename, 'app-1.bin');
  rmSync(join(images, '1.targets.cbor'));
  const bad = spawnSync(process.execPath, program, { encoding: 'utf8' });
  assert.is(bad.status, 1);
  const { result, code, row, attack, targets } = JSON.parse(bad.stdout);
  assert.equal([result, code, row, attack], ['refused', 'metadata-absent', 'FNM-01', null]);
  assert.equal(targets, []);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
