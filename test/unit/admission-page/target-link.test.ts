import assert from 'node:assert/strict'
import { test } from 'node:test'
import { targetHost, withAdmission } from '../../../src/admission/page/target-link.ts'

test('the token joins the parameters that the target has, and leaves them as they are written', () => {
  const links: [string, string][] = [
    ['https://a.example', 'https://a.example/?admission=t.o-k'],
    ['https://a.example/x?', 'https://a.example/x?admission=t.o-k'],
    [
      'https://a.example/x?a=b%20c&flag#top',
      'https://a.example/x?a=b%20c&flag&admission=t.o-k#top',
    ],
    ['http://a.example:81/x?admission=old&b=1', 'http://a.example:81/x?b=1&admission=t.o-k'],
  ]
  for (const [target, link] of links) assert.equal(withAdmission(target, 't.o-k'), link)
})

test('only http and https lead anywhere', () => {
  for (const target of [
    'javascript:alert(1)',
    'data:text/html,x',
    'file:///etc/passwd',
    'x',
    null,
  ]) {
    assert.equal(withAdmission(target, 'token'), null, String(target))
    assert.equal(targetHost(target), null, String(target))
  }
  assert.equal(targetHost('https://user@a.example:8443/x'), 'a.example:8443')
})
