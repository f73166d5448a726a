/**
 * Work for a backend that will be killed: vehicles that report and poll, an operator that uploads
 * and assigns, new vehicles that enrol. Whatever is acknowledged is written down; an answer other
 * than success or "later" is a problem.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { assignmentAnswer } from '../../backend/http/messages.ts';
import { codeOf, expectValue, makeImage, toHex } from '../scenario/backend-fixture.ts';
import { EnrolledVehicle, isBusy } from './enrolled-vehicle.ts';
import type { ProcessBackend } from './process-backend.ts';

const vehicleCount = 6;
/** Bytes of an uploaded image: up to so many. */
const maxImageBytes = 150_000;
const retryMilliseconds = 20;
/** Two releases, assigned in turns. */
const releases = ['brakes-2.bin', 'brakes-2b.bin'] as const;

export interface UploadedImage {
  readonly filename: string;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** How often each kind of work was acknowledged. */
export interface Acknowledged {
  manifests: number;
  polls: number;
  uploads: number;
  assignments: number;
  enrolments: number;
}

export class Load {
  readonly backend: ProcessBackend;
  readonly vehicles: readonly EnrolledVehicle[];
  /** Enrolled under load; the last one may not have been answered yet. */
  readonly newcomers: EnrolledVehicle[] = [];
  readonly images: UploadedImage[] = [];
  /** Uploads that were never answered. */
  readonly unansweredImages: UploadedImage[] = [];
  readonly acknowledged: Acknowledged = {
    ...{ manifests: 0, polls: 0, uploads: 0, assignments: 0, enrolments: 0 },
  };
  /** Requests that the death of the process left without an answer. */
  unanswered = 0;
  readonly problems: string[] = [];
  private readonly random: (limit: number) => number;
  private running = false;
  private imageNumber = 0;
  private wanted = 0;
  private enough: () => void = () => undefined;

  constructor(backend: ProcessBackend, random: (limit: number) => number) {
    this.backend = backend;
    this.random = random;
    this.vehicles = Array.from(
      { length: vehicleCount },
      (_, i) => new EnrolledVehicle(backend, `vehicle-${i}`),
    );
  }

  /** Enrols the vehicles and releases what will be assigned. */
  async prepare(): Promise<void> {
    const images = releases.map((name) => makeImage(name, randomBytes(5_000), ['hw-brakes']));
    await this.backend.release(1, images);
    for (const { target } of images) this.images.push(uploaded(target));
    for (const vehicle of this.vehicles) await vehicle.enrol();
  }

  /** Works until `stop`, or until the process is gone; resolves when nothing is under way any more. */
  async run(): Promise<void> {
    this.running = true;
    await Promise.all([
      ...this.vehicles.map((vehicle) => this.repeat(() => this.report(vehicle))),
      this.repeat(() => this.upload()),
      this.repeat(() => this.upload()),
      this.repeat(() => this.assign()),
      this.enrolOne(),
    ]);
  }

  stop(): void {
    this.running = false;
    this.enough();
  }

  /** Resolves after so many more acknowledgements. */
  more(count: number): Promise<void> {
    this.wanted = count;
    return new Promise((resolve) => {
      this.enough = resolve;
      if (count === 0 || !this.running) resolve();
    });
  }

  leave(): void {
    for (const vehicle of [...this.vehicles, ...this.newcomers]) vehicle.leave();
  }

  private count(kind: keyof Acknowledged): void {
    this.acknowledged[kind] += 1;
    this.wanted -= 1;
    if (this.wanted <= 0) this.enough();
  }

  private async repeat(work: () => Promise<boolean>): Promise<void> {
    while (this.running) {
      try {
        if (!(await work())) await pause(retryMilliseconds);
      } catch (error) {
        this.failed(error);
        await pause(retryMilliseconds);
      }
    }
  }

  /** A broken connection is what a killed process leaves; all else is said. */
  private failed(error: unknown): void {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    const broken = ['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ECONNABORTED'].includes(code);
    if (broken) this.unanswered += 1;
    else this.problems.push(error instanceof Error ? error.message : String(error));
  }

  private async report(vehicle: EnrolledVehicle): Promise<boolean> {
    if (!(await vehicle.report())) return false;
    this.count('manifests');
    const rollback = await vehicle.poll();
    if (rollback !== undefined) this.problems.push(rollback);
    else this.count('polls');
    return true;
  }

  private async upload(): Promise<boolean> {
    this.imageNumber += 1;
    const plaintext = randomBytes(1 + this.random(maxImageBytes));
    const image = makeImage(`load-${this.imageNumber}.bin`, plaintext, ['hw-brakes']);
    const entry = uploaded(image.target);
    this.unansweredImages.push(entry);
    const code = codeOf(await this.backend.upload(entry.filename, image.ciphertext));
    this.unansweredImages.splice(this.unansweredImages.indexOf(entry), 1);
    if (isBusy(code)) return false;
    if (code !== '200') throw new Error(`upload of ${entry.filename}: ${code}`);
    this.images.push(entry);
    this.count('uploads');
    return true;
  }

  private async assign(): Promise<boolean> {
    const target = this.vehicles[this.random(this.vehicles.length)]!;
    const { ecuId } = target.vehicle.secondary.description;
    const filename = releases[this.random(releases.length)]!;
    const answer = await this.backend.assign(target.vehicleId, ecuId, filename);
    const code = codeOf(answer);
    if (isBusy(code)) return false;
    if (code !== '200') throw new Error(`assignment to ${target.vehicleId}: ${code}`);
    target.targetsVersion = expectValue(assignmentAnswer, answer).version;
    this.count('assignments');
    return true;
  }

  /** One vehicle more, or the one whose answer was lost. */
  private async enrolOne(): Promise<void> {
    let newcomer = this.newcomers.at(-1);
    if (newcomer === undefined || newcomer.isEnrolled) {
      newcomer = new EnrolledVehicle(this.backend, `newcomer-${this.newcomers.length}`);
      this.newcomers.push(newcomer);
    }
    try {
      await newcomer.enrol();
      this.count('enrolments');
    } catch (error) {
      // Refused under load is a refusal with its status in the message: tried again in a later run.
      if (!(error instanceof Error && /status (429|503)/.test(error.message))) this.failed(error);
    }
  }
}

function uploaded({ filename, hashes }: ReturnType<typeof makeImage>['target']): UploadedImage {
  return { filename, sha256: toHex(hashes[0]!.value) };
}
