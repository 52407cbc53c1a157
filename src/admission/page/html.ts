/** Markup that is safe as it stands: only `html` makes it. */
export class Html {
  readonly text: string

  /** @param text markup whose texts are escaped already */
  constructor(text: string) {
    this.text = text
  }
}

/** What may stand in a template; null stands for nothing. */
export type HtmlValue = string | number | null | Html | readonly Html[]

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
}

/**
 * Tag of a template of markup: whatever is put into it is escaped, unless it is markup of this tag itself. Fit for texts
 * and for attribute values in quotes; not for names of attributes, scripts or styles, and addresses must be judged before.
 */
export function html(literals: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  const parts = literals.map((literal, index) => literal + markup(values[index] ?? null))
  return new Html(parts.join(''))
}

function markup(value: HtmlValue): string {
  if (value === null) return ''
  if (value instanceof Html) return value.text
  if (typeof value === 'object') return value.map(markup).join('')
  return String(value).replace(/[&<>"'`]/g, char => ENTITIES[char] ?? '')
}
