/**
 * What the ECU refused, kept until the Director has accepted a report that says so (EVR-04).
 * Durable, so that an attack seen before a reboot is still reported after it.
 */
import type { KeyValue } from '../../hal/types.ts';
import { array, decode, encode, field, type Infer, record } from '../codec/schema.ts';
import { attackOf, isRefusal, isTransient, type Refusal } from '../codes.ts';
import { maxAttacksPerReport, maxHostedEcusPerAgent } from '../limits.ts';
import { identifier } from '../metadata/common.ts';
import { type Detection, detection } from '../metadata/report.ts';

const key = 'detections';
const maxStored = maxAttacksPerReport * (1 + maxHostedEcusPerAgent);
const stored = array(
  record({ ecuId: field(1, identifier), detection: field(2, detection) }),
  0,
  maxStored,
);
type Stored = Infer<typeof stored>;

export class DetectionLog {
  private readonly keyValue: KeyValue;
  private entries: Stored;

  constructor(keyValue: KeyValue) {
    this.keyValue = keyValue;
    const bytes = keyValue.read(key);
    const entries = bytes === undefined ? [] : decode(stored, bytes, bytes.length);
    // A damaged log must not keep the ECU from working; what it held is lost, later entries are not.
    this.entries = isRefusal(entries) ? [] : entries;
  }

  /** Records a refusal of one ECU, unless it is recorded already or only of the moment. */
  add(ecuId: string, refusal: Refusal): void {
    if (!isTransient(refusal.refused)) this.addPersistent(ecuId, refusal);
  }

  /** Records a refusal even when its kind is of the moment: it has lasted. */
  addPersistent(ecuId: string, refusal: Refusal): void {
    const attack = attackOf(refusal);
    const found: Detection = { code: refusal.refused, row: refusal.row, ...(attack && { attack }) };
    const known = this.of(ecuId);
    if (known.length >= maxAttacksPerReport || known.some((one) => sameDetection(one, found)))
      return;
    this.store([...this.entries, { ecuId, detection: found }]);
  }

  /** The detections of one ECU, oldest first. */
  of(ecuId: string): readonly Detection[] {
    return this.entries.filter((entry) => entry.ecuId === ecuId).map((entry) => entry.detection);
  }

  /** Forgets the first `count` detections of one ECU: the Director has them. */
  forget(ecuId: string, count: number): void {
    let left = count;
    this.store(this.entries.filter((entry) => entry.ecuId !== ecuId || left-- <= 0));
  }

  private store(entries: Stored): void {
    this.keyValue.write(key, encode(stored, entries));
    this.entries = entries;
  }
}

function sameDetection(a: Detection, b: Detection): boolean {
  return a.code === b.code && a.row === b.row;
}
