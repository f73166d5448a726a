/**
 * One Uptane ECU that this agent looks after: its own, or one hosted beside it. Holds the ECU's
 * keys, slot pair and boot control, and takes it through one installation (Uptane §5.4.3).
 */
import type { Boot, FlashPartition, Hal, SlotImage } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import { decode } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { unwrapContentKey } from '../crypto/key-wrap.ts';
import type { Signer } from '../crypto/sign-envelope.ts';
import { imageContext } from '../image/image-context.ts';
import { areTrialsOf } from '../install/boot-block.ts';
import { startPair } from '../install/boot-selection.ts';
import { flashDigest } from '../install/flash-digest.ts';
import { isOutOfMemory } from '../install/out-of-memory.ts';
import { SlotInstaller } from '../install/slot-installer.ts';
import { maxFailedTrials } from '../limits.ts';
import { hashAlgorithms } from '../metadata/common.ts';
import { type EcuConfiguration, storedKeyPair } from '../metadata/configuration.ts';
import { type ImageKindName, imageKinds, type Target } from '../metadata/targets.ts';
import type { TrialName } from '../metadata/vehicle-messages.ts';
import type { VerifierEcu } from '../verify/verification.ts';

import { holdTrial, isTrialHeld, releaseTrial } from './trial-hold.ts';

export class ManagedEcu {
  readonly configuration: EcuConfiguration;
  readonly boot: Boot;
  readonly slots: readonly [FlashPartition, FlashPartition];
  readonly signer: Signer;
  /** Neither slot of a hosted ECU holds its image: its firmware must not be started. */
  readonly damage: Refusal | undefined;
  private readonly hal: Hal;
  private readonly vehicleId: string;
  private readonly wrappingSecret: Uint8Array;
  private readonly installer: SlotInstaller;
  private checked: SlotImage | undefined;

  private constructor(
    hal: Hal,
    vehicleId: string,
    configuration: EcuConfiguration,
    slots: readonly [FlashPartition, FlashPartition],
    started: StartedBoot,
    signer: Signer,
    wrappingSecret: Uint8Array,
  ) {
    this.hal = hal;
    this.vehicleId = vehicleId;
    this.configuration = configuration;
    this.signer = signer;
    this.wrappingSecret = wrappingSecret;
    this.slots = slots;
    this.boot = started.boot;
    this.damage = started.damage;
    this.installer = new SlotInstaller({
      crypto: hal.crypto,
      slots: this.slots,
      boot: this.boot,
      journal: started.journal,
    });
  }

  /** Opens an ECU with the keys of its provisioning. `configuration-invalid`, `boot-block-corrupt`. */
  static open(hal: Hal, vehicleId: string, configuration: EcuConfiguration): ManagedEcu | Refusal {
    const signing = readKeyPair(hal, `signing-key/${configuration.ecuId}`);
    if (isRefusal(signing)) return signing;
    const wrapping = readKeyPair(hal, `wrapping-key/${configuration.ecuId}`);
    if (isRefusal(wrapping)) return wrapping;
    const signer: Signer = {
      key: signing.key,
      sign: (message) => hal.crypto.sign('ESP256', signing.secret, message),
    };
    const slots = [
      hal.flash.open({ path: configuration.slots[0]! }),
      hal.flash.open({ path: configuration.slots[1]! }),
    ] as const;
    const started = startBoot(hal, configuration, slots);
    if (isRefusal(started)) return started;
    const { secret } = wrapping;
    return new ManagedEcu(hal, vehicleId, configuration, slots, started, signer, secret);
  }

  /** Its image is the program that runs this agent. */
  get isRuntime(): boolean {
    return isRuntime(this.configuration);
  }

  get ecuId(): string {
    return this.configuration.ecuId;
  }

  /** The image that runs now; undefined only before the factory has installed one. */
  get running(): SlotImage | undefined {
    const status = this.boot.status();
    return status.slots[status.active];
  }

  /** What the verification needs to know of this ECU. */
  verifierEcu(): VerifierEcu {
    const names = Object.keys(imageKinds) as ImageKindName[];
    const kinds = this.configuration.kinds;
    return {
      ecuId: this.ecuId,
      hardwareId: this.configuration.hardwareId,
      filenamePattern: this.configuration.filenamePattern,
      kinds: names.filter((name) => kinds.indexOf(imageKinds[name]) >= 0),
      installed: this.running,
      counter: this.boot.status().counter,
      bytecodeVersion: this.hal.board.bytecodeVersion,
      halVersion: this.hal.board.halVersion,
      maxPlaintextBytes: this.slots[0].status().size,
    };
  }

