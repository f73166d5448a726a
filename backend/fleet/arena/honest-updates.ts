/** What the honest operator does: publishes firmware, assigns it, and has the vehicle take it. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRefusal } from '../../../agent/codes.ts';
import type { MustMatch } from '../../../agent/metadata/targets.ts';
import { createNodeCrypto } from '../../../hal/node/crypto.ts';
import { halInterfaceVersion } from '../../../hal/types.ts';
import { assign } from '../../cli/assign.ts';
import { contentsOf, daysFromNow, editTargets } from '../../cli/image-targets.ts';
import type { OperatorClient } from '../../cli/operator-client.ts';
import { publishImage } from '../../cli/publish-image.ts';
import { type AssignmentRequest, refreshAnswer } from '../../http/messages.ts';
import { hostedEcuId, hostedHardwareId, vehicleId } from '../vehicle-layout.ts';
import { type DirectorView, opened, type Until } from './director-view.ts';

export const firmwareBytes = 20_000;

export interface HonestUpdatesOptions {
  readonly client: OperatorClient;
  readonly keysFolder: string;
  readonly passphrase: string;
  /** For the files that are published. */
  readonly folder: string;
  readonly director: DirectorView;
  readonly until: Until;
}

export class HonestUpdates {
  /** What the newest firmware's plaintext is. */
  firmware = new Uint8Array(0);
  private readonly client: OperatorClient;
  private readonly keysFolder: string;
  private readonly passphrase: string;
  private readonly folder: string;
  private readonly director: DirectorView;
  private readonly until: Until;
  private release = 1;

  constructor(options: HonestUpdatesOptions) {
    this.client = options.client;
    this.keysFolder = options.keysFolder;
    this.passphrase = options.passphrase;
    this.folder = options.folder;
    this.director = options.director;
    this.until = options.until;
  }

  /** A fresh Timestamp over the same Snapshot. */
  async refresh(): Promise<void> {
    opened(await this.client.postEmpty(`/vehicles/${vehicleId}/refresh`, refreshAnswer));
  }

  /** Publishes a new firmware for `partial-firmware`; returns its filename. */
  async publishFirmware(rules: Pick<MustMatch, 'requires' | 'conflicts'> = {}): Promise<string> {
    this.release += 1;
    this.firmware = new Uint8Array(randomBytes(firmwareBytes));
    const ecuId = hostedEcuId('partial');
    const filename = `${ecuId}-${this.release}.bin`;
    const path = join(this.folder, filename);
    writeFileSync(path, this.firmware);
    await this.publish(path, filename, [hostedHardwareId], 'opaque', rules);
    return filename;
  }

  /** Publishes a file as a new release, by the offline keys. */
  async publish(
    path: string,
    filename: string,
    hardwareIds: readonly string[],
    kind: 'agent' | 'opaque',
    rules: Pick<MustMatch, 'requires' | 'conflicts'> = {},
  ): Promise<void> {
    const versions = { bytecodeVersion: 0, halVersion: halInterfaceVersion };
    opened(
      await publishImage({
        ...this.desk,
        passphrase: this.passphrase,
        path,
        filename,
        hardwareIds,
        releaseCounter: this.release,
        kind,
        ...(kind === 'agent' && versions),
        ...rules,
        expires: daysFromNow(30),
        allowOlder: true,
      }),
    );
  }

  get nextRelease(): number {
    return this.release + 1;
  }

  /** Asks the Director; waits where it waits for the vehicle. */
  async assign(assignments: AssignmentRequest['assignments']): Promise<void> {
    await this.until(async () => {
      const answer = await assign(this.client, { vehicleId, assignments });
      if (isRefusal(answer) && answer.refused === 'assignment-refused') return false;
      opened(answer);
      return true;
    }, 'the Director to assign');
  }

  /** Has an update of `partial-firmware` pending, a new one unless there is one. */
  async offerUpdate(): Promise<void> {
    const { ecus } = await this.director.vehicle();
    const ecuId = hostedEcuId('partial');
    const ecu = ecus.find((one) => one.ecuId === ecuId)!;
    if (!isInstalled(ecu.assigned, ecu.installed)) return;
    const filename = await this.publishFirmware();
    await this.assign([{ ecuId, filename }]);
  }

  /** Offers an update and waits until every ECU runs what it is assigned. */
  async awaitUpdate(): Promise<string> {
    await this.offerUpdate();
    let filename = '';
    await this.until(async () => {
      const { ecus } = await this.director.vehicle();
      const ecu = ecus.find(({ ecuId }) => ecuId === hostedEcuId('partial'))!;
      filename = ecu.installed?.filename ?? '';
      // A recovering Director has withdrawn it.
      if (ecu.assigned === undefined) await this.offerUpdate();
      return (
        ecu.assigned !== undefined &&
        ecus.every(({ assigned, installed }) => isInstalled(assigned, installed))
      );
    }, 'the update');
    return filename;
  }

  /** Signs the list of images again, twice: above whatever stolen Snapshot keys have signed. */
  async outrunImages(): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const expires = daysFromNow(30);
      opened(await editTargets(this.desk, this.passphrase, expires, 'targets', contentsOf));
    }
  }

  private get desk() {
    const { client, keysFolder } = this;
    return { crypto: createNodeCrypto(), client, keysFolder };
  }
}

function isInstalled(
  assigned: { readonly filename: string } | undefined,
  installed: { readonly filename: string } | undefined,
): boolean {
  return assigned === undefined || assigned.filename === installed?.filename;
}
