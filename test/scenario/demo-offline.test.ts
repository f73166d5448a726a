/** `make demo OFFLINE=1`: release 2 from a folder while no backend runs, then the truth is told. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runDemo } from './demo-run.ts';

const test = suite('demo OFFLINE=1');

test('OFF-04, OFF-06: three ECUs are updated from a medium, and the Director learns it', async () => {
  const run = await runDemo({ OFFLINE: '1' });
  try {
    assert.is(run.status, 0, run.output);
    const report = run.report!;
    assert.is(report.result, 'installed');
    assert.is(report.manifestAccepted, true);
    assert.equal(
      report.ecus.map(({ ecuId, version, slot }) => [ecuId, version, slot]),
      [
        ['primary', 2, 'B'],
        ['full', 2, 'B'],
        ['partial', 2, 'B'],
      ],
    );
    // HRD-03: an ECU that had no time since its start says so; no attack is seen in anything
    const codes = report.refusals.map(({ code }) => code);
    assert.ok(codes.includes('time-silent'), codes.join(' '));
    assert.equal(
      codes.filter((code) => code !== 'time-silent' && code !== 'net-unreachable'),
      [],
    );
    const medium = join(run.folder, 'medium');
    assert.ok(existsSync(join(medium, 'director/offline-targets.cbor')));
    const off = run.output.indexOf('The backend is off');
    const on = run.output.indexOf('The backend is on again');
    const confirmed = [...run.output.matchAll(/100% {2}confirmed/g)].map(({ index }) => index);
    assert.is(confirmed.length, 3, run.output);
    assert.ok(confirmed.every((index) => index > off && index < on));
  } finally {
    run.remove();
  }
});

test.run();