  /**
   * INS-12: an image whose trial has failed `maxFailedTrials` times is not tried for ever; a new
   * release is. Code `update-given-up`.
   */
  refuseGivenUp({ assignment, filename, mustMatch }: Target): Refusal | undefined {
    if (assignment?.ecuId !== this.ecuId) return undefined;
    const failed = this.boot.status().failedTrials;
    const { releaseCounter, plaintextSha256 } = mustMatch;
    if (!areTrialsOf(failed, releaseCounter, plaintextSha256)) return undefined;
    if (failed.count < maxFailedTrials) return undefined;
    return refuse('update-given-up', `${filename}: ${failed.count} trials failed`);
  }

  /**
   * Begins to install `target`, whose metadata was verified, with the key object that came for it.
   * @param chunksPerRecord as `InstallRequest` has it
   * @returns the ciphertext offset from which the image is wanted (0 unless an interrupted
   *   installation goes on), or a refusal: `key-object-…`, `slot-too-small`, `counter-rollback`
   */
  prepare(target: Target, keyObject: Uint8Array, chunksPerRecord?: number): number | Refusal {
    this.checked = undefined;
    const { assignment, mustMatch } = target;
    // VIM-01: the entry of the verified Director Targets for this ECU, and no other
    if (assignment === undefined || assignment.ecuId !== this.ecuId) {
      return refuse('install-out-of-order', `no assignment for ${this.ecuId}`);
    }
    const givenUp = this.refuseGivenUp(target);
    if (givenUp !== undefined) return givenUp;
    // CUS-05: the key object travels beside the metadata, which names its length and hash.
    const digest = this.hal.crypto.digest('SHA-256', keyObject);
    if (
      keyObject.length !== assignment.keyObjectLength ||
      !sameBytes(digest, assignment.keyObjectSha256)
    ) {
      return refuse('key-object-hash', `key object of ${target.filename}`);
    }
    const ciphertextSha256 = sha256Of(target);
    if (ciphertextSha256 === undefined) return refuse('hash-missing', target.filename);
    // VIM-06: the wrapped content key is bound to this vehicle, ECU and ciphertext.
    const contentKey = unwrapContentKey(this.hal.crypto, this.wrappingSecret, keyObject, [
      this.vehicleId,
      this.ecuId,
      target.filename,
      ciphertextSha256,
    ]);
    if (isRefusal(contentKey)) return contentKey;
    const begun = this.installer.begin({
      filename: target.filename,
      ciphertextLength: target.length,
      ciphertextSha256,
      plaintextLength: mustMatch.plaintextLength,
      plaintextSha256: mustMatch.plaintextSha256,
      releaseCounter: mustMatch.releaseCounter,
      contentKey,
      chunksPerRecord,
      context: imageContext(target.filename, mustMatch.releaseCounter, mustMatch.plaintextSha256),
    });
    return isRefusal(begun) ? begun : begun.resumeOffset;
  }

  /** False while the flash part is behind: a `write` would wait for it. */
  get hasRoom(): boolean {
    return this.installer.hasRoom;
  }

  /** The flash part holds all that was written. */
  get idle(): boolean {
    return this.installer.idle;
  }

  /** Takes the next ciphertext bytes. Codes `image-…`. */
  write(piece: Uint8Array): Refusal | undefined {
    return this.installer.write(piece);
  }

  /** Ends the stream for now, in order: a later `prepare` goes on where it stopped. */
  suspend(): void {
    this.installer.suspend();
  }

  /** Checks the plaintext read back from flash (VIM-08, VIM-09). Codes `image-…`. */
  finish(): Refusal | undefined {
    const image = this.installer.finish();
    if (isRefusal(image)) return image;
    this.checked = image;
    return undefined;
  }

  /**
   * Sets the checked image to be tried at the next start. Code `install-out-of-order`.
   * @param hold the trial ends with `commitTrial` or `withdrawTrial`, not with the self-test
   */
  activate(trialBoots: number, hold: boolean): Refusal | undefined {
    const { checked } = this;
    if (checked === undefined) {
      return refuse('install-out-of-order', `${this.ecuId} holds no checked image`);
    }
    // Before the trial: a cut in between leaves a word about an image that is not on trial.
    if (hold) holdTrial(this.hal.keyValue, this.ecuId, checked.sha256);
    else releaseTrial(this.hal.keyValue, this.ecuId);
    const refusal = this.installer.activate(checked, trialBoots);
    this.checked = undefined;
    return refusal;
  }

  /** Where the pending image is. One that runs and still is pending has passed its self-test. */
  trial(): TrialName {
    const { pending, active } = this.boot.status();
    if (pending === undefined) return 'none';
    return pending === active ? 'passed' : 'pending';
  }

