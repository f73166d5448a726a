/** `make demo ATTACK=…` with real processes: the vehicle refuses, keeps running, and says so. */
import { suite } from 'uvu';
import { expectRefused } from './demo-attacks.ts';

const test = suite('demo under attack');

test('unsigned: a Timestamp without signatures is refused (CTS-02)', () =>
  expectRefused('unsigned', 'signature-missing', 'CTS-02'));

test('half-signature: one half of the composite does not count (HRD-18)', () =>
  expectRefused('half-signature', 'signature-half', 'HRD-18'));

test('cross-vehicle-replay: metadata of another vehicle is refused (HRD-01)', () =>
  expectRefused('cross-vehicle-replay', 'vehicle-mismatch', 'HRD-01'));

test.run();
