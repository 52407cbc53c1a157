import assert from 'node:assert/strict'
import { test } from 'node:test'
import { html } from '../../../src/admission/page/html.ts'

test('a text cannot become markup, nor leave its attribute', () => {
  const hostile = `"><script>alert('1')</script>&\``
  const { text } = html`<p title="${hostile}">${hostile}</p>`
  const escaped = '&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&#96;'
  assert.equal(text, `<p title="${escaped}">${escaped}</p>`)
})

test('markup stays markup when it is put into other markup, alone or as a list', () => {
  const items = ['<a>', '<b>'].map(name => html`<li>${name}</li>`)
  assert.equal(
    html`<ul>${items}</ul>${html`<hr>`}`.text,
    '<ul><li>&lt;a&gt;</li><li>&lt;b&gt;</li></ul><hr>',
  )
})

test('an object that looks like markup is refused, alone or in a list', () => {
  const forged = JSON.parse('{"text":"<script>"}')
  assert.throws(() => html`${forged}`, TypeError)
  assert.throws(() => html`${[forged]}`, TypeError)
})

test('null stands for nothing, and a number for itself', () => {
  assert.equal(html`${null}|${0}`.text, '|0')
})
