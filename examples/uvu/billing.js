/** The program under test: for every order it writes a receipt. */
export async function startBilling(kafka) {
  const producer = kafka.producer()
  const consumer = kafka.consumer({ groupId: 'billing', maxWaitTimeInMs: 100 })
  await Promise.all([producer.connect(), consumer.connect()])
  await consumer.subscribe({ topics: ['orders'], fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => {
      const value = `receipt for ${message.value}`
      await producer.send({ topic: 'receipts', messages: [{ key: message.key, value }] })
    },
  })
  return { stop: () => Promise.all([consumer.disconnect(), producer.disconnect()]) }
}
