const NAME_LENGTH_MAX = 249
const LEGAL = /^[a-zA-Z0-9._-]+$/

/** Why Kafka would refuse the name, or null (Topic.java). */
export function topicNameProblem(name: string): string | null {
  if (name === '') return 'a topic name may not be empty'
  if (name === '.' || name === '..') return `a topic may not be named "${name}"`
  if (name.length > NAME_LENGTH_MAX) {
    return `the topic name has ${name.length} characters, at most ${NAME_LENGTH_MAX} are allowed`
  }
  if (!LEGAL.test(name)) {
    return `the topic name "${name}" may contain only ASCII letters, digits, ".", "_" and "-"`
  }
  return null
}

/** Names that differ only in "." and "_" collide: metrics write both as "_". */
export function collisionKey(name: string): string {
  return name.replaceAll('.', '_')
}

/** Topics in which brokers keep state of their own (Topic.java); the metadata log is none to clients. */
const INTERNAL = ['__consumer_offsets', '__transaction_state', '__share_group_state']

export function isInternalTopic(name: string): boolean {
  return INTERNAL.includes(name)
}
