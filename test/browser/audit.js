// Evaluated in a page: what would keep somebody from reading or using it, as a list of sentences.
;(() => {
  const found = []
  const demand = (ok, complaint) => {
    if (!ok) found.push(complaint)
  }
  const visible = element => element.checkVisibility() && element.getClientRects().length > 0
  const all = selector => [...document.querySelectorAll(selector)].filter(visible)

  demand(document.documentElement.lang === 'en', 'the page does not tell its language')
  demand(document.title !== '', 'the page has no title')
  demand(all('h1').length === 1, `${all('h1').length} main headings`)
  for (const landmark of ['header', 'main', 'footer']) {
    demand(all(landmark).length === 1, `${all(landmark).length} landmarks ${landmark}`)
  }
  for (const control of all('button, a, summary')) {
    demand(control.innerText.trim() !== '', `a ${control.localName} without a name`)
    const { height } = control.getBoundingClientRect()
    demand(height >= 24, `"${control.innerText}" is ${height} px high`)
  }
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
  demand(new Set(ids).size === ids.length, 'an id is there twice')
  const { scrollWidth, clientWidth } = document.documentElement
  demand(scrollWidth <= clientWidth, `${scrollWidth - clientWidth} px are cut off at the side`)

  const channels = color => color.match(/[\d.]+/g).map(Number)
  const luminance = color => {
    const [r, g, b] = channels(color)
      .slice(0, 3)
      .map(value => value / 255)
      .map(value => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ground = element => {
    const color = getComputedStyle(element).backgroundColor
    const opaque = channels(color)[3] !== 0
    return opaque || !element.parentElement ? color : ground(element.parentElement)
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement
    if (texts.currentNode.data.trim() === '' || !visible(element)) continue
    const lights = [luminance(getComputedStyle(element).color), luminance(ground(element))]
    const contrast = (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05)
    demand(
      contrast >= 4.5,
      `"${texts.currentNode.data.trim()}" has contrast ${contrast.toFixed(2)}`,
    )
  }
  return found
})()
