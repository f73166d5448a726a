/** `ota offline bundle` for a Director whose Root names no offline roles. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { run } from '../../../backend/cli/run.ts';
import { operatorToken, TestBackend } from '../../scenario/backend-fixture.ts';

const test = suite('ota offline bundle');
let backend: TestBackend;

test.before(async () => {
  backend = await TestBackend.start();
});
test.after(() => backend.stop());

test('OFF-01: a Root that names no offline keys makes no medium', async () => {
  let written = '';
  const out = join(backend.folder, 'medium');
  const words = ['--out', out, '--campaign', 'recall', '--image', 'brakes-2.bin', '--json'];
  const status = await run(['offline', 'bundle', ...words], {
    environment: {
      OTA_KEYS: join(backend.folder, 'keys'),
      OTA_PASSPHRASE: 'passphrase of no key',
      OTA_OPERATOR_TOKEN: operatorToken,
      OTA_URL: `http://127.0.0.1:${backend.backend.ports.operator}`,
    },
    out: (text) => {
      written += text;
    },
    error: () => {},
    interactive: false,
  });
  assert.is(status, 1);
  const { code, row } = JSON.parse(written) as { readonly code: string; readonly row: string };
  assert.is(`${code} ${row}`, 'root-threshold OFF-01');
  assert.not.ok(existsSync(out));
});

test.run();
