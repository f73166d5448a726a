import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { residentParts, withRest } from '../../size/resident-parts.ts';

const program = '/opt/ota/ecu-secondary';
/** As the kernel prints it, shortened. */
const smaps = `00400000-00401000 r--p 00000000 fe:00 3204104                            ${program}
Size:                  4 kB
Rss:                   4 kB
00401000-0046b000 r-xp 00001000 fe:00 3204104                            ${program}
Rss:                 424 kB
00481000-00497000 rw-p 00080000 fe:00 3204104                            ${program}
Rss:                  88 kB
00497000-00498000 rw-p 00000000 00:00 0 
Rss:                   4 kB
10000000-10120000 rw-p 00000000 00:00 0 
Rss:                 452 kB
1f3ac000-1f3ad000 rw-p 00000000 00:00 0                                  [heap]
Rss:                   8 kB
7f7e32610000-7f7e32633000 rw-p 00000000 00:00 0 
Rss:                 140 kB
7f7e32639000-7f7e3263b000 r-xp 00000000 00:00 0                          [vdso]
Rss:                   4 kB
7ffc046dd000-7ffc046fe000 rw-p 00000000 00:00 0                          [stack]
Rss:                  44 kB
`;

test('each mapping of a program belongs to one part of its resident memory', () => {
  const parts = residentParts(smaps, program);
  const kibibytes = Object.entries(parts).map(([name, bytes]) => [name, bytes / 1_024]);
  assert.equal(Object.fromEntries(kibibytes), {
    constants: 4,
    code: 424,
    data: 92,
    'JavaScript heap': 452,
    'C heap, bytecode': 148,
    'of the kernel': 4,
    stack: 44,
  });
});

test('a peak between two looks is named as that; one that was seen is not', () => {
  assert.equal(withRest({ code: 4_096 }, 5_000), { code: 4_096, 'between two looks': 904 });
  assert.equal(withRest({ code: 4_096 }, 4_096), { code: 4_096 });
});

test.run();
