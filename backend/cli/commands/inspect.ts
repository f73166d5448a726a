/** `ota inspect`: what a file of this project holds. */
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import type { Json } from '../../http/json-view.ts';
import { readSmallFile } from '../../signer/durable-file.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Outcome } from '../command.ts';
import { inspect, maxInspectedBytes } from '../inspect.ts';

export const inspectCommands: readonly Command[] = [
  {
    name: 'inspect',
    summary: 'Show what a metadata, report, key or other CBOR file holds',
    positionals: ['FILE'],
    options: {},
    notes: ['Signatures are shown, not verified. Byte strings are base64url.'],
    run,
  },
];

async function run(given: Arguments): Promise<Outcome | Refusal> {
  const bytes = readSmallFile(given.positionals[0]!, maxInspectedBytes);
  if (isRefusal(bytes)) return bytes;
  const inspected = inspect(bytes);
  if (isRefusal(inspected)) return inspected;
  const { format, content } = inspected;
  return {
    lines: [`${format}, ${bytes.length} bytes`, ...JSON.stringify(content, shorten, 2).split('\n')],
    json: { format, length: bytes.length, content },
  };
}

/** Signatures and keys are kilobytes that no person reads; `--json` has them whole. */
function shorten(_name: string, value: Json): Json {
  const long = typeof value === 'string' && value.length > 160;
  return long ? `${value.slice(0, 64)}… (${value.length} characters)` : value;
}
