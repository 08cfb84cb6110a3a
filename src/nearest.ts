/** Edits between two names that still count as a slip of the finger. */
const SLIP_EDITS_MAX = 3

/** Edits (insert, delete, replace one character) that lead from one text to the other. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}

/** The one of these names that is nearest to a wrong one, if it is near. */
export function nearest(wrong: string, names: Iterable<string>): string | undefined {
  const most = Math.min(SLIP_EDITS_MAX, Math.floor(wrong.length / 4))
  let best: string | undefined
  let bestDistance = most + 1
  for (const name of names) {
    if (Math.abs(name.length - wrong.length) >= bestDistance) continue
    const distance = editDistance(wrong, name)
    if (distance < bestDistance) [best, bestDistance] = [name, distance]
  }
  return best
}
