/** Which names of the agent's properties a program for a small engine may shorten. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { internalNames, numbered, placeholders } from '../../../boards/internal-names.ts';

const test = suite('internal names');

test('names that only the script uses as properties are internal', () => {
  const script = 'var a={receiverState:1};a.receiverState;var {bufferedBytes:b}=a;';
  assert.equal(internalNames(script, []), ['bufferedBytes', 'receiverState']);
});

test('names of the language, of the HAL and of the interface stay', () => {
  const script = 'a.length;a.push();a.then();a.keyValue;a.monotonic();a.start();a.BootBlock;';
  assert.equal(internalNames(script, ['start', 'BootBlock']), []);
});

test('a name that stands in a string may be looked up by it, and stays', () => {
  const script = "var a={composite:1,other:2};a['composite'];'other' in a;a.third;b=`third`;";
  assert.equal(internalNames(script, []), []);
});

test('computed and quoted names are none', () => {
  assert.equal(internalNames("a[someName];({'quoted-name':1,[another]:2})", []), []);
});

test('internal names become numbers, small ones where they are used most', () => {
  const { first, second } = placeholders(['first', 'second']);
  const script = `var a={${first}:1,${second}(){}},{${first}:b}=a;a.${first}=(b,a).${first}??a?.${second}`;
  assert.is(numbered(script), 'var a={0:1,1(){}},{0:b}=a;a[0]=(b,a)[0]??a?.[1]');
});

test('a placeholder that became a variable is a failure of the build', () => {
  const { first } = placeholders(['first']);
  assert.throws(() => numbered(`var {${first}}=a`), /variable/);
  assert.throws(() => numbered(`a[${first}]`), /left in the script/);
});

test.run();
