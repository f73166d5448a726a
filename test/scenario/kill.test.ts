/** A short `make kill-test`: ten cuts in one demonstration; the report is true and tells of them. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runDemo } from './demo-run.ts';

const test = suite('kill -9 of ECU processes');

test('VER-01, VER-02: ten power cuts at random instants, and the vehicle ends updated', async () => {
  const run = await runDemo({ KILLS: '10', SEED: '1' });
  try {
    assert.is(run.status, 0, run.output);
    const report = run.report!;
    assert.is(report.result, 'installed');
    assert.is(report.manifestAccepted, true);
    const names = ['primary', 'full', 'partial'];
    assert.equal(
      report.ecus.map(({ ecuId, version, slot }) => [ecuId, version, slot]),
      names.map((name) => [name, 2, 'B']),
    );
    for (const { flashFile, slotOffset, length, sha256, ecuId } of report.ecus) {
      const image = readFileSync(resolve(flashFile)).subarray(slotOffset, slotOffset + length);
      assert.is(createHash('sha256').update(image).digest('hex'), sha256, ecuId);
    }
    const last = /^(\d+) kills, vehicle updated 1 of 1 rounds$/.exec(
      run.output.trimEnd().split('\n').at(-1)!,
    );
    assert.ok(last, run.output);
    // A vehicle may be done before the tenth; the number says what has hit.
    const cuts = [...run.output.matchAll(/^Power cut (\d+) of 10: (\w+) \(/gm)];
    assert.is(cuts.length, Number(last![1]));
    assert.ok(cuts.length >= 5, run.output);
    assert.ok(new Set(cuts.map(([, , name]) => name)).size >= 2, run.output);
    // The report names every trial that a cut has ended (INS-12).
    for (const name of names) {
      if (!new RegExp(`^ +${name} .* rolled back`, 'm').test(run.output)) continue;
      const codes = report.refusals.filter(({ ecuId }) => ecuId === name).map(({ code }) => code);
      assert.ok(codes.includes('trial-rolled-back'), `${name}: ${codes.join(' ')}`);
    }
  } finally {
    run.remove();
  }
});

test.run();
