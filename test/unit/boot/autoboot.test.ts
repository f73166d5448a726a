/** `autoboot.txt` of a Raspberry Pi: both partitions are found and set, the rest stays. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readAutoboot, writeAutoboot } from '../../../hal/boot/autoboot.ts';

const both = '[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n';

test('a new file says which partition boots, and which one once', () => {
  assert.is(writeAutoboot('', { normal: 2, trial: 3 }), both);
  assert.equal(readAutoboot(both), { normal: 2, trial: 3 });
});

test('only the two numbers change; other lines and sections stay where they are', () => {
  const before =
    '# of the card\n[pi5]\nboot_partition=9\n[all]\nboot_partition=2\n[tryboot]\r\nboot_partition=3\nx=1\n';
  const after = writeAutoboot(before, { normal: 3, trial: 2 });
  assert.equal(readAutoboot(after), { normal: 3, trial: 2 });
  assert.match(after, '# of the card\n[pi5]\nboot_partition=9\n[all]\nboot_partition=3\n');
  assert.match(after, 'boot_partition=2\nx=1\n');
  assert.match(after, /\[all\]\ntryboot_a_b=1\n$/);
  assert.equal(readAutoboot(writeAutoboot(after, { normal: 2, trial: 3 })), {
    normal: 2,
    trial: 3,
  });
});

test('what comes before any section counts always, and other sections never', () => {
  assert.equal(readAutoboot('boot_partition=2\n[none]\nboot_partition=7\n'), {
    normal: 2,
    trial: undefined,
  });
  assert.equal(readAutoboot('[tryboot]\nboot_partition=x\n'), {
    normal: undefined,
    trial: undefined,
  });
});

test('a file that the firmware would not read to its end is not written', () => {
  assert.throws(() => writeAutoboot(`# ${'-'.repeat(500)}\n`, { normal: 2, trial: 3 }), /512/);
});

test.run();
