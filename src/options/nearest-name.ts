/** The name that takes the fewest edits to reach, or null when none is near. */
export function nearestName(given: string, names: Iterable<string>): string | null {
  let nearest: string | null = null
  let fewest = Math.max(2, Math.floor(given.length / 3)) + 1
  for (const name of names) {
    const edits = editDistance(given, name)
    if (edits < fewest) {
      nearest = name
      fewest = edits
    }
  }
  return nearest
}

/** Levenshtein: insertions, deletions and replacements of one character. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1)
      current[column] = Math.min(
        replaced,
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
      )
    }
    previous = current
  }
  return previous[b.length] ?? 0
}
