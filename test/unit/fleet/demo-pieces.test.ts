/** The demonstration's small parts: log lines, progress bars, options. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../../agent/codes.ts';
import { attackNames, createAttack } from '../../../backend/fleet/attacks/attacks.ts';
import { readDemoOptions } from '../../../backend/fleet/demo-options.ts';
import { parseLogLine } from '../../../backend/fleet/log-line.ts';
import { advance, type EcuProgress, frame } from '../../../backend/fleet/progress-view.ts';

const test = suite('Demonstration');

test('a log line is an event with fields; the last value may hold blanks', () => {
  assert.equal(parseLogLine('ready ecu=full release=2'), {
    event: 'ready',
    fields: { ecu: 'full', release: '2' },
  });
  assert.is(
    parseLogLine('refused code=x detail=two words here')?.fields['detail'],
    'two words here',
  );
  assert.is(parseLogLine('Error: something else'), undefined);
});

const idle: EcuProgress = { ecuId: 'full', stage: 'boot', bytes: 0, of: 0, note: '' };

test('a bar shows the share of the bytes, and a stage its name', () => {
  const line = parseLogLine('progress ecu=full stage=transfer bytes=50 of=100')!;
  const [half] = advance([idle], 'primary', line);
  assert.match(frame([half!], false)[0]!, '████████████░░░░░░░░░░░░  50%  receiving over CAN');
  const refused = advance([idle], 'full', parseLogLine('refused code=image-hash row=PRI-09')!);
  assert.match(frame(refused, false)[0]!, 'refused');
  assert.match(frame(refused, false)[0]!, 'image-hash (PRI-09)');
  assert.match(frame(refused, true)[0]!, '\u001b[31m');
});

test('a line about another ECU changes nothing', () => {
  const before = [idle];
  assert.equal(advance(before, 'other', parseLogLine('confirmed ecu=partial release=2')!), before);
});

test('every mistake is named at once', () => {
  const options = readDemoOptions({ ECU: 'x', ATTACK: 'y', DIRECTOR_PORT: '70000' });
  assert.ok(isRefusal(options));
  for (const word of ['ECU=x', 'FIRMWARE', 'ATTACK=y', 'DIRECTOR_PORT=70000']) {
    assert.match((options as { detail: string }).detail, word);
  }
});

test('firmware of 0 bytes and of more than 64 MiB is refused', () => {
  assert.ok(isRefusal(readDemoOptions({ FIRMWARE: '/dev/null' })));
  assert.ok(isRefusal(readDemoOptions({ FIRMWARE: 'test' })), 'a folder');
});

test('each of the ten attackers can be made', () => {
  assert.is(attackNames.length, 10);
  for (const name of attackNames) assert.is(createAttack(name).name, name);
  assert.throws(() => createAttack('none'));
});

test.run();
