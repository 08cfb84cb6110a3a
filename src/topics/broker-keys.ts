/** Where the metadata keeps what one broker has to know of itself at its next start. */
export const brokerKey = (nodeId: number, what: 'epoch' | 'start' | 'journals'): string =>
  `brokers/${nodeId}/${what}`
