/** Files of a medium: what the Primary hands on is what its own verification has read. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { MediumSource } from '../../../agent/primary/medium-source.ts';
import { crypto } from '../install/rig.ts';

test('ECU-05: a file that was exchanged after the verification is handed to nobody', () => {
  const files = new Map([['director/2.root.cbor', Uint8Array.of(1, 2, 3)]]);
  const source = new MediumSource(
    {
      length: (path) => files.get(path)?.length,
      read: (path, buffer, offset) => {
        const file = files.get(path);
        if (file === undefined) return false;
        buffer.set(file.subarray(offset, offset + buffer.length));
        return true;
      },
    },
    crypto,
  );
  const request = { repository: 'director', name: '2.root.cbor', maxBytes: 10 } as const;
  assert.is(source.verified('director', '2.root.cbor'), undefined, 'not read by the verification');
  assert.equal(source.metadata(request), Uint8Array.of(1, 2, 3));
  assert.equal(source.verified('director', '2.root.cbor'), Uint8Array.of(1, 2, 3));
  files.set('director/2.root.cbor', Uint8Array.of(1, 2, 4));
  const outcome = source.verified('director', '2.root.cbor');
  assert.is(isRefusal(outcome) && outcome.refused, 'medium-removed');
});

test.run();
