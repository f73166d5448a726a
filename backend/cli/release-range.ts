/** How an operator writes releases of other ECUs: `HARDWARE@2`, `HARDWARE@2-`, `HARDWARE@2-5`. */
import { encode } from '../../agent/codec/schema.ts';
import { type Refusal, refuse } from '../../agent/codes.ts';
import { identifier } from '../../agent/metadata/common.ts';
import type { ReleaseRange } from '../../agent/metadata/targets.ts';

const form = /^([^@]+)@(\d{1,16})(-(\d{1,16})?)?$/;

/** Reads one range. Code `argument-invalid`. */
export function parseReleaseRange(text: string): ReleaseRange | Refusal {
  const [, hardwareId, first, rest, last] = form.exec(text) ?? [];
  const min = Number(first);
  const max = rest === undefined ? min : last === undefined ? undefined : Number(last);
  const wrong = `'${text}': expected HARDWARE@RELEASE, HARDWARE@FIRST- or HARDWARE@FIRST-LAST`;
  if (hardwareId === undefined || !Number.isSafeInteger(min)) {
    return refuse('argument-invalid', wrong);
  }
  if (max !== undefined && (max < min || !Number.isSafeInteger(max))) {
    return refuse('argument-invalid', `'${text}': the last release is below the first`);
  }
  try {
    encode(identifier, hardwareId);
  } catch (error) {
    // The encoder throws RangeError for characters that identifiers have not.
    if (!(error instanceof RangeError)) throw error;
    return refuse('argument-invalid', `'${text}': ${hardwareId} is no hardware identifier`);
  }
  return { hardwareId, min, ...(max !== undefined && { max }) };
}
