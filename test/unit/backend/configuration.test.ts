/** The backend's configuration from flags, environment and files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { defaultLifetimes, readConfiguration } from '../../../backend/configuration.ts';
import { readToken } from '../../../backend/engine-settings.ts';
import { defaultQuotas } from '../../../backend/settings.ts';

const test = suite('configuration');
const secrets = { OTA_PASSPHRASE: 'p', OTA_OPERATOR_TOKEN: 'sixteen-characters' };

function codeOf(flags: readonly string[], environment: Readonly<Record<string, string>>): string {
  const result = readConfiguration(flags, environment);
  return isRefusal(result) ? result.refused : 'ok';
}

test('what nobody sets has its default', () => {
  assert.equal(readConfiguration([], secrets), {
    stateFolder: 'out/backend',
    keysFolder: 'out/keys',
    passphrase: 'p',
    operatorToken: 'sixteen-characters',
    ports: { director: 8000, images: 8001, operator: 8002 },
    host: '127.0.0.1',
    deviceTls: { serverName: 'ota.internal', certificateSeconds: 7_776_000 },
    lifetimes: defaultLifetimes,
    quotas: defaultQuotas,
    doorbell: { port: 8883 },
    logLevel: 'info',
  });
});

test('a flag wins over the environment', () => {
  const result = readConfiguration(['--director-port', '9', '--timestamp-seconds=60'], {
    ...secrets,
    DIRECTOR_PORT: '7',
    IMAGES_PORT: '0',
    TIMESTAMP_SECONDS: '50',
  });
  assert.ok(!isRefusal(result));
  assert.equal(result.ports, { director: 9, images: 0, operator: 8002 });
  assert.is(result.lifetimes.timestamp, 60);
});

test('the doorbell has a port here or a broker elsewhere, which is reached by TLS', () => {
  const doorbellOf = (changes: Record<string, string>) => {
    const result = readConfiguration([], { ...secrets, ...changes });
    return isRefusal(result) ? `${result.refused} ${result.detail}` : result.doorbell;
  };
  assert.equal(doorbellOf({ DOORBELL_PORT: '0' }), { port: 0 });
  for (const url of ['mqtts://broker.example:8884', 'mqtt://127.0.0.1:1883', 'mqtt://[::1]']) {
    assert.equal(doorbellOf({ MQTT_URL: url }), { url: new URL(url) });
  }
  const secret = 'mqtt://name:secret@broker.example';
  for (const url of ['broker', 'https://broker.example', 'mqtts://', 'mqtt://192.0.2.1', secret]) {
    const refused = String(doorbellOf({ MQTT_URL: url }));
    assert.match(refused, /^configuration-invalid MQTT_URL/, url);
    assert.not.ok(refused.includes('secret'));
  }
});

test('secrets come from files too, without their last line end', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ota-configuration-'));
  const file = join(folder, 'secret');
  writeFileSync(file, 'a secret of twenty-two\n');
  const environment = { OTA_PASSPHRASE_FILE: file, OTA_OPERATOR_TOKEN: 'sixteen-characters' };
  const result = readConfiguration([], environment);
  assert.ok(!isRefusal(result));
  assert.is(result.passphrase, 'a secret of twenty-two');
  writeFileSync(file, 'x'.repeat(4_097));
  assert.is(codeOf([], environment), 'configuration-invalid');
  assert.is(codeOf([], { ...environment, OTA_PASSPHRASE_FILE: folder }), 'configuration-invalid');
  rmSync(folder, { recursive: true });
});

test('a token is named by its module and its label, and opened by a PIN', () => {
  const OTA_PKCS11_MODULE = '/usr/lib/softhsm/libsofthsm2.so';
  const named = { ...secrets, OTA_PKCS11_MODULE, OTA_PKCS11_TOKEN: 'ota' };
  const result = readConfiguration([], { ...named, OTA_PKCS11_PIN: '1234' });
  assert.ok(!isRefusal(result));
  assert.equal(result.token, { module: OTA_PKCS11_MODULE, label: 'ota', pin: '1234' });
  const folder = mkdtempSync(join(tmpdir(), 'ota-configuration-'));
  const file = join(folder, 'pin');
  writeFileSync(file, '5678\n');
  const byFile = readConfiguration([], { ...named, OTA_PKCS11_PIN_FILE: file });
  assert.is(!isRefusal(byFile) && byFile.token?.pin, '5678');
  rmSync(folder, { recursive: true });
  assert.is(readToken(secrets), undefined);
  const given: readonly Readonly<Record<string, string>>[] = [
    {},
    { OTA_PKCS11_PIN: '1', OTA_PKCS11_TOKEN: '' },
    { OTA_PKCS11_PIN: '1', OTA_PKCS11_TOKEN: 'x'.repeat(33) },
    { OTA_PKCS11_PIN: '1', OTA_PKCS11_MODULE: 'libsofthsm2.so' },
    { OTA_PKCS11_PIN: '1'.repeat(256) },
  ];
  for (const changes of given) {
    assert.is(
      codeOf([], { ...named, ...changes }),
      'configuration-invalid',
      JSON.stringify(changes),
    );
    const refused = readToken({ ...named, ...changes });
    assert.is(isRefusal(refused) && refused.refused, 'configuration-invalid');
  }
});

test('the device plane is plain on loopback only, and when it is said', () => {
  const off = { ...secrets, OTA_DEVICE_TLS: 'off' };
  for (const host of ['127.0.0.1', '::1', 'localhost']) {
    const result = readConfiguration(['--host', host], off);
    assert.ok(!isRefusal(result));
    assert.is(result.deviceTls, undefined);
  }
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'ota.example']) {
    assert.is(codeOf(['--host', host], off), 'configuration-invalid', host);
    assert.is(codeOf(['--host', host], secrets), 'ok');
  }
  assert.is(codeOf([], { ...secrets, OTA_DEVICE_TLS: 'no' }), 'configuration-invalid');
});

test('the name in the server certificate is a DNS name', () => {
  const named = (name: string) => codeOf([], { ...secrets, OTA_DEVICE_TLS_NAME: name });
  for (const name of ['ota.internal', 'backend', 'a-1.example.com']) assert.is(named(name), 'ok');
  for (const name of ['', '127.0.0.1', 'a..b', '-a', 'A.example', '*.example', 'a b', '::1']) {
    assert.is(named(name), 'configuration-invalid', name);
  }
});

test('what cannot be is refused', () => {
  const invalid = 'configuration-invalid';
  assert.is(codeOf([], {}), invalid);
  assert.is(codeOf([], { OTA_PASSPHRASE: 'p' }), invalid);
  for (const port of ['', '-1', '65536', '1e3', '0x10', ' 80', '8000.5', '99999999999999999999']) {
    assert.is(codeOf([], { ...secrets, OPERATOR_PORT: port }), invalid, port);
  }
  assert.is(codeOf([], { ...secrets, OPERATOR_PORT: '65535' }), 'ok');
  assert.is(codeOf([], { ...secrets, TARGETS_SECONDS: '9' }), invalid);
  assert.is(codeOf([], { ...secrets, TARGETS_SECONDS: '10' }), 'ok');
  assert.is(codeOf([], { ...secrets, OTA_OPERATOR_TOKEN: 'fifteen-charact' }), invalid);
  assert.is(codeOf([], { ...secrets, OTA_OPERATOR_TOKEN: 'sixteen character' }), invalid);
  assert.is(codeOf(['extra'], secrets), 'argument-invalid');
  assert.is(codeOf(['--passphrase', 'p'], secrets), 'argument-invalid', 'no secret in a flag');
});

test.run();
