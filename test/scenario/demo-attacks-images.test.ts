/** `make demo ATTACK=…` with real processes: the vehicle refuses, keeps running, and says so. */
import { suite } from 'uvu';
import { expectRefused } from './demo-attacks.ts';

const test = suite('demo under attack');

test('tampered-image: a changed image never reaches an ECU (PRI-09)', () =>
  expectRefused('tampered-image', 'image-hash', 'PRI-09'));

test('wrong-ecu: an image for other hardware is refused (VIM-02)', () =>
  expectRefused('wrong-ecu', 'target-hardware', 'VIM-02'));

test('endless-data: a body without end is cut (CTS-01)', () =>
  expectRefused('endless-data', 'net-endless', 'CTS-01'));

test('slow-retrieval: a drip is given up and reported (ECU-03)', () =>
  expectRefused('slow-retrieval', 'net-too-slow', 'ECU-03'));

test.run();
