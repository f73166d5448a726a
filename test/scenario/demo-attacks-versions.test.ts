/** `make demo ATTACK=…` with real processes: the vehicle refuses, keeps running, and says so. */
import { suite } from 'uvu';
import { expectRefused } from './demo-attacks.ts';

const test = suite('demo under attack');

test('rollback: an older Timestamp is refused (CTS-03)', () =>
  expectRefused('rollback', 'metadata-rollback', 'CTS-03'));

test('freeze: an expired Timestamp is refused (CTS-04)', () =>
  expectRefused('freeze', 'metadata-expired', 'CTS-04'));

test('mix-and-match: Targets of another Snapshot are refused (CTG-02)', () =>
  expectRefused('mix-and-match', 'targets-version-mismatch', 'CTG-02'));

test.run();
