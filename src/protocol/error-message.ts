/** Characters of an error message: names in it may be as long as strings can be. */
const MESSAGE_CHARS_MAX = 1_000

/** What is said to a person, so that it fits: its ends say most, so a long one is cut in its middle. */
export function fitMessage(message: string): string {
  if (message.length <= MESSAGE_CHARS_MAX) return message
  const half = MESSAGE_CHARS_MAX / 2
  return `${message.slice(0, half)} ... ${message.slice(-half)}`
}
