/** A line of a log of ours or of etcd's, which are JSON where nobody sits before them: for people. Others stay as they are. */
export function lineOf(raw: string): string {
  if (!raw.startsWith('{')) return raw
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(raw) as Record<string, unknown>
  } catch {
    return raw // it only looks like one
  }
  if (typeof fields.msg !== 'string') return raw
  const { level, time, ts, msg, err, error } = fields
  const at = timeOf(time ?? ts)
  return `${at} ${String(level).toUpperCase().padEnd(5)} ${msg}${reasonOf(err ?? error)}`
}

function timeOf(time: unknown): string {
  const date = new Date(time as string | number)
  const isTime = (typeof time === 'number' || typeof time === 'string') && !Number.isNaN(+date)
  const at = isTime ? date : new Date()
  const two = (n: number): string => String(n).padStart(2, '0')
  const ms = String(at.getMilliseconds()).padStart(3, '0')
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`
}

function reasonOf(error: unknown): string {
  if (typeof error === 'string') return `: ${error}`
  const { stack, message } = (error ?? {}) as { readonly stack?: string; message?: string }
  const text = stack ?? message
  return text === undefined ? '' : `: ${text}`
}