  /**
   * After a passed self-test: true when the trial is held. Another start is granted then, so that a
   * restart, which has to pass again, does not end the trial on its own.
   */
  holdTrial(trialBoots: number): boolean {
    const { running } = this;
    if (running === undefined) return false;
    if (!isTrialHeld(this.hal.keyValue, this.ecuId, running.sha256)) return false;
    this.boot.extendTrial(trialBoots);
    return true;
  }

  /** DBP-18: all ECUs have passed; the running image is confirmed. Code `install-out-of-order`. */
  commitTrial(): Refusal | undefined {
    if (this.trial() !== 'passed') {
      return refuse('install-out-of-order', `${this.ecuId} holds no trial that has passed`);
    }
    this.confirm();
    releaseTrial(this.hal.keyValue, this.ecuId);
    return undefined;
  }

  /** Confirms the running trial image, in the journal's copy and in the boot block. */
  confirm(): void {
    this.installer.confirm();
  }

  /**
   * DBP-18: another ECU has failed; the confirmed image boots at the next start. Only a trial that
   * is held may be ended so. Code `install-out-of-order`.
   */
  withdrawTrial(): Refusal | undefined {
    const { pending, slots } = this.boot.status();
    const image = pending === undefined ? undefined : slots[pending];
    if (image === undefined || !isTrialHeld(this.hal.keyValue, this.ecuId, image.sha256)) {
      return refuse('install-out-of-order', `${this.ecuId} holds no trial`);
    }
    this.boot.rollback('withdrawn');
    releaseTrial(this.hal.keyValue, this.ecuId);
    return undefined;
  }
}

interface StartedBoot {
  readonly boot: Boot;
  readonly journal: FlashPartition;
  readonly damage: Refusal | undefined;
}

function isRuntime({ kinds }: EcuConfiguration): boolean {
  return kinds.indexOf(imageKinds.runtime) >= 0;
}

/** The boot control of a slot pair: the platform has chosen the slots of agent and runtime. */
function startBoot(
  hal: Hal,
  configuration: EcuConfiguration,
  slots: readonly [FlashPartition, FlashPartition],
): StartedBoot | Refusal {
  const journal = hal.flash.open({ path: configuration.journal });
  const { state } = configuration;
  if (state !== undefined) return startHosted(hal, state, journal, slots);
  if (!isRuntime(configuration)) return { boot: hal.boot, journal, damage: undefined };
  const { runtime } = hal;
  if (runtime === undefined) return refuse('boot-block-corrupt', 'nothing is known of the program');
  const damage = runtime.replaced
    ? refuse('slot-corrupt', `release ${runtime.release}, put on the board by hand, runs`)
    : undefined;
  return { boot: runtime.boot, journal, damage };
}

/**
 * The agent is the bootloader of what it hosts: it proves the slot's content, as its own bootloader
 * has done with the agent (VER-02). Damage of both slots is no reason to stop the agent, which is
 * what can repair them.
 */
function startHosted(
  hal: Hal,
  state: string,
  journal: FlashPartition,
  slots: readonly [FlashPartition, FlashPartition],
): StartedBoot | Refusal {
  const { crypto, flash, watchdog } = hal;
  const holds = (slot: number, image: SlotImage): boolean => {
    const partition = slots[slot]!;
    if (image.length > partition.status().size) return false;
    try {
      return sameBytes(flashDigest(partition, crypto, 0, image.length), image.sha256);
    } catch (error) {
      if (isOutOfMemory(error)) throw error;
      // A slot that cannot be read holds nothing that may run.
      return false;
    }
  };
  const pair = { state: flash.open({ path: state }), journal, crypto, holds };
  const started = startPair(pair, watchdog.expired);
  if (isRefusal(started)) return started;
  const { boot, selected } = started;
  const damage = isRefusal(selected) ? refuse('slot-corrupt', selected.detail) : undefined;
  return { boot, journal, damage };
}

function readKeyPair(hal: Hal, key: string) {
  const bytes = hal.keyValue.read(key);
  if (bytes === undefined) return refuse('configuration-invalid', `key ${key} is missing`);
  const pair = decode(storedKeyPair, bytes, bytes.length);
  return isRefusal(pair) ? refuse('configuration-invalid', `${key}: ${pair.detail}`) : pair;
}

/** The SHA-256 of an image's ciphertext, as both repositories list it. */
export function sha256Of(target: Target): Uint8Array | undefined {
  return target.hashes.filter((entry) => entry.key === hashAlgorithms['SHA-256'])[0]?.value;
}
